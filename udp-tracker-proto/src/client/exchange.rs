//! The state machine of one request: what to send next, how long to wait for a reply, and what a reply means.
//! [`OneTracker`] and [`ManyTrackers`] are collections of these.
//!
//! [`OneTracker`]: super::OneTracker
//! [`ManyTrackers`]: super::ManyTrackers

use core::net::SocketAddr;
use core::time::Duration;

use super::announce::Announce;
use super::failure::{Failure, blames_connection_id};
use super::link::Link;
use super::policy::{Policy, Stage};
use crate::compact::Peers;
use crate::{
    AnnounceHead, AnnounceResponse, BufferTooSmall, ConnectRequest, ConnectionId, DecodeError, Dialect,
    ErrorResponse, InfoHash, ScrapeRequest, ScrapeResponse, TransactionId,
};

/// The most bytes that a UDP datagram can carry over IPv4: 65,535 minus the headers of IP and UDP.
const MAX_DATAGRAM: usize = 65_507;

#[derive(Debug)]
pub(super) struct Exchange {
    /// The same each time the request is sent, except after [`Exchange::begin_anew`].
    pub(super) transaction_id: TransactionId,
    deadline: Duration,
    policy: Policy,
    /// Number of consecutive transmissions without a reply, connects included.
    unanswered: u32,
    /// Number of transmissions of the request itself with this transaction_id.
    sent: u32,
    state: State,
    /// When the connect was sent whose reply this request waited for last.
    relied_on: Option<Duration>,
    /// Whether the connection_id was requested for this request. Then an old connection_id can't be the cause of a
    /// refusal.
    has_fresh_id: bool,
    /// Whether the next transmission of the request gets a new transaction_id.
    renumber: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is something to send.
    Ready,
    /// Waits for the link's connection_id.
    ForConnection { until: Duration },
    /// Waits for the reply to a request with this id.
    ForReply { until: Duration, id: ConnectionId },
    /// Failed without a reply. The next `handle_timeout`, which is due at once, reports it.
    Failed(Unsent),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsent {
    TooLong(BufferTooSmall),
    SendError,
}

/// The content of one datagram of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    Announce(Announce<'a>),
    Scrape(&'a [InfoHash]),
}

/// The content of a reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer<'d> {
    Announced { head: AnnounceHead, peers: Peers<'d> },
    Scraped(ScrapeResponse<'d>),
}

/// The effect on a request of a datagram with its transaction_id.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply<'d> {
    /// None: the datagram replies to a transmission that no longer counts.
    Stray,
    /// The request must be sent again, with another connection_id.
    TryAgain,
    /// The request, or this part of it, was answered.
    Answered(Answer<'d>),
    /// The request has failed.
    Failed(Failure<'d>),
}

/// A datagram to send.
enum Send {
    Connect(TransactionId),
    Request(ConnectionId),
}

impl Exchange {
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

    /// When to call [`Exchange::handle_timeout`] next.
    pub(super) fn due(&self) -> Duration {
        match self.state {
            State::Ready => self.deadline,
            State::ForConnection { until } | State::ForReply { until, .. } => until.min(self.deadline),
            State::Failed(_) => Duration::ZERO,
        }
    }

    /// Writes the datagram to send now, and returns its length in bytes. `None` if there is none: the request waits,
    /// has failed, or is past its deadline, which [`Exchange::handle_timeout`] reports.
    pub(super) fn transmit(
        &mut self,
        now: Duration,
        link: &mut Link,
        question: Question<'_>,
        fresh: impl FnMut() -> TransactionId,
        out: &mut [u8],
    ) -> Option<usize> {
        if !self.is_ready() || now >= self.deadline {
            return None;
        }
        // Checked before the connect: a request that is too long needs no connection_id.
        let (needed, got) = (question.encoded_len(), out.len().min(MAX_DATAGRAM));
        let written = if needed > got {
            Err(BufferTooSmall { needed, got })
        } else {
            match self.next_send(now, link, fresh)? {
                Send::Connect(transaction_id) => ConnectRequest::new(transaction_id).encode(out),
                Send::Request(id) => question.encode(id, self.transaction_id, out),
            }
        };
        written.inspect_err(|error| self.state = State::Failed(Unsent::TooLong(*error))).ok()
    }

    /// `None` if there is nothing to send: a connect has just been sent for another request, or the policy gives up.
    fn next_send(
        &mut self,
        now: Duration,
        link: &mut Link,
        mut fresh: impl FnMut() -> TransactionId,
    ) -> Option<Send> {
        if let Some(id) = link.id(now) {
            let wait = self.policy.wait(Stage::Request, self.unanswered);
            self.state = State::ForReply { until: now.saturating_add(wait.unwrap_or_default()), id };
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
        // A connect that another request has sent, or sent again.
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

    /// The last datagram can't be sent, now or later. Returns whether it was the connect that the link's requests wait
    /// for.
    pub(super) fn handle_send_error(&mut self, link: &mut Link) -> bool {
        let was_connect = self.waits_for_connection();
        if was_connect {
            link.abandon_connect();
        }
        self.state = State::Failed(Unsent::SendError);
        was_connect
    }

    /// The link's connect has ended, with or without a connection_id.
    pub(super) fn connect_ended(&mut self) {
        if matches!(self.state, State::ForConnection { .. } | State::Ready) {
            self.unanswered = self.sent;
            self.state = State::Ready;
        }
    }

    pub(super) fn waits_for_connection(&self) -> bool {
        matches!(self.state, State::ForConnection { .. })
    }

    /// Handles a datagram from the tracker with this request's transaction_id.
    pub(super) fn handle_reply<'d>(
        &mut self,
        link: &mut Link,
        tracker: SocketAddr,
        question: Question<'_>,
        datagram: &'d [u8],
    ) -> Reply<'d> {
        if self.sent == 0 {
            return Reply::Stray;
        }
        if let Ok(error) = ErrorResponse::decode(datagram) {
            return self.refused(link, error);
        }
        match question.decode(tracker, datagram) {
            Ok(answer) => Reply::Answered(answer),
            Err(error) => Reply::Failed(Failure::from_decode(error, self.transaction_id)),
        }
    }

    /// A refusal ends the request, unless its cause may be a connection_id from an earlier request: its text names the
    /// connection_id, or it has no text. The tracker may have been restarted.
    fn refused<'d>(&mut self, link: &mut Link, error: ErrorResponse<'d>) -> Reply<'d> {
        let id = match self.state {
            State::ForConnection { .. } => return Reply::Stray,
            State::ForReply { id, .. } => id,
            State::Ready | State::Failed(_) => return Reply::Failed(Failure::Refused(error)),
        };
        let is_blamed = blames_connection_id(error.message);
        let is_suspect = !self.has_fresh_id && (is_blamed || error.message.is_empty());
        if is_blamed || is_suspect {
            link.forget(id);
        }
        if !is_suspect {
            return Reply::Failed(Failure::Refused(error));
        }
        self.suspect();
        self.unanswered = 0;
        Reply::TryAgain
    }

    /// A part of the request was answered; the next part must be sent.
    #[cfg(feature = "alloc")]
    pub(super) fn next_part(&mut self) {
        self.unanswered = 0;
        self.begin_anew();
    }

    /// Makes the request ready to be sent again if its wait is over.
    ///
    /// # Errors
    /// Why the request has failed.
    pub(super) fn handle_timeout(&mut self, now: Duration, link: &mut Link) -> Result<(), Failure<'static>> {
        match self.state {
            State::Failed(Unsent::TooLong(error)) => return Err(Failure::TooLong(error)),
            State::Failed(Unsent::SendError) => return Err(Failure::NotSent),
            _ if now >= self.deadline => return Err(Failure::TimedOut),
            State::Ready => return Ok(()),
            _ if now < self.due() => return Ok(()),
            State::ForReply { id, .. } if !self.has_fresh_id => {
                // Some trackers don't reply to an unknown connection_id.
                link.forget(id);
                self.suspect();
            }
            State::ForReply { .. } | State::ForConnection { .. } => self.state = State::Ready,
        }
        let stage = if link.id(now).is_some() { Stage::Request } else { Stage::Connect };
        self.policy.wait(stage, self.unanswered).map(drop).ok_or(Failure::TimedOut)
    }

