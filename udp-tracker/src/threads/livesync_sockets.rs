//! A node's sockets: one at its own address, to send and to receive, and one that receives from the group.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs, UdpSocket};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::livesync::LivesyncSettings;

/// Room for a burst of packets from several nodes. The system may give less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Why livesync can't open a socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LivesyncSocketError {
    /// The socket at the node's own address.
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
        /// The group and port.
        group: SocketAddrV4,
        /// The interface.
        interface: Ipv4Addr,
        /// The system's error.
        source: io::Error,
    },
    /// A host of `unicast` has no usable address.
    #[error("livesync.unicast: no address of interface's family for {node:?}{}", because(.source.as_ref()))]
    Unicast {
        /// The entry.
        node: String,
        /// The system's error, if there was one.
        source: Option<io::Error>,
    },
}

fn because(source: Option<&io::Error>) -> String {
    source.map(|source| format!(": {source}")).unwrap_or_default()
}

/// A node's sockets, and the destinations of its packets.
#[derive(Debug)]
pub(super) struct LivesyncSockets {
    /// Its own socket, and the group's if there is a group.
    pub(super) receiving: Vec<UdpSocket>,
    pub(super) destinations: Vec<SocketAddr>,
    group: Option<Group>,
}

/// A multicast group on an interface, which is named by its address.
#[derive(Clone, Copy, Debug)]
struct Group {
    group: Ipv4Addr,
    interface: Ipv4Addr,
}

impl LivesyncSockets {
    /// The socket that sends.
    pub(super) fn own(&self) -> &UdpSocket {
        &self.receiving[0]
    }

    /// Joins the group again if the system has forgotten it: the interface was removed, and added again. Returns whether
    /// that was so.
    pub(super) fn join_again(&self) -> bool {
        let (Some(Group { group, interface }), [own, joined]) = (self.group, &self.receiving[..]) else {
            return false;
        };
        let joined = SockRef::from(joined);
        // Fails as long as the socket is a member, and as long as there is no such interface.
        if joined.join_multicast_v4(&group, &interface).is_err() {
            return false;
        }
        // The former membership is still listed, after the new one, and counts towards the system's limit.
        for _ in 0..2 {
            let _ = joined.leave_multicast_v4(&group, &interface);
        }
        // The system stores the interface's number, and it has a new one.
        let sends = SockRef::from(own).set_multicast_if_v4(&interface);
        joined.join_multicast_v4(&group, &interface).and(sends).is_ok()
    }

    /// Opens the sockets. The settings must be valid.
    pub(super) fn open(settings: &LivesyncSettings) -> Result<Self, LivesyncSocketError> {
        let interface = settings.interface;
        let own = SocketAddr::new(interface, settings.port);
        let mut sockets = Self {
            receiving: vec![open_own(own, settings.ttl).map_err(|source| own_error(own, source))?],
            destinations: Vec::new(),
            group: None,
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
            sockets.group = Some(Group { group: *group.ip(), interface: *own.ip() });
        }
        for node in &settings.unicast {
            let destination = resolve(node, own)?;
            // All nodes may have the same list, so it may contain this node.
            if destination != own {
                sockets.destinations.push(destination);
            }
        }
        Ok(sockets)
    }
}

fn open_own(address: SocketAddr, ttl: u32) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // An opentracker on this machine binds the port at all addresses, and shares it with sockets that set this option.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    match address {
        SocketAddr::V4(address) => {
            socket.set_multicast_if_v4(address.ip())?;
            socket.set_multicast_ttl_v4(ttl)?;
            // For other nodes on this machine. This node's own packets return too, and are recognised by their source.
            socket.set_multicast_loop_v4(true)?;
        }
        SocketAddr::V6(_) => socket.set_only_v6(true)?,
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Binds to the group's address, so that each of several nodes on one machine has such a socket and its own.
fn join(group: SocketAddrV4, interface: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // Excludes groups that other programs of this machine joined on other interfaces.
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
