//! The crate's unsafe code: recvmmsg(2), sendmmsg(2), UDP_SEGMENT and their control messages.
//!
//! Why it is sound. The headers, names and control messages of a call are in arrays on the stack of the function that
//! makes the call. Each array is written and read through one pointer, which is taken once, so no reference to it is
//! made in between. The arrays don't move while the function runs. The data is in slices that are borrowed for the
//! whole function. So every pointer in a header is valid during the call, and none outlives the function. The kernel
//! writes within the lengths in the headers. Of the name and the control messages of a sent datagram it reads only the
//! bytes that the lengths include, and all of these were written before. What the kernel wrote is read only as far as
//! the lengths and flags that it returned allow.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZeroU16;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::{Duration, UNIX_EPOCH};

use crate::BATCH;
use crate::head::{Count, Head, LocalAddress, UNKNOWN};
use crate::transmit::{Sent, Transmit, send_each};

/// The number of datagrams that every kernel with UDP_SEGMENT can cut from one buffer.
pub(crate) const SEGMENTS: usize = 64;
/// The most bytes in such a buffer: those of one datagram.
pub(crate) const SEGMENTED_LEN: usize = 65_507;

/// A socket address of one of the two families; both structures begin with the family.
#[derive(Clone, Copy)]
#[repr(C)]
union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Space for the control messages of a datagram: SO_RXQ_OVFL (24 bytes) and SO_TIMESTAMPNS (32) with IP_PKTINFO (32) or
/// IPV6_PKTINFO (40), or UDP_SEGMENT (24) with one of the latter two.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 96]);

/// An array of uninitialised values.
const fn room<T>() -> [MaybeUninit<T>; BATCH] {
    [const { MaybeUninit::uninit() }; BATCH]
}

/// The pointer through which an array is written and read.
const fn first<T>(array: &mut [MaybeUninit<T>; BATCH]) -> *mut T {
    array.as_mut_ptr().cast()
}

pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffers: &mut [u8],
    stride: usize,
    heads: &mut [Head; BATCH],
) -> io::Result<Count> {
    let (mut names, mut controls) = (room::<Name>(), room::<Control>());
    let (mut parts, mut headers) = (room::<libc::iovec>(), room::<libc::mmsghdr>());
    let (names, controls) = (first(&mut names), first(&mut controls));
    let (parts, headers) = (first(&mut parts), first(&mut headers));
    let mut count = 0;
    for buffer in buffers.chunks_exact_mut(stride).take(BATCH) {
        // SAFETY: the arrays have BATCH elements and `count` is below that; all-zero bytes are a valid header.
        unsafe {
            let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            parts.add(count).write(part);
            let mut header: libc::mmsghdr = zeroed();
            header.msg_hdr.msg_name = names.add(count).cast();
            header.msg_hdr.msg_namelen = convert(size_of::<Name>());
            header.msg_hdr.msg_iov = parts.add(count);
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = controls.add(count).cast();
            header.msg_hdr.msg_controllen = convert(size_of::<Control>());
            headers.add(count).write(header);
        }
        count += 1;
    }
    // On a blocking socket the call may wait for the first datagram, but not for more.
    let flags = libc::MSG_WAITFORONE;
    // SAFETY: see the module's documentation; `count` headers are written.
    let received = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), headers, convert(count), convert(flags), ptr::null_mut())
    };
    let datagrams = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let (mut dropped, mut arrived) = (None, None);
    for (at, head) in heads.iter_mut().enumerate().take(datagrams) {
        // SAFETY: the header was written above and by the kernel; its name and control messages are in the arrays.
        unsafe {
            let header = &*headers.add(at);
            let len = convert(header.msg_len);
            let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            *head = Head { source: source(&header.msg_hdr), local: None, len, truncated };
            for message in messages(&header.msg_hdr) {
                match ((*message).cmsg_level, (*message).cmsg_type) {
                    (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                        head.local = data(message).map(|info: libc::in_pktinfo| {
                            // ipi_addr is the destination in the IP header, which may be a multicast group.
                            let ip = Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr));
                            LocalAddress { ip: ip.into(), interface: convert(info.ipi_ifindex) }
                        });
                    }
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                        head.local = data(message).map(|info: libc::in6_pktinfo| {
                            let ip = Ipv6Addr::from_octets(info.ipi6_addr.s6_addr);
                            LocalAddress { ip: ip.into(), interface: convert(info.ipi6_ifindex) }
                        });
                    }
                    (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => dropped = data(message).or(dropped),
                    (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) if at == 0 => {
                        arrived = data(message).and_then(|time: libc::timespec| {
                            let seconds = Duration::from_secs(u64::try_from(time.tv_sec).ok()?);
                            let rest = Duration::from_nanos(u64::try_from(time.tv_nsec).ok()?);
                            UNIX_EPOCH.checked_add(seconds + rest)
                        });
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(Count { datagrams, dropped, arrived })
}

/// Sends all datagrams. Returns whether there was room for them. The counts include all that the iterator returned.
pub(crate) fn send<'a>(
    socket: BorrowedFd<'_>,
    datagrams: &mut impl Iterator<Item = Transmit<'a>>,
    sent: &mut Sent,
) -> bool {
    let (mut names, mut controls) = (room::<Name>(), room::<Control>());
    let (mut parts, mut headers) = (room::<libc::iovec>(), room::<libc::mmsghdr>());
    let (names, controls) = (first(&mut names), first(&mut controls));
    let (parts, headers) = (first(&mut parts), first(&mut headers));
    loop {
        let mut count = 0;
        for datagram in datagrams.by_ref().take(BATCH) {
            // SAFETY: the arrays have BATCH elements and `count` is below that.
            unsafe {
                let (name, control) = (names.add(count), controls.add(count));
                let msg_hdr = header(&datagram, name, parts.add(count), control, None);
                headers.add(count).write(libc::mmsghdr { msg_hdr, msg_len: 0 });
            }
            count += 1;
        }
        if count == 0 {
            return true;
        }
        let room = send_each(count, sent, |done| {
            // SAFETY: see the module's documentation; `count` headers are written, and `done` is below that.
            let taken =
                unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.add(done), convert(count - done), 0) };
            usize::try_from(taken).map_err(|_| io::Error::last_os_error())
        });
        if !room {
            return false;
        }
    }
}

