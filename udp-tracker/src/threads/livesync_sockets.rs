//! A node's sockets: one at its own address, to send from and to receive at, and one that receives from the group.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::livesync::LivesyncSettings;

/// Room for a burst of several nodes; the system may give less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Why livesync can't open a socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LivesyncSocketError {
    /// The node's own address.
    #[error("livesync: cannot use udp://{address}: {source}{advice}")]
    Own {
        /// Interface and port.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
        #[doc(hidden)]
        advice: &'static str,
    },
    /// The multicast group.
    #[error(
        "livesync: cannot join group {group} on interface {interface}: {source}; set no group if none is needed"
    )]
    Group {
        /// Which group, and port.
        group: SocketAddrV4,
        /// On which interface.
        interface: Ipv4Addr,
        /// The system's error.
        source: io::Error,
    },
    /// A node of the list has no address.
    #[error("livesync.unicast: no address of interface's family for {node:?}{}", because(.source.as_ref()))]
    Unicast {
        /// Which node.
        node: String,
        /// The system's error, if there was one.
        source: Option<io::Error>,
    },
}

fn because(source: Option<&io::Error>) -> String {
    source.map(|source| format!(": {source}")).unwrap_or_default()
}

/// A node's sockets, and where its packets go.
#[derive(Debug)]
pub(super) struct LivesyncSockets {
    /// Its own, and the group's if there is one.
    pub(super) receiving: Vec<UdpSocket>,
    pub(super) destinations: Vec<SocketAddr>,
}

impl LivesyncSockets {
    /// Sends from the first.
    pub(super) fn own(&self) -> &UdpSocket {
        &self.receiving[0]
    }

    /// Opens what checked settings ask for.
    pub(super) fn open(settings: &LivesyncSettings) -> Result<Self, LivesyncSocketError> {
        let interface = settings.interface;
        let own = SocketAddr::new(interface, settings.port);
        let mut sockets = Self {
            receiving: vec![open_own(own, settings.ttl).map_err(|source| own_error(own, source))?],
            destinations: Vec::new(),
        };
        if let (SocketAddr::V4(own), Some(group)) = (own, settings.group) {
            let group = SocketAddrV4::new(group, settings.port);
            let joined = join(group, *own.ip());
            let joined = joined.map_err(|source| LivesyncSocketError::Group {
                group,
                interface: *own.ip(),
                source,
            })?;
            sockets.receiving.push(joined);
            sockets.destinations.push(group.into());
        }
        for node in &settings.unicast {
            let destination = resolve(node, own)?;
            // All nodes may have the same list.
            if destination != own {
                sockets.destinations.push(destination);
            }
        }
        Ok(sockets)
    }
}

fn open_own(address: SocketAddr, ttl: u32) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // An opentracker on this machine takes the port at all addresses, and shares it with sockets that have this.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    match address {
        SocketAddr::V4(address) => {
            socket.set_multicast_if_v4(address.ip())?;
            socket.set_multicast_ttl_v4(ttl)?;
            // For the other nodes on this machine. Our own packets come back too, and are known by their source.
            socket.set_multicast_loop_v4(true)?;
        }
        SocketAddr::V6(_) => socket.set_only_v6(true)?,
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Bound to the group's address, so that several nodes of one machine each have such a socket and their own.
fn join(group: SocketAddrV4, interface: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // Not what other programs of this machine have joined on other interfaces.
    socket.set_multicast_all_v4(false)?;
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&group.into())?;
    socket.join_multicast_v4(group.ip(), &interface)?;
    Ok(socket.into())
}

fn own_error(address: SocketAddr, source: io::Error) -> LivesyncSocketError {
    let advice = match source.raw_os_error() {
        Some(libc::EADDRNOTAVAIL) => "; the interface must be an address of this machine",
        Some(libc::EADDRINUSE) => "; another node or program has it: choose another interface or port",
        _ => "",
    };
    LivesyncSocketError::Own { address, source, advice }
}

fn resolve(node: &str, own: SocketAddr) -> Result<SocketAddr, LivesyncSocketError> {
    let error = |source| LivesyncSocketError::Unicast { node: node.into(), source };
    let mut addresses = node.to_socket_addrs().map_err(|source| error(Some(source)))?;
    addresses.find(|address| address.is_ipv4() == own.is_ipv4()).ok_or_else(|| error(None))
}
