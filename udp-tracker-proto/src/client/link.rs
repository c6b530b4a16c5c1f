//! The state that the requests to one address share: the connection_id, and the connect that requests it.

use core::net::SocketAddrV4;
use core::time::Duration;

use super::failure::Failure;
use crate::{ConnectResponse, ConnectionId, ErrorResponse, TransactionId};

/// How long a connection_id is used after it was received (BEP 15: "until one minute after it has received it").
pub const CONNECTION_ID_LIFETIME: Duration = Duration::from_secs(60);

/// For this long after a connect was sent, other requests wait for its reply instead of sending it again. Requests that
/// begin together share one connect, but a new request with a short deadline doesn't wait for an old connect that was
/// lost.
const SHARED_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Link {
    /// The id, and when it was received.
    id: Option<(ConnectionId, Duration)>,
    connect: Option<Connect>,
}

/// A connect that was sent and not answered.
#[derive(Clone, Copy, Debug)]
struct Connect {
    /// The same each time the connect is sent, so that a reply to any of the transmissions counts.
    transaction_id: TransactionId,
    sent: Duration,
}

impl Link {
    /// The id, if it may still be used.
    pub(super) fn id(&self, now: Duration) -> Option<ConnectionId> {
        let (id, since) = self.id?;
        (now.saturating_sub(since) < CONNECTION_ID_LIFETIME).then_some(id)
    }

    /// The transaction_id of the unanswered connect.
    pub(super) fn transaction_id(&self) -> Option<TransactionId> {
        self.connect.map(|connect| connect.transaction_id)
    }

    /// When the unanswered connect was sent, if a request may wait for its reply instead of sending it again.
    pub(super) fn shared_connect(&self, now: Duration) -> Option<Duration> {
        let sent = self.connect?.sent;
        (now.saturating_sub(sent) < SHARED_FOR).then_some(sent)
    }

    pub(super) fn connecting(&mut self, now: Duration, transaction_id: TransactionId) {
        self.connect = Some(Connect { transaction_id, sent: now });
    }

    /// Handles the reply to the connect. Returns the client's address as the tracker sees it, if the reply has it.
    ///
    /// # Errors
    /// Why the reply has no connection_id. The connect has ended in that case too.
    pub(super) fn handle_connect<'d>(
        &mut self,
        now: Duration,
        datagram: &'d [u8],
    ) -> Result<Option<SocketAddrV4>, Failure<'d>> {
        self.connect = None;
        if let Ok(error) = ErrorResponse::decode(datagram) {
            return Err(Failure::Refused(error));
        }
        let response = ConnectResponse::decode(datagram).map_err(Failure::Malformed)?;
        self.id = Some((response.connection_id, now));
        Ok(response.seen)
    }

    /// Drops this id, unless it has been replaced already.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.id = self.id.filter(|(known, _)| *known != id);
    }

    /// Forgets the unanswered connect: no request waits for it.
    pub(super) fn abandon_connect(&mut self) {
        self.connect = None;
    }

    /// Drops an id that has expired; returns whether there is no id now.
    #[cfg(feature = "alloc")]
    pub(super) fn drop_expired(&mut self, now: Duration) -> bool {
        self.id = self.id.filter(|_| self.id(now).is_some());
        self.id.is_none()
    }

    /// When the id expires.
    #[cfg(feature = "alloc")]
    pub(super) fn expires(&self) -> Option<Duration> {
        self.id.map(|(_, since)| since.saturating_add(CONNECTION_ID_LIFETIME))
    }
}
