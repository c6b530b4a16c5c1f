//! A node's sockets: one of its own, to send and to be spoken to alone, and one that hears the group.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::LivesyncConfig;

/// Room for a burst of several nodes; the system may give less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Why livesync can't begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LivesyncError {
    /// The node's own address.
    #[error("livesync: cannot use udp://{address}: {source}{advice}")]
    Own {
        /// Interface and port.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
        #[doc(hidden)]
        advice: &'static str,
    },
    /// The multicast group.
    #[error(
        "livesync: cannot join group {group} on interface {interface}: {source}; with group = \"\", none is used"
    )]
    Group {
        /// Which group, and port.
        group: SocketAddrV4,
        /// On which interface.
        interface: Ipv4Addr,
        /// What the system said.
        source: io::Error,
    },
    /// A node to be told has no address.
    #[error("livesync.unicast: no address of interface's family for {node:?}{}", because(.source.as_ref()))]
    Unicast {
        /// Which node.
        node: String,
        /// What the system said, if it failed.
        source: Option<io::Error>,
    },
    /// A thread, or what it waits with.
    #[error("cannot start livesync's thread: {0}")]
    Thread(io::Error),
}

fn because(source: Option<&io::Error>) -> String {
    source.map(|source| format!(": {source}")).unwrap_or_default()
}

/// A node's sockets, and where its packets go.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Its own, and the group's if there is one.
    pub(super) receiving: Vec<UdpSocket>,
    pub(super) destinations: Vec<SocketAddr>,
}

impl Sockets {
    /// Sends from the first.
    pub(super) fn own(&self) -> &UdpSocket {
        &self.receiving[0]
    }

    /// Opens what a checked configuration asks for.
    pub(super) fn open(config: &LivesyncConfig) -> Result<Self, LivesyncError> {
        let interface = config.interface.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let own = SocketAddr::new(interface, config.port);
        let mut sockets = Self {
            receiving: vec![open_own(own, config.ttl).map_err(|source| own_error(own, source))?],
            destinations: Vec::new(),
        };
        if let (SocketAddr::V4(own), Some(group)) = (own, config.group) {
            let group = SocketAddrV4::new(group, config.port);
            let joined = join(group, *own.ip());
            let joined =
                joined.map_err(|source| LivesyncError::Group { group, interface: *own.ip(), source })?;
            sockets.receiving.push(joined);
            sockets.destinations.push(group.into());
        }
        for node in &config.unicast {
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
    // An opentracker on this machine takes the port at all addresses, and lets in who asks like this.
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

fn own_error(address: SocketAddr, source: io::Error) -> LivesyncError {
    let advice = match source.raw_os_error() {
        Some(libc::EADDRNOTAVAIL) => "; livesync.interface must be an address of this machine",
        Some(libc::EADDRINUSE) => {
            "; another node or program has it: change livesync.interface or livesync.port"
        }
        _ => "",
    };
    LivesyncError::Own { address, source, advice }
}

fn resolve(node: &str, own: SocketAddr) -> Result<SocketAddr, LivesyncError> {
    let error = |source| LivesyncError::Unicast { node: node.into(), source };
    let mut addresses = node.to_socket_addrs().map_err(|source| error(Some(source)))?;
    addresses.find(|address| address.is_ipv4() == own.is_ipv4()).ok_or_else(|| error(None))
}
