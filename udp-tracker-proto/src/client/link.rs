//! What requests to one address share: the connection_id, and the getting of it.

use core::time::Duration;

use crate::{ConnectionId, TransactionId};

/// How long a connection_id is used after it came (BEP 15: "until one minute after it has received it").
pub const CONNECTION_ID_LIFETIME: Duration = Duration::from_secs(60);

/// How long after a connect was sent another request relies on it instead of sending it again: what begins or wakes at
/// the same moment shares one, and a newcomer with a short deadline is not left waiting for what was lost long ago.
const SHARED_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Link {
    /// The id and when it came.
    id: Option<(ConnectionId, Duration)>,
    connect: Option<Connect>,
}

/// A connect that is under way.
#[derive(Clone, Copy, Debug)]
struct Connect {
    /// Kept when it is sent again, so that the answer to any of them will do.
    transaction_id: TransactionId,
    sent: Duration,
}

impl Link {
    /// The id, if there is one that may still be used.
    pub(super) fn id(&self, now: Duration) -> Option<ConnectionId> {
        let (id, since) = self.id?;
        (now.saturating_sub(since) < CONNECTION_ID_LIFETIME).then_some(id)
    }

    /// Of the connect that is under way.
    pub(super) fn transaction_id(&self) -> Option<TransactionId> {
        self.connect.map(|connect| connect.transaction_id)
    }

    /// When the connect was sent that a request may rely on now.
    pub(super) fn shared_connect(&self, now: Duration) -> Option<Duration> {
        let sent = self.connect?.sent;
        (now.saturating_sub(sent) < SHARED_FOR).then_some(sent)
    }

    pub(super) fn connecting(&mut self, now: Duration, transaction_id: TransactionId) {
        self.connect = Some(Connect { transaction_id, sent: now });
    }

    pub(super) fn connected(&mut self, now: Duration, id: ConnectionId) {
        *self = Self { id: Some((id, now)), connect: None };
    }

    /// Throws an id away, unless it has been replaced already.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.id = self.id.filter(|(known, _)| *known != id);
    }

    /// Gives up what was under way: nobody waits for it any more.
    pub(super) fn rest(&mut self) {
        self.connect = None;
    }

    /// Throws away an id that may not be used any more; says whether there is none now.
    #[cfg(feature = "alloc")]
    pub(super) fn drop_expired(&mut self, now: Duration) -> bool {
        self.id = self.id.filter(|_| self.id(now).is_some());
        self.id.is_none()
    }

    /// Until when there is something worth remembering.
    #[cfg(feature = "alloc")]
    pub(super) fn expires(&self) -> Option<Duration> {
        self.id.map(|(_, since)| since.saturating_add(CONNECTION_ID_LIFETIME))
    }
}
