//! Sockets to listen on: several for one address, among which the kernel spreads the datagrams.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use datagram_batch::{report_drops, report_local_address, set_receive_buffer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tracing::{info, warn};

use crate::config::Config;

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on udp://{address}: {source}{advice}")]
pub struct ListenError {
    /// Which address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
    advice: &'static str,
}

impl ListenError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        let advice = match source.raw_os_error() {
            Some(libc::EADDRINUSE) => {
                "; stop the program that uses the port, or choose another with --listen"
            }
            Some(libc::EACCES | libc::EPERM) => {
                "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE: choose another with --listen"
            }
            Some(libc::EADDRNOTAVAIL) => "; choose an address of this machine with --listen",
            Some(libc::EAFNOSUPPORT) => {
                "; this machine has no IPv6: choose IPv4 addresses with --listen 0.0.0.0:6969"
            }
            Some(libc::EINVAL) if address.is_ipv6() => {
                "; write an IPv4 address as such, and a link-local one with its interface's number: [fe80::1%2]:6969"
            }
            _ => "",
        };
        Self { address, source, advice }
    }

    /// Whether the machine lacks the whole address family, or has it switched off.
    pub(crate) fn is_missing_family(&self) -> bool {
        matches!(self.source.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
    }
}

/// As many sockets as wanted, one at least, all bound to the address; they tell and set the local address of datagrams
/// when it is a wildcard, and how many the kernel has dropped. Port 0 becomes the same free port for all. A receive buffer
/// of 0 octets is the system's default.
pub(crate) fn listen(
    address: SocketAddr,
    sockets: usize,
    receive_buffer: usize,
) -> Result<Vec<UdpSocket>, ListenError> {
    // The first is bound without SO_REUSEPORT, so that it fails when somebody else has the port, a second tracker of
    // ours included. It gets the option then, and lets its siblings in.
    let first = open(address, false, receive_buffer)?;
    first.set_reuse_port(true).map_err(|error| ListenError::new(address, error))?;
    let first = UdpSocket::from(first);
    let bound = first.local_addr().map_err(|error| ListenError::new(address, error))?;
    if let Some(got) = smaller_buffer(&first, receive_buffer) {
        let asked = receive_buffer;
        let text = format!("the system gives {got} instead of {asked}; see net.core.rmem_max");
        // Nobody asked for the default in particular.
        if asked == Config::default().receive_buffer_octets {
            info!("receive_buffer_octets: {text}");
        } else {
            warn!("receive_buffer_octets: {text}");
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
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if reuse_port {
            socket.set_reuse_port(true)?;
        }
        if address.ip().is_unspecified() {
            report_local_address(&socket)?;
        }
        report_drops(&socket)?;
        if receive_buffer > 0 {
            set_receive_buffer(&socket, receive_buffer)?;
        }
        socket.bind(&address.into())?;
        Ok(socket)
    };
    open().map_err(|error| ListenError::new(address, error))
}

/// The receive buffer that a socket has got, if that is less than wanted.
fn smaller_buffer(socket: &UdpSocket, wanted: usize) -> Option<usize> {
    // The kernel doubles what it is told, for its own needs, and tells the double.
    let got = SockRef::from(socket).recv_buffer_size().ok()? / 2;
    (got < wanted).then_some(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_share_a_port_that_nobody_else_gets() {
        let sockets = listen("127.0.0.1:0".parse().unwrap(), 3, 0).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert_ne!(address.port(), 0);
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        let error = listen(address, 1, 0).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("stop the program that uses the port"), "{error}");
    }

    #[test]
    fn a_receive_buffer_as_large_as_allowed() {
        let of = |wanted| {
            let sockets = listen("127.0.0.1:0".parse().unwrap(), 2, wanted).unwrap();
            sockets.iter().map(|socket| SockRef::from(socket).recv_buffer_size().unwrap()).collect::<Vec<_>>()
        };
        // Less than every system's maximum, and not its default.
        assert_eq!(of(54_321), [108_642; 2]);
        assert!(of(0).iter().all(|got| *got > 0 && *got != 108_642));
        // More than some systems give to everybody.
        assert!(of(64 << 20).iter().all(|got| *got > 0));
    }

    #[test]
    fn says_what_to_do() {
        let error = listen("192.0.2.1:0".parse().unwrap(), 1, 0).unwrap_err().to_string();
        assert!(error.starts_with("cannot listen on udp://192.0.2.1:0: "), "{error}");
        assert!(error.ends_with("choose an address of this machine with --listen"), "{error}");
    }
}