/// Sends one buffer that the kernel cuts into datagrams.
pub(crate) fn send_segments(
    socket: BorrowedFd<'_>,
    datagrams: &Transmit<'_>,
    segment_len: NonZeroU16,
) -> io::Result<()> {
    let mut name = MaybeUninit::uninit();
    let mut part = MaybeUninit::uninit();
    let mut control = MaybeUninit::uninit();
    // SAFETY: see the module's documentation.
    let sent = unsafe {
        let header = header(
            datagrams,
            name.as_mut_ptr(),
            part.as_mut_ptr(),
            control.as_mut_ptr(),
            Some(segment_len.get()),
        );
        libc::sendmsg(socket.as_raw_fd(), &raw const header, 0)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether the error means that the kernel, the network card or the segments' length does not permit UDP_SEGMENT.
pub(crate) fn is_without_segments(error: &io::Error) -> bool {
    let unable = [libc::EINVAL, libc::EIO, libc::EMSGSIZE, libc::ENOPROTOOPT, libc::EOPNOTSUPP];
    error.raw_os_error().is_some_and(|code| unable.contains(&code))
}

pub(crate) fn report_local_address(socket: BorrowedFd<'_>) -> io::Result<()> {
    match rustix::net::sockopt::socket_domain(socket)? {
        rustix::net::AddressFamily::INET6 => set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, true),
        _ => set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, true),
    }
}

pub(crate) fn report_drops(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, true)
}

pub(crate) fn report_arrival(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, on)
}

/// Switches an option on or off.
fn set(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int, on: bool) -> io::Result<()> {
    let on = libc::c_int::from(on);
    let len = convert(size_of::<libc::c_int>());
    // SAFETY: the option's value is a c_int that lives through the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, ptr::from_ref(&on).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The source of a datagram.
///
/// # Safety
/// The header's name is null, or a [`Name`] and the kernel has written as many of its bytes as the header states.
unsafe fn source(header: &libc::msghdr) -> SocketAddr {
    let name: *const Name = header.msg_name.cast();
    let has = |len: usize| len <= convert(header.msg_namelen);
    if !has(size_of::<libc::sockaddr_in>()) {
        return UNKNOWN;
    }
    // SAFETY: the family is within the shorter of the two structures, and tells which of the two is present.
    unsafe {
        match libc::c_int::from((*name).family) {
            libc::AF_INET => {
                let v4 = (*name).v4;
                let ip = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
                SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into()
            }
            libc::AF_INET6 if has(size_of::<libc::sockaddr_in6>()) => {
                let v6 = (*name).v6;
                let ip = Ipv6Addr::from_octets(v6.sin6_addr.s6_addr);
                SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into()
            }
            _ => UNKNOWN,
        }
    }
}

/// Writes the name, the buffer and the control messages of a datagram, and returns a header that points to them.
///
/// # Safety
/// Each pointer points to space for one value. The values and the datagram's bytes live as long as the header is used.
unsafe fn header(
    datagram: &Transmit<'_>,
    name: *mut Name,
    part: *mut libc::iovec,
    control: *mut Control,
    segment_len: Option<u16>,
) -> libc::msghdr {
    let (value, name_len) = name_of(datagram.destination);
    // The kernel only reads the bytes that it sends.
    let bytes = datagram.bytes.as_ptr().cast_mut().cast();
    // SAFETY: by this function's contract; all-zero bytes are a valid header.
    unsafe {
        name.write(value);
        part.write(libc::iovec { iov_base: bytes, iov_len: datagram.bytes.len() });
        let mut header: libc::msghdr = zeroed();
        header.msg_name = name.cast();
        header.msg_namelen = convert(name_len);
        header.msg_iov = part;
        header.msg_iovlen = 1;
        if datagram.source.is_none() && segment_len.is_none() {
            return header;
        }
        // CMSG_NXTHDR reads the length of the message after the one that it leaves.
        control.write(Control([0; 96]));
        header.msg_control = control.cast();
        header.msg_controllen = convert(size_of::<Control>());
        let mut message = libc::CMSG_FIRSTHDR(&raw const header);
        let mut len = 0;
        match datagram.source {
            Some(LocalAddress { ip: IpAddr::V4(ip), .. }) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: ip.to_bits().to_be() },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                len += write(message, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
                message = libc::CMSG_NXTHDR(&raw const header, message);
            }
            Some(LocalAddress { ip: IpAddr::V6(ip), interface }) => {
                let interface = if ip.is_unicast_link_local() { interface } else { 0 };
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                    ipi6_ifindex: convert(interface),
                };
                len += write(message, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
                message = libc::CMSG_NXTHDR(&raw const header, message);
            }
            None => {}
        }
        if let Some(segment_len) = segment_len {
            len += write(message, libc::SOL_UDP, libc::UDP_SEGMENT, segment_len);
        }
        header.msg_controllen = convert(len);
        header
    }
}

