//! A request on its way to one answer: what to send next, and until when to wait.

use core::time::Duration;

use super::link::Link;
use super::policy::{Policy, Stage};
use crate::{ConnectionId, TransactionId};

#[derive(Debug)]
pub(super) struct Pending {
    /// Kept when the request is sent again.
    pub(super) transaction_id: TransactionId,
    deadline: Duration,
    policy: Policy,
    /// Transmissions without an answer.
    unanswered: u32,
    /// Of these, the ones of the request itself.
    sent: u32,
    state: State,
    /// Whether the second try with a fresh id has been used up, or is not due: the id was got for this request.
    has_fresh_id: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Something is to be sent.
    Ready,
    /// For the link's connection_id.
    ForConnection { until: Duration },
    /// For the answer, having sent this id.
    ForAnswer { until: Duration, id: ConnectionId },
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Send {
    Connect(TransactionId),
    Request(ConnectionId),
}

/// No answer came, and none will be waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimedOut;

impl Pending {
    pub(super) fn new(
        now: Duration,
        timeout: Duration,
        policy: Policy,
        transaction_id: TransactionId,
    ) -> Self {
        Self {
            transaction_id,
            deadline: now.saturating_add(timeout),
            policy,
            unanswered: 0,
            sent: 0,
            state: State::Ready,
            has_fresh_id: false,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// When to look at it again: not before there is something to do, and not in the past once it has been done.
    pub(super) fn due(&self) -> Duration {
        match self.state {
            State::Ready => self.deadline,
            State::ForConnection { until } | State::ForAnswer { until, .. } => until.min(self.deadline),
        }
    }

    /// What a request that is ready sends now. `None`: nothing, as another one's connect is under way, or as it has come
    /// to its end, which [`Pending::handle_timeout`] will find.
    pub(super) fn transmit(
        &mut self,
        now: Duration,
        link: &mut Link,
        fresh: impl FnOnce() -> TransactionId,
    ) -> Option<Send> {
        if !self.is_ready() || now >= self.deadline {
            return None;
        }
        if let Some(id) = link.id(now) {
            let wait = (self.policy.0)(Stage::Request, self.unanswered);
            self.state = State::ForAnswer { until: now.saturating_add(wait.unwrap_or_default()), id };
            wait?;
            self.unanswered += 1;
            self.sent += 1;
            return Some(Send::Request(id));
        }
        self.has_fresh_id = true;
        self.unanswered = self.unanswered.max(link.unanswered);
        if let Some(connect) = link.connect().filter(|connect| now < connect.until) {
            self.state = State::ForConnection { until: connect.until };
            return None;
        }
        let wait = (self.policy.0)(Stage::Connect, self.unanswered);
        let until = now.saturating_add(wait.unwrap_or_default());
        self.state = State::ForConnection { until };
        wait?;
        self.unanswered += 1;
        let transaction_id = link.connect().map_or_else(fresh, |connect| connect.transaction_id);
        link.connecting(transaction_id, until, self.unanswered);
        Some(Send::Connect(transaction_id))
    }

    /// The link has a connection_id now.
    pub(super) fn connected(&mut self) {
        if let State::ForConnection { .. } = self.state {
            self.unanswered = self.sent;
            self.state = State::Ready;
        }
    }

    /// Whether the request waits for the link's connection_id.
    pub(super) fn waits_for_connection(&self) -> bool {
        matches!(self.state, State::ForConnection { .. })
    }

    /// Whether the request itself is out, so that a reply to it makes sense.
    pub(super) fn waits_for_answer(&self) -> bool {
        self.sent > 0
    }

    /// The tracker said no to the request. Returns whether it may have meant the connection_id; then the request is to be
    /// sent again, with another.
    pub(super) fn refused(&mut self, link: &mut Link) -> bool {
        let again = self.try_fresh_id(link);
        if again {
            self.unanswered = 0;
            self.sent = 0;
        }
        again
    }

    /// A part of the request was answered, and the next is to be sent.
    #[cfg(feature = "alloc")]
    pub(super) fn answered(&mut self, transaction_id: TransactionId) {
        self.transaction_id = transaction_id;
        self.unanswered = 0;
        self.sent = 0;
        self.state = State::Ready;
    }

    /// Looks whether it has waited long enough.
    pub(super) fn handle_timeout(&mut self, now: Duration, link: &mut Link) -> Result<(), TimedOut> {
        if now >= self.deadline {
            return Err(TimedOut);
        }
        if self.is_ready() || now < self.due() {
            return Ok(());
        }
        // Some trackers are silent when they don't know an id.
        self.try_fresh_id(link);
        self.state = State::Ready;
        let (stage, n) = match link.id(now) {
            Some(_) => (Stage::Request, self.unanswered),
            None => (Stage::Connect, self.unanswered.max(link.unanswered)),
        };
        (self.policy.0)(stage, n).map(drop).ok_or(TimedOut)
    }

    fn try_fresh_id(&mut self, link: &mut Link) -> bool {
        let State::ForAnswer { id, .. } = self.state else { return false };
        if self.has_fresh_id {
            return false;
        }
        link.forget(id);
        self.has_fresh_id = true;
        self.state = State::Ready;
        true
    }
}
