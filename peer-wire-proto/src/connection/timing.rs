//! Timers, and messages that are due without an action of the caller.

use core::time::Duration;

use torrent_ids::InfoHash;

use super::queue::Mark;
use super::{CloseReason, Connection};
use crate::handshake::Handshake;
use crate::message::Message;

impl<const QUEUE: usize> Connection<QUEUE> {
    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` once closed.
    ///
    /// The result may change after any call that takes `now`, and after [`close`](Self::close).
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.closed.is_some() {
            return None;
        }
        let silence = self.last_received.saturating_add(self.config.idle_timeout);
        let keep_alive = self.sent.saturating_add(self.config.keep_alive);
        // A keep-alive that is due already waits for the caller, not for time to pass.
        Some(if self.is_open() && !self.keep_alive_due { silence.min(keep_alive) } else { silence })
    }

    /// Handles timers that have expired by `now`. A call that is too early does nothing.
    ///
    /// # Errors
    /// Closes the connection when the peer's handshake took too long, or when nothing was received for too long.
    /// Returns the reason again once closed.
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), CloseReason> {
        if self.closed.is_none() && now >= self.last_received.saturating_add(self.config.idle_timeout) {
            let after = self.config.idle_timeout;
            self.close(if self.theirs.is_some() {
                CloseReason::Silence { after }
            } else {
                CloseReason::NoHandshake { after }
            });
        }
        if self.is_open() && now >= self.sent.saturating_add(self.config.keep_alive) {
            self.keep_alive_due = true;
        }
        self.closed.map_or(Ok(()), Err)
    }

    /// Writes messages that are due to `out` and returns their length: the handshake of an outgoing connection; rejects
    /// of requests that a choke dropped, that were cancelled or that came during a choke (BEP 6); a keep-alive. Only
    /// whole messages, as many as fit; [`TRANSMIT_LEN`](Self::TRANSMIT_LEN) bytes always hold one.
    ///
    /// The result may change after [`connect`](Self::connect), [`choke`](Self::choke),
    /// [`handle_input`](Self::handle_input) and [`handle_timeout`](Self::handle_timeout). 0 means that nothing is due,
    /// or that `out` is shorter than `TRANSMIT_LEN`.
    pub fn poll_transmit(&mut self, now: Duration, out: &mut [u8]) -> usize {
        if self.closed.is_some() {
            return 0;
        }
        if self.handshake_sent {
            let written = self.write_due(out);
            if written > 0 {
                self.note_sent(now);
            }
            return written;
        }
        let Some(torrent) = self.torrent else { return 0 };
        let Ok(written) = self.handshake(torrent.info_hash).encode(out) else { return 0 };
        self.handshake_was_sent(now);
        written
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something to write; changes when its result does.
    pub fn wants_transmit(&self) -> bool {
        self.closed.is_none()
            && if self.handshake_sent {
                self.keep_alive_due || self.queued.first(Mark::Refused).is_some()
            } else {
                self.torrent.is_some()
            }
    }

    /// The local handshake.
    pub(super) fn handshake(&self, info_hash: InfoHash) -> Handshake {
        Handshake { reserved: self.config.reserved, info_hash, peer_id: self.peer_id }
    }

    pub(super) fn handshake_was_sent(&mut self, now: Duration) {
        self.handshake_sent = true;
        self.note_sent(now);
        if self.theirs.is_some() {
            // Bytes received meanwhile were not read, so the silence is counted from here.
            self.last_received = now;
        }
    }

    fn write_due(&mut self, out: &mut [u8]) -> usize {
        let mut written = 0;
        while let Some(block) = self.queued.first(Mark::Refused) {
            let Ok(bytes) = Message::Reject(block).encode(&mut out[written..]) else { break };
            self.queued.remove(block, Mark::Refused);
            written += bytes;
        }
        if written == 0 && self.keep_alive_due {
            written = Message::KeepAlive.encode(out).unwrap_or(0);
        }
        written
    }

    /// Anything sent replaces a keep-alive.
    pub(super) fn note_sent(&mut self, now: Duration) {
        self.sent = now;
        self.keep_alive_due = false;
    }
}
