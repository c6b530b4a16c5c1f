//! Sending: [`BatchSender`] takes datagrams to [`Transmit`] and returns the result in [`Sent`].

use std::num::NonZeroU16;

use rustix::fd::AsFd;

use crate::transmit::{Sent, Transmit, send_each};
use crate::{Method, one_by_one};

/// Sends datagrams in batches.
#[derive(Clone, Debug)]
pub struct BatchSender {
    method: Method,
    /// Whether the system has accepted UDP_SEGMENT so far.
    segments: bool,
}

impl BatchSender {
    /// A sender with the system's best method.
    #[must_use]
    pub fn new() -> Self {
        Self::with_method(Method::default())
    }

    /// A sender with the given method.
    #[must_use]
    pub fn with_method(method: Method) -> Self {
        Self { method, segments: method == Method::Batch && cfg!(target_os = "linux") }
    }

    /// Sends datagrams in their order. After one that fails, the next ones are tried. When there is no room in the
    /// socket's buffer, the rest is not tried. A blocking socket waits for room.
    ///
    /// On a connected socket, `ConnectionRefused` concerns an earlier datagram, so the current one is sent once more.
    pub fn send<'a>(
        &mut self,
        socket: &impl AsFd,
        datagrams: impl IntoIterator<Item = Transmit<'a>>,
    ) -> Sent {
        let mut datagrams = datagrams.into_iter();
        let mut sent = Sent::default();
        let room = match self.method {
            #[cfg(target_os = "linux")]
            Method::Batch => crate::linux::send(socket.as_fd(), &mut datagrams, &mut sent),
            _ => one_by_one::send(socket, &mut datagrams, &mut sent),
        };
        if !room {
            sent.no_room += datagrams.count();
        }
        sent
    }

    /// Sends `bytes` cut into datagrams of `segment_len` bytes each, the last of which may be shorter.
    ///
    /// With UDP_SEGMENT the system cuts up to 64 datagrams itself, which saves most of the work of its network layers
    /// for each. Where that is not possible (an old kernel, a network card without checksums, segments longer than the
    /// network's packets), this and all later calls send them as [`BatchSender::send`] does. If the system refuses some
    /// datagrams, the others of the same system call are not sent either.
    pub fn send_segments(
        &mut self,
        socket: &impl AsFd,
        datagrams: Transmit<'_>,
        segment_len: NonZeroU16,
    ) -> Sent {
        let len = usize::from(segment_len.get());
        #[cfg_attr(not(target_os = "linux"), expect(unused_mut, reason = "nothing is sent before"))]
        let (mut sent, mut rest) = (Sent::default(), datagrams.bytes);
        #[cfg(target_os = "linux")]
        while self.segments && !rest.is_empty() {
            let at_once = (crate::linux::SEGMENTED_LEN / len).clamp(1, crate::linux::SEGMENTS);
            let (now, later) = rest.split_at((at_once * len).min(rest.len()));
            let count = now.len().div_ceil(len);
            let transmit = Transmit { bytes: now, ..datagrams };
            let mut whole = Sent::default();
            let room = send_each(1, &mut whole, |_| {
                crate::linux::send_segments(socket.as_fd(), &transmit, segment_len).map(|()| 1)
            });
            if whole.error.as_ref().is_some_and(crate::linux::is_without_segments) {
                self.segments = false;
                break;
            }
            sent.sent += whole.sent * count;
            if let Some(error) = whole.error {
                sent.fail(count, error);
            }
            if !room {
                sent.no_room += rest.len().div_ceil(len);
                return sent;
            }
            rest = later;
        }
        let singles = rest.chunks(len).map(|bytes| Transmit { bytes, ..datagrams });
        sent.and(self.send(socket, singles))
    }
}

impl Default for BatchSender {
    fn default() -> Self {
        Self::new()
    }
}
