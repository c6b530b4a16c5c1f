//! A request on its way to one answer: what to send next, and until when to wait.

use core::time::Duration;

use super::link::Link;
use super::policy::{Policy, Stage};
use crate::{ConnectionId, TransactionId};

#[derive(Debug)]
pub(super) struct Pending {
    /// Kept when the request is sent again, but for what [`Pending::suspect`] says.
    pub(super) transaction_id: TransactionId,
    deadline: Duration,
    policy: Policy,
    /// Transmissions in a row without an answer, connects included.
    unanswered: u32,
    /// Transmissions of the request itself, under this transaction_id.
    sent: u32,
    state: State,
    /// When the connect was sent whose answer it waited for last.
    relied_on: Option<Duration>,
    /// Whether the connection_id in use was got for this request, so that it is not to blame for what comes.
    has_fresh_id: bool,
    /// Whether the next transmission of the request is under a new transaction_id.
    renumber: bool,
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

/// What an error reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The tracker says no.
    Final,
    /// It may have meant the connection_id: the request is to be sent again, with another.
    TryAgain,
    /// It is about an id that is being replaced anyhow.
    Late,
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
            relied_on: None,
            has_fresh_id: false,
            renumber: false,
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

    /// What a request that is ready sends now. `None`: nothing, as a connect has just been sent for another one, or as it
    /// has come to its end, which [`Pending::handle_timeout`] will find.
    pub(super) fn transmit(
        &mut self,
        now: Duration,
        link: &mut Link,
        mut fresh: impl FnMut() -> TransactionId,
    ) -> Option<Send> {
        if !self.is_ready() || now >= self.deadline {
            return None;
        }
        if let Some(id) = link.id(now) {
            let wait = self.policy.wait(Stage::Request, self.unanswered);
            self.state = State::ForAnswer { until: now.saturating_add(wait.unwrap_or_default()), id };
            wait?;
            if core::mem::take(&mut self.renumber) {
                self.transaction_id = fresh();
            }
            self.unanswered += 1;
            self.sent += 1;
            return Some(Send::Request(id));
        }
        self.has_fresh_id = true;
        let wait = self.policy.wait(Stage::Connect, self.unanswered);
        // Another one's, or the one that others have just sent again.
        let shared = link.shared_connect(now).filter(|sent| Some(*sent) != self.relied_on);
        let until = shared.unwrap_or(now).saturating_add(wait.unwrap_or_default()).max(now);
        self.state = State::ForConnection { until };
        wait?;
        self.unanswered += 1;
        self.relied_on = shared.or(Some(now));
        if shared.is_some() {
            return None;
        }
        let transaction_id = link.transaction_id().unwrap_or_else(fresh);
        link.connecting(now, transaction_id);
        Some(Send::Connect(transaction_id))
    }

    /// The link has a connection_id now.
    pub(super) fn connected(&mut self) {
        if !matches!(self.state, State::ForAnswer { .. }) {
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

    /// The tracker said no to the request.
    pub(super) fn refused(&mut self, link: &mut Link) -> Refusal {
        match self.state {
            State::ForConnection { .. } => Refusal::Late,
            State::Ready => Refusal::Final,
            State::ForAnswer { id, .. } => {
                link.forget(id);
                if self.has_fresh_id {
                    return Refusal::Final;
                }
                self.suspect();
                self.unanswered = 0;
                Refusal::TryAgain
            }
        }
    }

    /// A part of the request was answered, and the next is to be sent.
    #[cfg(feature = "alloc")]
    pub(super) fn answered(&mut self) {
        self.unanswered = 0;
        self.begin_anew();
    }

    /// Looks whether it has waited long enough.
    pub(super) fn handle_timeout(&mut self, now: Duration, link: &mut Link) -> Result<(), TimedOut> {
        if now >= self.deadline {
            return Err(TimedOut);
        }
        if self.is_ready() || now < self.due() {
            return Ok(());
        }
        if let State::ForAnswer { id, .. } = self.state
            && !self.has_fresh_id
        {
            // Some trackers are silent when they don't know an id.
            link.forget(id);
            self.suspect();
        }
        self.state = State::Ready;
        let stage = if link.id(now).is_some() { Stage::Request } else { Stage::Connect };
        self.policy.wait(stage, self.unanswered).map(drop).ok_or(TimedOut)
    }

    /// The id that was kept from earlier may be to blame. What the tracker may yet say about it is not an answer any more,
    /// and must not be taken for one about the next id.
    fn suspect(&mut self) {
        self.has_fresh_id = true;
        self.begin_anew();
    }

    /// Nothing that was sent until now is waited for any longer.
    fn begin_anew(&mut self) {
        self.sent = 0;
        self.renumber = true;
        self.state = State::Ready;
    }
}
