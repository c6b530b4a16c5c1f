//! Options of sockets that belong to receiving in batches.

use std::io;

use rustix::fd::AsFd;
use rustix::net::sockopt;

/// Makes a socket report the local address that each datagram came to, from the next datagram on: best before it is bound.
/// Replies of a socket that is bound to all addresses need it, to leave from the address that was asked.
///
/// Does nothing off Linux.
///
/// # Errors
/// What the system reports, such as a socket that is neither IPv4 nor IPv6.
pub fn report_local_address(socket: &impl AsFd) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::linux::report_local_address(socket.as_fd());
    #[cfg(not(target_os = "linux"))]
    Ok(drop(socket.as_fd()))
}

/// Makes a socket report, once it has dropped any, how many datagrams it has dropped because its buffer was full.
///
/// Does nothing off Linux.
///
/// # Errors
/// What the system reports.
pub fn report_drops(socket: &impl AsFd) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::linux::report_drops(socket.as_fd());
    #[cfg(not(target_os = "linux"))]
    Ok(drop(socket.as_fd()))
}

/// Sets the size of a socket's receive buffer, in bytes: beyond the system's limit (net.core.rmem_max) where the process may
/// do that (CAP_NET_ADMIN), else up to it.
///
/// # Errors
/// What the system reports.
pub fn set_receive_buffer(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_ok() {
        return Ok(());
    }
    Ok(sockopt::set_socket_recv_buffer_size(socket, bytes)?)
}
