//! Sends and receives many UDP datagrams with one system call.
//!
//! [`BatchReceiver`] receives up to [`BATCH`] datagrams at once, [`BatchSender`] sends any number. On Linux they use
//! recvmmsg(2), sendmmsg(2) and UDP_SEGMENT. On other systems, or with [`Method::OneByOne`], they make one call a
//! datagram; the rest of their behaviour is the same.
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
//! // Each reply leaves from the address that the request was sent to.
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
//! Every function takes anything with a file descriptor: the sockets of std, socket2, mio and tokio. Calls on a
//! non-blocking socket never wait. On a blocking socket, receiving waits for the first datagram and sending waits for
//! room, as the calls of std do. Timeouts that are set on the socket apply.
//!
//! # What a remote host controls
//! The number of datagrams, their bytes, length and source address. Memory is allocated once, when a receiver is made;
//! a longer datagram is cut and marked as truncated. A reply to a source goes to an address that the datagram's sender
//! chose. ICMP messages become errors of a connected socket. They are counted or returned, and never stop a sender or a
//! receiver.
//!
//! # Unsafe code
//! All unsafe code is in the private module `linux`. The headers of a system call are built on the stack for that call,
//! from borrowed buffers, so no raw pointer is kept between calls.

mod head;
#[cfg(target_os = "linux")]
mod linux;
mod one_by_one;
mod options;
mod receive;
mod send;
mod transmit;

pub use head::LocalAddress;
pub use options::{report_arrival, report_drops, report_local_address, set_receive_buffer};
pub use receive::{BatchReceiver, Datagram, Received};
pub use send::BatchSender;
pub use transmit::{Sent, Transmit};

/// The most datagrams that one receiving call returns, or that one sending call takes: enough to make a system call
/// cheap for each, and few enough to stay in the processor's cache.
pub const BATCH: usize = 64;

/// How datagrams are received and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Many with one system call, on Linux. On other systems the same as [`Method::OneByOne`].
    Batch,
    /// One with each system call, `recvfrom` or `sendto`. No local addresses and no counts of drops are reported.
    OneByOne,
}

impl Default for Method {
    /// The faster method of this system.
    fn default() -> Self {
        if cfg!(target_os = "linux") { Self::Batch } else { Self::OneByOne }
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
