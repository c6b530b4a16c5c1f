//! Many UDP datagrams with one system call.
//!
//! [`BatchReceiver`] receives up to [`BATCH`] datagrams at once, [`BatchSender`] sends any number. On Linux they use
//! recvmmsg(2), sendmmsg(2) and UDP_SEGMENT; elsewhere, or when [`Method::OneByOne`] is chosen, they make one call a
//! datagram and behave the same otherwise.
//!
//! ```
//! use std::net::UdpSocket;
//!
//! use datagram_batch::{BatchReceiver, BatchSender, Transmit};
//!
//! let server = UdpSocket::bind("127.0.0.1:0")?;
//! let client = UdpSocket::bind("127.0.0.1:0")?;
//! client.send_to(b"hello", server.local_addr()?)?;
//!
//! let (mut receiver, mut sender) = (BatchReceiver::new(2048), BatchSender::new());
//! let received = receiver.receive(&server)?;
//! // Each reply leaves from the address that the request came to.
//! let replies = received
//!     .iter()
//!     .filter(|request| !request.truncated)
//!     .map(|request| Transmit { source: request.local, ..Transmit::new(request.source, request.bytes) });
//! assert_eq!(sender.send(&server, replies).sent, 1);
//!
//! let mut reply = [0; 16];
//! assert_eq!(client.recv(&mut reply)?, 5);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Sockets
//! Every function takes anything that has a file descriptor: the sockets of std, socket2, mio and tokio. A non-blocking
//! socket never waits. On a blocking one, receiving waits for the first datagram and sending waits for room, as with the
//! calls of std; timeouts that are set hold.
//!
//! # What a remote host controls
//! How many datagrams come, their bytes, their length and their source address. Memory is allocated once, when a
//! receiver is made; a longer datagram is cut and marked as truncated. Replying to a source sends to an address that the
//! datagram's sender chose. ICMP messages become errors of a connected socket, which are counted or returned and never
//! end anything.
//!
//! # Unsafe code
//! All of it is in the private module `linux`. System calls get headers that are made for the call, on the stack, from
//! buffers that are borrowed for it, so nothing keeps a raw pointer between calls.

mod head;
#[cfg(target_os = "linux")]
mod linux;
mod one_by_one;
mod options;
mod receive;
mod send;
mod transmit;

pub use head::LocalAddress;
pub use options::{report_drops, report_local_address, set_receive_buffer};
pub use receive::{BatchReceiver, Datagram, Received};
pub use send::BatchSender;
pub use transmit::{Sent, Transmit};

/// Datagrams that one receiving call returns, and one sending call takes, at most: enough to make the system call cheap,
/// few enough to stay in the processor's cache.
pub const BATCH: usize = 64;

/// How datagrams are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Many with one system call: Linux only; elsewhere the same as [`Method::OneByOne`].
    Batch,
    /// One with each system call: `recvfrom` and `sendto`. Without local addresses and without counts of drops.
    OneByOne,
}

impl Default for Method {
    /// The faster one on this system.
    fn default() -> Self {
        if cfg!(target_os = "linux") { Self::Batch } else { Self::OneByOne }
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
