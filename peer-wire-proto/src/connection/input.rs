//! Messages of the peer: one handler for each.

use core::time::Duration;

use super::queue::Mark;
use super::{CloseReason, Connection, Event, Input, Torrent};
use crate::bitfield::Bitfield;
use crate::block::Block;
use crate::frame::Framed;
use crate::handshake::{Handshake, HandshakeError};
use crate::message::{Message, id};
use crate::reserved::Reserved;

/// The result of a handler: an event, no event, or a violation.
type Handled<'a> = Result<Option<Event<'a>>, CloseReason>;

impl<const QUEUE: usize> Connection<QUEUE> {
    /// Handles bytes received from the peer: all that are not consumed yet, contiguous. Returns one event at a time.
    ///
    /// Call it until the event is `None`, each time with the bytes behind those consumed; then again when more bytes
    /// are received. Call it after [`not_interested`](Self::not_interested) as well, with the unconsumed bytes, even if
    /// there are none: it may have events then.
    ///
    /// Bytes behind the peer's handshake are not read before the local handshake is sent: on an incoming connection the
    /// event is `None` until the caller has [answered](Self::answer).
    ///
    /// # Errors
    /// The peer's violation, which closes the connection; or why it was closed before.
    pub fn handle_input<'a>(&mut self, now: Duration, input: &'a [u8]) -> Result<Input<'a>, CloseReason> {
        if let Some(reason) = self.closed {
            return Err(reason);
        }
        // The handshake as a whole must be in time; afterwards every byte counts, so that a slow peer's block may take
        // longer than the idle timeout.
        if self.is_open() && input.len() > self.unread {
            self.last_received = now;
        }
        let outcome = if self.theirs.is_none() {
            self.read_handshake(now, input)
        } else if let (true, Some(torrent)) = (self.handshake_sent, self.torrent) {
            self.read_messages(torrent, input)
        } else {
            Ok(Input { consumed: 0, event: None })
        };
        match outcome {
            Ok(Input { consumed, .. }) => self.unread = input.len() - consumed,
            Err(reason) => self.close(reason),
        }
        outcome
    }

    fn read_handshake<'a>(&mut self, now: Duration, input: &[u8]) -> Result<Input<'a>, CloseReason> {
        let theirs = match Handshake::decode(input) {
            Ok(theirs) => theirs,
            Err(HandshakeError::Truncated { .. }) => return Ok(Input { consumed: 0, event: None }),
            Err(error) => return Err(error.into()),
        };
        if let Some(Torrent { info_hash: expected, .. }) = self.torrent
            && theirs.info_hash != expected
        {
            return Err(CloseReason::WrongInfoHash { expected, got: theirs.info_hash });
        }
        if theirs.peer_id == self.peer_id {
            return Err(CloseReason::OwnPeerId);
        }
        self.theirs = Some(theirs);
        if self.handshake_sent {
            self.last_received = now;
        }
        Ok(Input { consumed: Handshake::LEN, event: Some(Event::Handshake(theirs)) })
    }

    fn read_messages<'a>(&mut self, torrent: Torrent, input: &'a [u8]) -> Result<Input<'a>, CloseReason> {
        if let Some(block) = self.requested.first(Mark::Refused) {
            self.requested.remove(block, Mark::Refused);
            return Ok(Input { consumed: 0, event: Some(Event::Rejected(block)) });
        }
        let mut consumed = 0;
        loop {
            let framed: Framed<'a> = self.framer.next(&input[consumed..])?;
            consumed += framed.consumed;
            let Some(message) = framed.message else {
                return Ok(Input { consumed, event: None });
            };
            let event = self.handle(torrent, message)?;
            if event.is_some() {
                return Ok(Input { consumed, event });
            }
        }
    }

    fn handle<'a>(&mut self, torrent: Torrent, message: Message<'a>) -> Handled<'a> {
        let first = self.bitfield_may_come;
        self.bitfield_may_come &=
            matches!(message, Message::KeepAlive | Message::Port(_) | Message::Extended { .. });
        match message {
            Message::KeepAlive => Ok(None),
            Message::Choke => Ok(self.choked()),
            Message::Unchoke => Ok(changed(&mut self.them.choking, false).then_some(Event::Unchoked)),
            Message::Interested => Ok(changed(&mut self.them.interested, true).then_some(Event::Interested)),
            Message::NotInterested => Ok(self.lost_interest()),
            Message::Have(index) => {
                known_piece(torrent, message, index)?;
                Ok(Some(Event::Have(index)))
            }
            Message::Bitfield(bytes) => {
                // Not only as the first message: aria2 sends one instead of many haves.
                let bitfield = Bitfield::decode(bytes, torrent.layout.pieces())?;
                Ok(Some(Event::Bitfield(bitfield)))
            }
            Message::Request(block) => self.request_came(torrent, block),
            Message::Piece { index, begin, data } => self.piece_came(index, begin, data),
            Message::Cancel(block) => Ok(self.cancel_came(block)),
            Message::Port(port) => Ok(Some(Event::Port(port))),
            Message::Suggest(index) => {
                self.needs_fast(id::SUGGEST)?;
                known_piece(torrent, message, index)?;
                Ok(Some(Event::Suggested(index)))
            }
            Message::HaveAll => {
                // Not only as the first message: aria2 sends it when its download is complete, long after "have none".
                self.needs_fast(id::HAVE_ALL)?;
                Ok(Some(Event::HaveAll))
            }
            Message::HaveNone => {
                self.needs_fast(id::HAVE_NONE)?;
                if !first {
                    return Err(CloseReason::LateHaveNone);
                }
                Ok(Some(Event::HaveNone))
            }
            Message::Reject(block) => self.reject_came(block),
            Message::AllowedFast(index) => {
                self.needs_fast(id::ALLOWED_FAST)?;
                known_piece(torrent, message, index)?;
                self.allowed_us.insert(index);
                Ok(Some(Event::AllowedFast(index)))
            }
            Message::Extended { id, payload } => {
                // Unless both offered the extension, 20 is an unknown id.
                let spoken = self.has(Reserved::EXTENSION_PROTOCOL);
                Ok(spoken.then_some(Event::Extended { id, payload }))
            }
        }
    }

    /// With the fast extension, "choke no longer implicitly rejects all pending requests" (BEP 6). Without it, it does.
    fn choked<'a>(&mut self) -> Option<Event<'a>> {
        if !changed(&mut self.them.choking, true) {
            return None;
        }
        self.lose_requests();
        Some(Event::Choked)
    }

    /// Gives up the local side's unanswered requests, unless the peer has to answer them in any case.
    pub(super) fn lose_requests(&mut self) {
        if !self.fast() {
            let lost = self.requested.refuse_all(|_| false);
            self.expect_late(lost);
        }
    }

    /// Allows for answers to requests that are given up.
    pub(super) fn expect_late(&mut self, answers: usize) {
        self.late = self.late.saturating_add(u32::try_from(answers).unwrap_or(u32::MAX));
    }

    fn lost_interest<'a>(&mut self) -> Option<Event<'a>> {
        if !changed(&mut self.them.interested, false) {
            return None;
        }
        self.drop_queued(false);
        Some(Event::NotInterested)
    }

    /// Drops the peer's requests. With the fast extension, a reject becomes due for each; and with `spare_allowed`,
    /// requests for pieces that are allowed fast stay.
    pub(super) fn drop_queued(&mut self, spare_allowed: bool) {
        if self.fast() {
            let allowed = &self.allowed_them;
            self.queued.refuse_all(|index| spare_allowed && allowed.contains(index));
        } else {
            self.queued.clear();
        }
    }

    fn request_came<'a>(&mut self, torrent: Torrent, block: Block) -> Handled<'a> {
        torrent.layout.check(block, self.config.request_limit())?;
        if self.queued.contains(block, Mark::Open) {
            return Ok(None);
        }
        let welcome = self.them.interested && (!self.us.choking || self.allowed_them.contains(block.index));
        if !welcome && !self.fast() {
            // The peer sent the request before it received the choke.
            return Ok(None);
        }
        let mark = if welcome { Mark::Open } else { Mark::Refused };
        if !self.queued.push(block, mark) {
            return Err(CloseReason::TooManyRequests { limit: QUEUE });
        }
        Ok(welcome.then_some(Event::Requested(block)))
    }

    fn cancel_came<'a>(&mut self, block: Block) -> Option<Event<'a>> {
        let queued = if self.fast() {
            self.queued.mark(block, Mark::Refused)
        } else {
            self.queued.remove(block, Mark::Open)
        };
        queued.then_some(Event::Cancelled(block))
    }

    fn piece_came<'a>(&mut self, index: u32, begin: u32, data: &'a [u8]) -> Handled<'a> {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let block = Block { index, begin, length };
        let taken_back = self.requested.remove(block, Mark::Cancelled);
        if taken_back {
            // Some clients reject every cancelled request, even one that they have answered.
            self.expect_late(1);
        }
        if taken_back || self.requested.remove(block, Mark::Open) {
            return Ok(Some(Event::Piece { block, data }));
        }
        if let Some(expected) = self.requested.open().find(|open| open.index == index && open.begin == begin)
        {
            return Err(CloseReason::PieceLength { expected, got: length });
        }
        self.spend_late().then_some(Some(Event::Late(block))).ok_or(CloseReason::PieceNotRequested(block))
    }

    fn reject_came<'a>(&mut self, block: Block) -> Handled<'a> {
        self.needs_fast(id::REJECT)?;
        if self.requested.remove(block, Mark::Open) || self.requested.remove(block, Mark::Cancelled) {
            return Ok(Some(Event::Rejected(block)));
        }
        self.spend_late().then_some(None).ok_or(CloseReason::RejectNotRequested(block))
    }

    fn spend_late(&mut self) -> bool {
        let expected = self.late > 0;
        self.late = self.late.saturating_sub(1);
        expected
    }

    fn needs_fast(&self, id: u8) -> Result<(), CloseReason> {
        if self.fast() { Ok(()) } else { Err(CloseReason::FastNotInUse { id }) }
    }
}

fn changed(flag: &mut bool, to: bool) -> bool {
    core::mem::replace(flag, to) != to
}

fn known_piece(torrent: Torrent, message: Message<'_>, index: u32) -> Result<(), CloseReason> {
    let pieces = torrent.layout.pieces();
    if index < pieces {
        Ok(())
    } else {
        Err(CloseReason::PieceOutOfRange { id: message.id().unwrap_or_default(), index, pieces })
    }
}