    /// The connection_id from an earlier request may be the cause of the failure. A late reply about it must not be
    /// taken for a reply about the next connection_id.
    fn suspect(&mut self) {
        self.has_fresh_id = true;
        self.begin_anew();
    }

    /// Replies to earlier transmissions no longer count.
    fn begin_anew(&mut self) {
        self.sent = 0;
        self.renumber = true;
        self.state = State::Ready;
    }
}

impl Question<'_> {
    fn encoded_len(&self) -> usize {
        match self {
            Self::Announce(announce) => announce.encoded_len(),
            Self::Scrape(hashes) => ScrapeRequest::HEAD_LEN + size_of_val(*hashes),
        }
    }

    fn encode(
        &self,
        connection_id: ConnectionId,
        transaction_id: TransactionId,
        out: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        match self {
            Self::Announce(announce) => announce.encode(connection_id, transaction_id, out),
            Self::Scrape(hashes) => {
                let hashes = hashes.iter().map(|hash| hash.0);
                ScrapeRequest::encode_hashes(connection_id, transaction_id, hashes, out)
            }
        }
    }

    fn decode<'d>(&self, tracker: SocketAddr, datagram: &'d [u8]) -> Result<Answer<'d>, DecodeError> {
        match self {
            Self::Announce(announce) => {
                let (head, peers) = decode_announced(tracker, announce.dialect, datagram)?;
                Ok(Answer::Announced { head, peers })
            }
            Self::Scrape(hashes) => decode_scraped(hashes, datagram).map(Answer::Scraped),
        }
    }
}

/// Reads the reply to an announce: over IPv4 in either dialect, over IPv6 in the dialect of the request.
fn decode_announced(
    tracker: SocketAddr,
    asked: Dialect,
    datagram: &[u8],
) -> Result<(AnnounceHead, Peers<'_>), DecodeError> {
    if tracker.is_ipv4() {
        let response = AnnounceResponse::decode(datagram)?;
        Ok((response.head, Peers::V4(response.peers)))
    } else {
        let response = AnnounceResponse::decode_as(asked, datagram)?;
        Ok((response.head, Peers::V6(response.peers)))
    }
}

/// Reads the reply to a scrape. If the reply has info_hashes, they must be those of the request.
fn decode_scraped<'d>(asked: &[InfoHash], datagram: &'d [u8]) -> Result<ScrapeResponse<'d>, DecodeError> {
    let response = ScrapeResponse::decode(datagram, asked.len())?;
    let named = response.entries().map(|(hash, _)| hash);
    if named.zip(asked).all(|(named, asked)| named.is_none_or(|named| named == *asked)) {
        Ok(response)
    } else {
        Err(DecodeError::OtherInfoHash)
    }
}

/// A transaction_id that no current request has: `random`, or the next free one after it, so that the search ends even
/// with a bad source of randomness.
pub(super) fn fresh_transaction_id(
    random: u32,
    mut is_taken: impl FnMut(TransactionId) -> bool,
) -> TransactionId {
    let mut id = TransactionId(random);
    while is_taken(id) {
        id.0 = id.0.wrapping_add(1);
    }
    id
}
