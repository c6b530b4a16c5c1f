//! Many datagrams with one system call: recvmmsg(2) and sendmmsg(2), on Linux.
//!
//! This is the one place with unsafe code. Its reasoning: a [`Batch`] allocates all buffers when it is made, in boxed
//! slices that are never resized or replaced, and the headers that the kernel gets point into these. So every pointer is
//! valid as long as the batch lives, whether or not the batch itself is moved. The kernel writes no further than the
//! lengths in the headers, which are set anew before each call, and it keeps no pointer after a call. Pointers make the
//! batch neither `Send` nor `Sync`, so nobody else touches the buffers meanwhile.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

/// Datagrams of a batch: enough to make the system call cheap, few enough to stay in the processor's cache.
const DATAGRAMS: usize = 64;
/// Octets of the longest datagram that is read; the longest sensible request, a scrape of 74 torrents, has 1496.
const RECEIVED_LEN: usize = 2048;

/// Room for the two control messages that are asked for: SO_RXQ_OVFL (24 octets), and IP_PKTINFO (32) or IPV6_PKTINFO
/// (40).
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// Buffers for one batch of datagrams and the replies to them.
pub(crate) struct Batch {
    received: Box<[[u8; RECEIVED_LEN]]>,
    replies: Box<[u8]>,
    reply_len: usize,
    sources: Box<[libc::sockaddr_storage]>,
    // Reached by the kernel, and by us, through the headers.
    _controls: Box<[Control]>,
    _received_parts: Box<[libc::iovec]>,
    reply_parts: Box<[libc::iovec]>,
    received_headers: Box<[libc::mmsghdr]>,
    reply_headers: Box<[libc::mmsghdr]>,
}

/// What became of a batch of replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) sent: u64,
    pub(crate) failed: u64,
}

/// Makes a socket tell the local address that each datagram came to.
pub(crate) fn tell_local_address(socket: RawFd, ipv6: bool) -> io::Result<()> {
    let (level, option) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    set(socket, level, option, 1)
}

/// Makes a socket tell, once it has dropped any, how many datagrams it has dropped because its buffer was full.
pub(crate) fn tell_drops(socket: RawFd) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
}

/// Sets the receive buffer beyond the system's limit, which not everybody may.
pub(crate) fn force_receive_buffer(socket: RawFd, octets: usize) -> io::Result<()> {
    let octets = libc::c_int::try_from(octets).unwrap_or(libc::c_int::MAX);
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, octets)
}

