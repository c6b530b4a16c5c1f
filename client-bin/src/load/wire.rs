//! Many datagrams with one system call: recvmmsg(2), sendmmsg(2), and sendmsg(2) with UDP_SEGMENT, on Linux.
//!
//! This is the one place with unsafe code. Its reasoning: an [`Inbox`] and an [`Outlet`] allocate all buffers when they
//! are made, in boxes that are never resized or replaced, and the headers that the kernel gets point into these, or, while
//! a call lasts, into a slice that is borrowed for it. So every pointer is valid when the kernel follows it, whether or
//! not the boxes' owner is moved. The kernel writes no further than the lengths in the headers, which are set anew before
//! each call, and it keeps no pointer after a call. Pointers make both neither `Send` nor `Sync`, so nobody else touches
//! the buffers meanwhile.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use socket2::{SockAddr, SockAddrStorage};

/// Datagrams of a batch; also the segments that every kernel with UDP_SEGMENT takes at once.
pub(super) const BATCH: usize = 64;
/// Octets of the longest datagram that is read. Answers have 1232 or less, unless a tracker is set to give more.
const RECEIVED_LEN: usize = 4096;
/// Octets that one call with UDP_SEGMENT can carry: one datagram's.
const SEGMENTED_LEN: usize = 65_507;

/// Room for one control message, of two octets.
#[repr(C, align(8))]
struct Control([u8; 32]);

/// Receives datagrams in batches.
pub(super) struct Inbox {
    octets: Box<[[u8; RECEIVED_LEN]]>,
    sources: Box<[libc::sockaddr_storage]>,
    // Read by the kernel through the headers.
    _parts: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

/// Sends datagrams in batches, to one address.
pub(super) struct Outlet {
    to: Box<SockAddr>,
    segment: bool,
    control: Box<Control>,
    parts: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

fn no_headers() -> Box<[libc::mmsghdr]> {
    // SAFETY: all-zero octets are a value of this C structure: numbers, and null pointers.
    vec![unsafe { zeroed::<libc::mmsghdr>() }; BATCH].into_boxed_slice()
}

impl Inbox {
    pub(super) fn new() -> Self {
        let mut octets = vec![[0; RECEIVED_LEN]; BATCH].into_boxed_slice();
        // SAFETY: all-zero octets are a value of this C structure, which has only numbers.
        let mut sources = vec![unsafe { zeroed::<libc::sockaddr_storage>() }; BATCH].into_boxed_slice();
        let mut parts: Box<[_]> = octets
            .iter_mut()
            .map(|octets| libc::iovec { iov_base: octets.as_mut_ptr().cast(), iov_len: RECEIVED_LEN })
            .collect();
        let mut headers = no_headers();
        for at in 0..BATCH {
            let header = &mut headers[at].msg_hdr;
            header.msg_name = ptr::from_mut(&mut sources[at]).cast();
            header.msg_iov = &raw mut parts[at];
            header.msg_iovlen = 1;
        }
        Self { octets, sources, _parts: parts, headers }
    }

    /// Receives what is there, up to [`BATCH`] datagrams, without waiting; returns how many.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        for header in &mut self.headers {
            header.msg_hdr.msg_namelen = len32(size_of::<libc::sockaddr_storage>());
            header.msg_hdr.msg_flags = 0;
        }
        // SAFETY: see the module's page; the headers are as many as their count says.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                len32(BATCH),
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        usize::try_from(received).or_else(|_| nothing_yet(io::Error::last_os_error()))
    }

    /// Where the `at`-th datagram of the last batch came from, and its octets; `None` for one that was too long.
    pub(super) fn datagram(&self, at: usize) -> (Option<SocketAddr>, Option<&[u8]>) {
        let header = &self.headers[at];
        let mut storage = SockAddrStorage::zeroed();
        // SAFETY: the kernel has written an address of this length, or nothing and a length of 0; then the storage has an
        // older address or zeros. `storage` is of the type it is viewed as.
        let source = unsafe {
            *storage.view_as::<libc::sockaddr_storage>() = self.sources[at];
            SockAddr::new(storage, header.msg_hdr.msg_namelen)
        };
        let whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
        let octets = whole.then(|| &self.octets[at][..(header.msg_len as usize).min(RECEIVED_LEN)]);
        (source.as_socket().filter(|_| header.msg_hdr.msg_namelen > 0), octets)
    }
}

impl Outlet {
    /// `segment` tells whether the kernel is to cut the datagrams apart itself (UDP_SEGMENT), which spares it most of the
    /// way through its own layers for each.
    pub(super) fn new(to: SocketAddr, segment: bool) -> Self {
        // SAFETY: all-zero octets are a value of this C structure: a number, and a null pointer.
        let part = unsafe { zeroed::<libc::iovec>() };
        Self {
            to: Box::new(to.into()),
            segment,
            control: Box::new(Control([0; 32])),
            parts: vec![part; BATCH].into_boxed_slice(),
            headers: no_headers(),
        }
    }

