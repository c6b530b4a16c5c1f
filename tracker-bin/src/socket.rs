//! Sockets to listen on: several for one address, among which the kernel spreads the datagrams.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

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
/// when it is a wildcard. Port 0 becomes the same free port for all.
pub(crate) fn listen(address: SocketAddr, sockets: usize) -> Result<Vec<UdpSocket>, ListenError> {
    // The first is bound without SO_REUSEPORT, so that it fails when somebody else has the port, a second tracker of
    // ours included. It gets the option then, and lets its siblings in.
    let first = open(address, false)?;
    first.set_reuse_port(true).map_err(|error| ListenError::new(address, error))?;
    let first = UdpSocket::from(first);
    let bound = first.local_addr().map_err(|error| ListenError::new(address, error))?;
    let mut all = vec![first];
    while all.len() < sockets {
        all.push(open(bound, true)?.into());
    }
    Ok(all)
}

fn open(address: SocketAddr, reuse_port: bool) -> Result<Socket, ListenError> {
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
            crate::mmsg::tell_local_address(socket.as_raw_fd(), address.is_ipv6())?;
        }
        socket.bind(&address.into())?;
        Ok(socket)
    };
    open().map_err(|error| ListenError::new(address, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_share_a_port_that_nobody_else_gets() {
        let sockets = listen("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert_ne!(address.port(), 0);
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        let error = listen(address, 1).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("stop the program that uses the port"), "{error}");
    }

    #[test]
    fn says_what_to_do() {
        let error = listen("192.0.2.1:0".parse().unwrap(), 1).unwrap_err().to_string();
        assert!(error.starts_with("cannot listen on udp://192.0.2.1:0: "), "{error}");
        assert!(error.ends_with("choose an address of this machine with --listen"), "{error}");
    }
}
