//! What requests to one address share: the connection_id, and the getting of it.

use core::time::Duration;

use crate::{ConnectionId, TransactionId};

/// How long a connection_id is used after it came (BEP 15: "until one minute after it has received it").
pub const CONNECTION_ID_LIFETIME: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Link {
    /// The id and when it came.
    id: Option<(ConnectionId, Duration)>,
    connect: Option<Connect>,
    /// Connects without an answer.
    pub(super) unanswered: u32,
}

/// A connect that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connect {
    /// Kept when it is sent again, so that the answer to any of them will do.
    pub(super) transaction_id: TransactionId,
    /// Until when to wait for the answer.
    pub(super) until: Duration,
}

impl Link {
    /// The id, if there is one that may still be used.
    pub(super) fn id(&self, now: Duration) -> Option<ConnectionId> {
        let (id, since) = self.id?;
        (now.saturating_sub(since) < CONNECTION_ID_LIFETIME).then_some(id)
    }

    pub(super) fn connect(&self) -> Option<Connect> {
        self.connect
    }

    /// A connect was sent, the `unanswered`-th.
    pub(super) fn connecting(&mut self, transaction_id: TransactionId, until: Duration, unanswered: u32) {
        self.connect = Some(Connect { transaction_id, until });
        self.unanswered = unanswered;
    }

    pub(super) fn connected(&mut self, now: Duration, id: ConnectionId) {
        *self = Self { id: Some((id, now)), connect: None, unanswered: 0 };
    }

    /// Throws an id away, unless it has been replaced already.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.id = self.id.filter(|(known, _)| *known != id);
    }

    /// Gives up what was under way: nobody waits for it any more.
    pub(super) fn rest(&mut self) {
        self.connect = None;
        self.unanswered = 0;
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
        self.id.map(|(_, since)| since + CONNECTION_ID_LIFETIME)
    }
}
