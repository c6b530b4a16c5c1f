//! Sockets that listen and connect.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::options::USUAL_PORT;

/// Connections that may wait for being accepted.
const BACKLOG: i32 = 128;
/// How often to try another port when the port chosen for IPv4 is taken for IPv6.
const TRIES: u32 = 16;

/// Why the client can't listen for peers.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; another port can be chosen, or 0 for any")]
pub struct ListenError {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The system's error.
    pub source: io::Error,
}

/// Listens on the port over IPv4, and over IPv6 if the machine has it; or only on the given address.
pub(super) fn listen(ip: Option<IpAddr>, port: Option<u16>) -> Result<Vec<TcpListener>, ListenError> {
    let Some(port) = port else {
        return listen(ip, Some(USUAL_PORT)).or_else(|_| listen(ip, Some(0)));
    };
    if let Some(ip) = ip {
        return Ok(vec![listen_on((ip, port).into())?]);
    }
    let mut tries = 0..TRIES;
    loop {
        let v4 = listen_on((Ipv4Addr::UNSPECIFIED, port).into())?;
        let same = v4.local_addr().map_or(port, |address| address.port());
        match listen_on((Ipv6Addr::UNSPECIFIED, same).into()) {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => {
                if port != 0 || tries.next().is_none() {
                    return Err(error);
                }
            }
            // No IPv6 on this machine.
            Err(_) => return Ok(vec![v4]),
        }
    }
}

fn listen_on(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Allows a restart while old connections are still in TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from_std(socket.into()))
    };
    bind().map_err(|source| ListenError { address, source })
}

/// Begins to connect. The stream becomes writable when the attempt has succeeded or failed.
pub(super) fn connect(from: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(ip) = from {
        socket.bind(&SockAddr::from(SocketAddr::new(ip, 0)))?;
    }
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}
