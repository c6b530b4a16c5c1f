//! Listening sockets: several for one address, among which the kernel distributes the datagrams.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use datagram_batch::{report_arrival, report_drops, report_local_address, set_receive_buffer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tracing::{info, warn};

use super::settings::ServerSettings;

/// Why the tracker can't listen on an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on udp://{address}: {source}{advice}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// The system's error.
    pub source: io::Error,
    advice: &'static str,
}

impl ListenError {
    pub(super) fn new(address: SocketAddr, source: io::Error) -> Self {
        let advice = match source.raw_os_error() {
            Some(libc::EADDRINUSE) => "; stop the program that uses the port, or choose another",
            Some(libc::EACCES | libc::EPERM) => {
                "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE: choose another"
            }
            Some(libc::EADDRNOTAVAIL) => "; choose an address of this machine",
            Some(libc::EAFNOSUPPORT) => {
                "; this machine has no IPv6: choose IPv4 addresses, such as 0.0.0.0:6969"
            }
            Some(libc::EINVAL) if address.is_ipv6() => {
                "; write an IPv4 address as such, and a link-local one with its interface's number: [fe80::1%2]:6969"
            }
            _ => "",
        };
        Self { address, source, advice }
    }

    /// Whether the machine does not support the address family, or has it switched off.
    pub(super) fn is_missing_family(&self) -> bool {
        matches!(self.source.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
    }
}

/// This many sockets, at least one, all bound to the address. If it is a wildcard, they report and set the local
/// address of datagrams. They report how many datagrams the kernel has dropped, and when datagrams arrived. Port 0 becomes the same free port for
/// all. A receive buffer of 0 bytes is the system's default.
pub(super) fn listen(
    address: SocketAddr,
    sockets: usize,
    receive_buffer: usize,
) -> Result<Vec<UdpSocket>, ListenError> {
    // The first is bound without SO_REUSEPORT, so that it fails when another program has the port, such as a second
    // tracker. Then it gets the option, which admits the other sockets.
    let first = open(address, false, receive_buffer)?;
    first.set_reuse_port(true).map_err(|error| ListenError::new(address, error))?;
    let first = UdpSocket::from(first);
    let bound = first.local_addr().map_err(|error| ListenError::new(address, error))?;
    if let Some(got) = smaller_buffer(&first, receive_buffer) {
        let asked = receive_buffer;
        let text = format!("the system gives {got} instead of {asked}; see net.core.rmem_max");
        // The default size was not configured explicitly.
        if asked == ServerSettings::default().receive_buffer_bytes {
            info!("receive_buffer_bytes: {text}");
        } else {
            warn!("receive_buffer_bytes: {text}");
        }
    }
    let mut all = vec![first];
    while all.len() < sockets {
        all.push(open(bound, true, receive_buffer)?.into());
    }
    Ok(all)
}

fn open(address: SocketAddr, reuse_port: bool, receive_buffer: usize) -> Result<Socket, ListenError> {
    let open = || {
        let socket = unbound(address, receive_buffer)?;
        socket.set_reuse_port(reuse_port)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    open().map_err(|error| ListenError::new(address, error))
}

/// A socket that can be bound to an address that sockets of this tracker have.
pub(super) fn open_unbound(address: SocketAddr, receive_buffer: usize) -> Result<Socket, ListenError> {
    let open = || {
        let socket = unbound(address, receive_buffer)?;
        socket.set_reuse_port(true)?;
        Ok(socket)
    };
    open().map_err(|error| ListenError::new(address, error))
}

fn unbound(address: SocketAddr, receive_buffer: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    prepare(&SockRef::from(&socket), address, receive_buffer)?;
    Ok(socket)
}

/// Sets what a worker needs of a socket for this address, which may be bound.
pub(super) fn prepare(socket: &SockRef<'_>, address: SocketAddr, receive_buffer: usize) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if address.ip().is_unspecified() {
        report_local_address(&**socket)?;
    }
    report_drops(&**socket)?;
    report_arrival(&**socket, true)?;
    if receive_buffer > 0 {
        set_receive_buffer(&**socket, receive_buffer)?;
    }
    Ok(())
}

/// The socket's receive buffer, if it is smaller than `wanted`.
fn smaller_buffer(socket: &UdpSocket, wanted: usize) -> Option<usize> {
    // The kernel doubles the value for its own use, and reports the double.
    let got = SockRef::from(socket).recv_buffer_size().ok()? / 2;
    (got < wanted).then_some(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_one_tracker_share_a_port_that_no_other_gets() {
        let sockets = listen("127.0.0.1:0".parse().unwrap(), 3, 0).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert_ne!(address.port(), 0);
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        let error = listen(address, 1, 0).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("stop the program that uses the port"), "{error}");
    }

    #[test]
    fn sets_a_receive_buffer_as_large_as_allowed() {
        let of = |wanted| {
            let sockets = listen("127.0.0.1:0".parse().unwrap(), 2, wanted).unwrap();
            sockets.iter().map(|socket| SockRef::from(socket).recv_buffer_size().unwrap()).collect::<Vec<_>>()
        };
        // Less than every system's maximum, and not the default.
        assert_eq!(of(54_321), [108_642; 2]);
        assert!(of(0).iter().all(|got| *got > 0 && *got != 108_642));
        // More than some systems permit without privileges.
        assert!(of(64 << 20).iter().all(|got| *got > 0));
    }

    #[test]
    fn errors_contain_advice() {
        let error = listen("192.0.2.1:0".parse().unwrap(), 1, 0).unwrap_err().to_string();
        assert!(error.starts_with("cannot listen on udp://192.0.2.1:0: "), "{error}");
        assert!(error.ends_with("choose an address of this machine"), "{error}");
    }
}