/// A socket address in the kernel's form, and its length in bytes.
fn name_of(address: SocketAddr) -> (Name, usize) {
    match address {
        SocketAddr::V4(v4) => {
            let v4 = libc::sockaddr_in {
                sin_family: convert(libc::AF_INET),
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: v4.ip().to_bits().to_be() },
                sin_zero: [0; 8],
            };
            (Name { v4 }, size_of::<libc::sockaddr_in>())
        }
        SocketAddr::V6(v6) => {
            let v6 = libc::sockaddr_in6 {
                sin6_family: convert(libc::AF_INET6),
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            (Name { v6 }, size_of::<libc::sockaddr_in6>())
        }
    }
}

/// The control messages that the kernel has written for a datagram.
///
/// # Safety
/// The header's control pointer is null, or points to a buffer that is aligned for a cmsghdr and holds as many bytes as
/// the header states.
unsafe fn messages(header: &libc::msghdr) -> impl Iterator<Item = *const libc::cmsghdr> {
    let some = |message: *mut libc::cmsghdr| (!message.is_null()).then_some(message.cast_const());
    // SAFETY: by this function's contract.
    let message = some(unsafe { libc::CMSG_FIRSTHDR(header) });
    // SAFETY: as above; the previous message is one of this header, and not null.
    std::iter::successors(message, move |message| some(unsafe { libc::CMSG_NXTHDR(header, *message) }))
}

/// A control message's data, if it is long enough.
///
/// # Safety
/// The message is whole, and any bytes are a valid value of the C structure `T`.
unsafe fn data<T: Copy>(message: *const libc::cmsghdr) -> Option<T> {
    // SAFETY: by this function's contract; the data may be unaligned and is read as such.
    unsafe {
        let needed: usize = convert(libc::CMSG_LEN(convert(size_of::<T>())));
        let len: usize = convert((*message).cmsg_len);
        (len >= needed).then(|| libc::CMSG_DATA(message).cast::<T>().read_unaligned())
    }
}

/// Writes a control message. Returns the bytes that it takes, including those that align the next one.
///
/// # Safety
/// There is space for the message.
unsafe fn write<T>(message: *mut libc::cmsghdr, level: libc::c_int, kind: libc::c_int, data: T) -> usize {
    // SAFETY: by this function's contract; the data may be unaligned and is written as such.
    unsafe {
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = convert(libc::CMSG_LEN(convert(size_of::<T>())));
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(data);
        convert(libc::CMSG_SPACE(convert(size_of::<T>())))
    }
}

/// Converts a number between integer types of C, which differ among C libraries. The numbers used here fit all of them.
fn convert<From, To: TryFrom<From> + Default>(number: From) -> To {
    To::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;
    use crate::BatchSender;

    #[test]
    fn sends_one_by_one_when_the_kernel_does_not_cut() {
        let (from, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        // Without checksums the kernel cuts nothing and returns EIO.
        set(from.as_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, true).unwrap();
        let mut sender = BatchSender::new();
        let transmit = Transmit::new(to.local_addr().unwrap(), b"aabbc");
        let segment_len = NonZeroU16::new(2).unwrap();
        let error = send_segments(from.as_fd(), &transmit, segment_len).unwrap_err();
        assert!(is_without_segments(&error), "{error}");
        for _ in 0..2 {
            let sent = sender.send_segments(&from, transmit, segment_len);
            assert_eq!((sent.sent, sent.failed, sent.no_room), (3, 0, 0), "{:?}", sent.error);
            for expected in [&b"aa"[..], b"bb", b"c"] {
                let mut bytes = [0; 10];
                let len = to.recv(&mut bytes).unwrap();
                assert_eq!(&bytes[..len], expected);
            }
        }
    }
}