fn set(socket: RawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the option's value is a c_int that lives through the call.
    let result = unsafe {
        libc::setsockopt(socket, level, option, ptr::from_ref(&value).cast(), len32(size_of::<libc::c_int>()))
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Batch {
    /// Buffers for replies of up to `reply_len` octets.
    pub(crate) fn new(reply_len: usize) -> Self {
        let mut received = vec![[0; RECEIVED_LEN]; DATAGRAMS].into_boxed_slice();
        let mut replies = vec![0; reply_len * DATAGRAMS].into_boxed_slice();
        // SAFETY: all-zero octets are a value of these C structures: numbers, and null pointers.
        let (storage, header) = unsafe { (zeroed::<libc::sockaddr_storage>(), zeroed::<libc::mmsghdr>()) };
        let mut sources = vec![storage; DATAGRAMS].into_boxed_slice();
        let mut controls = vec![Control([0; 64]); DATAGRAMS].into_boxed_slice();
        let part =
            |octets: &mut [u8]| libc::iovec { iov_base: octets.as_mut_ptr().cast(), iov_len: octets.len() };
        let mut received_parts: Box<[_]> = received.iter_mut().map(|octets| part(octets)).collect();
        let mut reply_parts: Box<[_]> = replies.chunks_exact_mut(reply_len).map(part).collect();
        let mut received_headers = vec![header; DATAGRAMS].into_boxed_slice();
        let mut reply_headers = vec![header; DATAGRAMS].into_boxed_slice();
        for at in 0..DATAGRAMS {
            let header = &mut received_headers[at].msg_hdr;
            header.msg_name = ptr::from_mut(&mut sources[at]).cast();
            header.msg_iov = &raw mut received_parts[at];
            header.msg_iovlen = 1;
            header.msg_control = ptr::from_mut(&mut controls[at]).cast();
            reply_headers[at].msg_hdr.msg_iov = &raw mut reply_parts[at];
            reply_headers[at].msg_hdr.msg_iovlen = 1;
        }
        Self {
            received,
            replies,
            reply_len,
            sources,
            _controls: controls,
            _received_parts: received_parts,
            reply_parts,
            received_headers,
            reply_headers,
        }
    }

    /// Receives what is there, up to a whole batch, without waiting; returns how many datagrams. Less than
    /// [`Batch::FULL`] means that there were no more.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub(crate) fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<usize> {
        for header in &mut self.received_headers {
            header.msg_hdr.msg_namelen = len32(size_of::<libc::sockaddr_storage>());
            header.msg_hdr.msg_controllen = size_of::<Control>();
            header.msg_hdr.msg_flags = 0;
        }
        // SAFETY: see the module's page; the headers are as many as their count says.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.received_headers.as_mut_ptr(),
                len32(DATAGRAMS),
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    }

    /// Datagrams of a batch.
    pub(crate) const FULL: usize = DATAGRAMS;

    /// The octets of the first `received` datagrams; none of one that was too long to be read whole.
    pub(crate) fn datagrams(&self, received: usize) -> impl Iterator<Item = &[u8]> {
        let headers = self.received_headers[..received].iter();
        headers.zip(&self.received).map(|(header, octets)| uncut(header, octets))
    }

    /// Sends what `answer` makes of the first `received` datagrams: it is given the source, the octets (none of a
    /// datagram that was too long to be read whole) and a buffer for the reply, and returns the reply's octets, 0 for
    /// none. Replies leave from the address that the request came to.
    ///
    /// What the system doesn't take is dropped, the others are sent all the same.
    pub(crate) fn answer(
        &mut self,
        socket: &impl AsRawFd,
        received: usize,
        mut answer: impl FnMut(SocketAddr, &[u8], &mut [u8]) -> usize,
    ) -> Sent {
        let mut replies = 0;
        for at in 0..received {
            let Some(source) = self.source(at) else { continue };
            let datagram = uncut(&self.received_headers[at], &self.received[at]);
            let reply = &mut self.replies[replies * self.reply_len..][..self.reply_len];
            let reply_len = answer(source, datagram, reply).min(self.reply_len);
            if reply_len > 0 {
                self.address(replies, at);
                self.reply_parts[replies].iov_len = reply_len;
                replies += 1;
            }
        }
        self.send(socket, replies)
    }

    /// Where a datagram came from.
    fn source(&self, at: usize) -> Option<SocketAddr> {
        let storage = &self.sources[at];
        let len = self.received_headers[at].msg_hdr.msg_namelen as usize;
        match libc::c_int::from(storage.ss_family) {
            libc::AF_INET if len >= size_of::<libc::sockaddr_in>() => {
                // SAFETY: the family says which structure the kernel has written, the storage is larger and aligned
                // for any.
                let v4 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 if len >= size_of::<libc::sockaddr_in6>() => {
                // SAFETY: as above.
                let v6 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
                let ip = Ipv6Addr::from_octets(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    /// Makes reply `reply` go to where datagram `at` came from, and leave from where it came to.
    fn address(&mut self, reply: usize, at: usize) {
        let (namelen, local) = (self.received_headers[at].msg_hdr.msg_namelen, self.local_address(at));
        let header = &mut self.reply_headers[reply].msg_hdr;
        header.msg_name = ptr::from_mut(&mut self.sources[at]).cast();
        header.msg_namelen = namelen;
        (header.msg_control, header.msg_controllen) = local;
    }

    /// The control message that makes a reply leave from where datagram `at` came to: the one that told where it came to,
    /// and its octets. Null without one.
    fn local_address(&mut self, at: usize) -> (*mut libc::c_void, usize) {
        // The packet's own interface is not pinned down: the route to the client may be another. But a link-local
        // address means nothing without it.
        let header = &self.received_headers[at].msg_hdr;
        for message in messages(header) {
            // SAFETY: the message is within the control buffer, which the batch owns and nobody else refers to now; level,
            // type and length say that the structure is there; it is read and written unaligned, through pointers.
            unsafe {
                let data = libc::CMSG_DATA(message);
                if is(message, libc::IPPROTO_IP, libc::IP_PKTINFO, size_of::<libc::in_pktinfo>()) {
                    // ipi_spec_dst is the local address already.
                    (&raw mut (*data.cast::<libc::in_pktinfo>()).ipi_ifindex).write_unaligned(0);
                    return whole(message, size_of::<libc::in_pktinfo>());
                }
                if is(message, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, size_of::<libc::in6_pktinfo>()) {
                    let info = data.cast::<libc::in6_pktinfo>();
                    let local = (&raw const (*info).ipi6_addr.s6_addr).read_unaligned();
                    if !Ipv6Addr::from_octets(local).is_unicast_link_local() {
                        (&raw mut (*info).ipi6_ifindex).write_unaligned(0);
                    }
                    return whole(message, size_of::<libc::in6_pktinfo>());
                }
            }
        }
        (ptr::null_mut(), 0)
    }

    /// How many datagrams the socket had dropped in all when the last of the `received` ones came, modulo 2^32; `None` when
    /// it has not dropped any.
    pub(crate) fn dropped(&self, received: usize) -> Option<u32> {
        let header = &self.received_headers[received.checked_sub(1)?].msg_hdr;
        let told = messages(header).find(|message| {
            // SAFETY: the message is within the control buffer, and the kernel has written its head.
            unsafe { is(*message, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, size_of::<u32>()) }
        })?;
        // SAFETY: level, type and length say that four octets are there; they are read unaligned.
        Some(unsafe { libc::CMSG_DATA(told).cast::<u32>().read_unaligned() })
    }

    fn send(&mut self, socket: &impl AsRawFd, replies: usize) -> Sent {
        let mut result = Sent::default();
        let mut rest = &mut self.reply_headers[..replies];
        while !rest.is_empty() {
            // SAFETY: see the module's page; the headers are as many as their count says.
            let sent = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), len32(rest.len()), libc::MSG_DONTWAIT)
            };
            let done = match usize::try_from(sent) {
                Ok(sent @ 1..) => {
                    result.sent += sent as u64;
                    sent
                }
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => 0,
                _ => {
                    // The first of the rest could not be sent: drop it, and go on with the next.
                    result.failed += 1;
                    1
                }
            };
            rest = &mut rest[done..];
        }
        result
    }
}

/// The control messages that the kernel has written for a datagram.
fn messages(header: &libc::msghdr) -> impl Iterator<Item = *mut libc::cmsghdr> {
    let some = |message: *mut libc::cmsghdr| (!message.is_null()).then_some(message);
    // SAFETY: the header's control pointer is null or to a buffer aligned for a cmsghdr, its control length what the kernel
    // has written there.
    let first = some(unsafe { libc::CMSG_FIRSTHDR(header) });
    // SAFETY: as above; the message before is one of the header's own, and not null.
    std::iter::successors(first, move |message| some(unsafe { libc::CMSG_NXTHDR(header, *message) }))
}

/// Whether a control message is of this kind, and has its data of so many octets.
///
/// # Safety
/// The message's head can be read.
unsafe fn is(message: *const libc::cmsghdr, level: libc::c_int, kind: libc::c_int, octets: usize) -> bool {
    // SAFETY: by the function's own condition; the length is a computation without access to memory.
    unsafe {
        (*message).cmsg_level == level
            && (*message).cmsg_type == kind
            && (*message).cmsg_len >= libc::CMSG_LEN(len32(octets)) as usize
    }
}

/// A control message with data of so many octets, as an own control buffer.
fn whole(message: *mut libc::cmsghdr, octets: usize) -> (*mut libc::c_void, usize) {
    // SAFETY: a computation without access to memory.
    (message.cast(), unsafe { libc::CMSG_SPACE(len32(octets)) } as usize)
}

/// A received datagram's octets; none if it was cut.
fn uncut<'a>(header: &libc::mmsghdr, octets: &'a [u8; RECEIVED_LEN]) -> &'a [u8] {
    let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
    let len = if cut { 0 } else { (header.msg_len as usize).min(RECEIVED_LEN) };
    &octets[..len]
}

/// C's unsigned int, and with it socklen_t; the lengths here are all far below its end.
fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    fn socket(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    /// Waits until a datagram is there, and receives what is.
    fn receive(batch: &mut Batch, server: &UdpSocket) -> usize {
        server.peek_from(&mut [0]).unwrap();
        batch.receive(server).unwrap()
    }

    #[test]
    fn answers_each_source() {
        let server = socket("127.0.0.1:0");
        let clients = [socket("127.0.0.1:0"), socket("127.0.0.2:0"), socket("127.0.0.3:0")];
        let mut batch = Batch::new(100);
        assert_eq!(batch.receive(&server).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for (at, client) in clients.iter().enumerate() {
            client.send_to(&[b'a'; 10][..=at], server.local_addr().unwrap()).unwrap();
        }
        let mut received = 0;
        while received < 3 {
            let some = receive(&mut batch, &server);
            let sent = batch.answer(&server, some, |source, octets, reply| {
                // The second gets none.
                let text = format!("{} {source}", octets.len());
                reply[..text.len()].copy_from_slice(text.as_bytes());
                if octets.len() == 2 { 0 } else { text.len() }
            });
            assert_eq!(sent.failed, 0);
            received += some;
        }
        for (at, client) in clients.iter().enumerate().filter(|(at, _)| *at != 1) {
            let mut reply = [0; 100];
            let (len, _) = client.recv_from(&mut reply).unwrap();
            let expected = format!("{} {}", at + 1, client.local_addr().unwrap());
            assert_eq!(std::str::from_utf8(&reply[..len]), Ok(&expected[..]));
        }
    }

    #[test]
    fn one_that_cannot_be_sent_does_not_hold_up_the_others() {
        let server = socket("127.0.0.1:0");
        let (first, second) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let mut batch = Batch::new(65_535);
        first.send_to(b"1", server.local_addr().unwrap()).unwrap();
        second.send_to(b"2", server.local_addr().unwrap()).unwrap();
        let mut total = Sent::default();
        let mut received = 0;
        while received < 2 {
            let some = receive(&mut batch, &server);
            // 65,535 octets are more than UDP carries: EMSGSIZE.
            let sent = batch.answer(&server, some, |_, octets, _| if octets == b"1" { 65_535 } else { 1 });
            total.sent += sent.sent;
            total.failed += sent.failed;
            received += some;
        }
        assert_eq!(total, Sent { sent: 1, failed: 1 });
        assert_eq!(second.recv_from(&mut [0; 10]).unwrap().0, 1);
    }

    #[test]
    fn a_datagram_too_long_to_be_read_whole_is_empty() {
        let server = socket("127.0.0.1:0");
        let client = socket("127.0.0.1:0");
        let mut batch = Batch::new(10);
        for (len, expected) in [(RECEIVED_LEN, RECEIVED_LEN), (RECEIVED_LEN + 1, 0), (65_507, 0), (0, 0)] {
            client.send_to(&vec![1; len], server.local_addr().unwrap()).unwrap();
            let received = receive(&mut batch, &server);
            assert_eq!(received, 1);
            let mut seen = None;
            batch.answer(&server, received, |_, octets, _| {
                seen = Some(octets.len());
                0
            });
            assert_eq!(seen, Some(expected));
        }
    }

    #[test]
    fn replies_leave_from_where_the_request_came_to() {
        for (wildcard, locals) in
            [("0.0.0.0:0", &["127.0.0.1", "127.0.0.2", "127.9.8.7"][..]), ("[::]:0", &["::1"])]
        {
            let server = socket(wildcard);
            tell_local_address(server.as_raw_fd(), wildcard.starts_with('[')).unwrap();
            let port = server.local_addr().unwrap().port();
            for local in locals {
                let to = SocketAddr::new(local.parse().unwrap(), port);
                let client = socket(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
                client.send_to(b"?", to).unwrap();
                let mut batch = Batch::new(10);
                let received = receive(&mut batch, &server);
                let sent = batch.answer(&server, received, |_, _, reply| {
                    reply[0] = b'!';
                    1
                });
                assert_eq!(sent, Sent { sent: 1, failed: 0 });
                assert_eq!(client.recv_from(&mut [0; 10]).unwrap(), (1, to));
            }
        }
    }
    #[test]
    fn tells_what_the_kernel_dropped_and_answers_from_the_right_address_then() {
        for (wildcard, local) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
            let server = socket(wildcard);
            tell_local_address(server.as_raw_fd(), wildcard.starts_with('[')).unwrap();
            tell_drops(server.as_raw_fd()).unwrap();
            // The smallest buffer that there is.
            socket2::SockRef::from(&server).set_recv_buffer_size(1).unwrap();
            let to = SocketAddr::new(local.parse().unwrap(), server.local_addr().unwrap().port());
            let client = socket(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
            let mut batch = Batch::new(10);
            let mut received = 0;
            for _ in 0..100 {
                client.send_to(b"?", to).unwrap();
            }
            while let Ok(some) = batch.receive(&server) {
                assert_eq!(batch.dropped(some), None);
                received += some;
            }
            assert!(received < 100);
            // What comes after the drops tells of them.
            client.send_to(b"?", to).unwrap();
            let some = receive(&mut batch, &server);
            assert_eq!(batch.dropped(some).map(|dropped| dropped as usize), Some(100 - received));
            let sent = batch.answer(&server, some, |_, _, reply| {
                reply[0] = b'!';
                1
            });
            assert_eq!(sent, Sent { sent: 1, failed: 0 });
            assert_eq!(client.recv_from(&mut [0; 10]).unwrap(), (1, to));
        }
    }
}