    /// Sends datagrams of `len` octets each, which stand one after the other in `octets`; returns how many were taken,
    /// which are fewer when the socket's buffer is full.
    pub(super) fn send(&mut self, socket: &UdpSocket, octets: &[u8], len: u16) -> io::Result<usize> {
        let at_once = if self.segment { (SEGMENTED_LEN / usize::from(len)).min(BATCH) } else { BATCH };
        let mut sent = 0;
        for batch in octets.chunks(at_once * usize::from(len)) {
            let count = batch.len() / usize::from(len);
            let result = if self.segment && count > 1 {
                self.send_segmented(socket, batch, len).map(|()| count)
            } else {
                self.send_each(socket, batch, usize::from(len))
            };
            let taken = result.or_else(nothing_yet)?;
            sent += taken;
            if taken < count {
                break;
            }
        }
        Ok(sent)
    }

    fn send_segmented(&mut self, socket: &UdpSocket, octets: &[u8], len: u16) -> io::Result<()> {
        self.address(0, octets);
        let header = &mut self.headers[0].msg_hdr;
        header.msg_control = ptr::from_mut(&mut *self.control).cast();
        // SAFETY: a computation without access to memory.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(len32(size_of::<u16>())) } as usize;
        // SAFETY: the header's control buffer is aligned for a cmsghdr, and long enough for it and the two octets after it.
        unsafe {
            let message = libc::CMSG_FIRSTHDR(header);
            (*message).cmsg_level = libc::SOL_UDP;
            (*message).cmsg_type = libc::UDP_SEGMENT;
            (*message).cmsg_len = libc::CMSG_LEN(len32(size_of::<u16>())) as usize;
            libc::CMSG_DATA(message).cast::<u16>().write_unaligned(len);
        }
        // SAFETY: see the module's page.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), header, libc::MSG_DONTWAIT) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn send_each(&mut self, socket: &UdpSocket, octets: &[u8], len: usize) -> io::Result<usize> {
        let mut count = 0;
        for datagram in octets.chunks_exact(len).take(BATCH) {
            self.address(count, datagram);
            count += 1;
        }
        // SAFETY: see the module's page; as many headers as counted were set.
        let sent = unsafe {
            libc::sendmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), len32(count), libc::MSG_DONTWAIT)
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Sets a header for octets that are borrowed until the call.
    fn address(&mut self, at: usize, octets: &[u8]) {
        // The kernel only reads what it sends.
        self.parts[at] = libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
        let header = &mut self.headers[at].msg_hdr;
        header.msg_name = self.to.as_ptr().cast_mut().cast();
        header.msg_namelen = self.to.len();
        header.msg_iov = &raw mut self.parts[at];
        header.msg_iovlen = 1;
        header.msg_control = ptr::null_mut();
        header.msg_controllen = 0;
    }
}

/// That there is nothing to read, or no room to write, is no failure.
fn nothing_yet(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
        _ if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(0),
        _ => Err(error),
    }
}

/// C's unsigned int, and with it socklen_t; the lengths here are all far below its end.
fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn socket(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    #[test]
    fn datagrams_arrive_one_by_one_and_in_order() {
        for (address, segment) in
            [("127.0.0.1:0", true), ("127.0.0.1:0", false), ("[::1]:0", true), ("[::1]:0", false)]
        {
            let (from, to) = (socket(address), socket(address));
            let mut outlet = Outlet::new(to.local_addr().unwrap(), segment);
            let octets: Vec<u8> = (0..100_u8).flat_map(|number| [number; 7]).collect();
            assert_eq!(outlet.send(&from, &octets, 7).unwrap(), 100);
            for number in 0..100 {
                let mut datagram = [0; 100];
                let (len, source) = to.recv_from(&mut datagram).unwrap();
                assert_eq!((&datagram[..len], source), (&[number; 7][..], from.local_addr().unwrap()));
            }
            // One alone has no segments.
            assert_eq!(outlet.send(&from, &[1; 98], 98).unwrap(), 1);
            assert_eq!(to.recv(&mut [0; 100]).unwrap(), 98);
        }
    }

    #[test]
    fn long_ones_are_spread_over_calls() {
        let (from, to) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let mut outlet = Outlet::new(to.local_addr().unwrap(), true);
        let octets = vec![5; 50 * 1496];
        let sent = outlet.send(&from, &octets, 1496).unwrap();
        assert_eq!(sent, 50);
        for _ in 0..sent {
            assert_eq!(to.recv(&mut [0; 2000]).unwrap(), 1496);
        }
    }

    #[test]
    fn receives_with_sources() {
        let to = socket("127.0.0.1:0");
        let mut inbox = Inbox::new();
        assert_eq!(inbox.receive(&to).unwrap(), 0);
        let (first, second) = (socket("127.0.0.1:0"), socket("127.0.0.2:0"));
        for (from, datagram) in [(&first, &[1; 3][..]), (&second, &[2; RECEIVED_LEN + 1]), (&first, &[])] {
            from.send_to(datagram, to.local_addr().unwrap()).unwrap();
        }
        let started = Instant::now();
        let mut seen = Vec::new();
        while seen.len() < 3 && started.elapsed() < Duration::from_secs(10) {
            let received = inbox.receive(&to).unwrap();
            seen.extend((0..received).map(|at| {
                let (source, octets) = inbox.datagram(at);
                (source.unwrap(), octets.map(<[u8]>::to_vec))
            }));
        }
        let (first, second) = (first.local_addr().unwrap(), second.local_addr().unwrap());
        assert_eq!(seen, [(first, Some(vec![1; 3])), (second, None), (first, Some(vec![]))]);
    }
}
