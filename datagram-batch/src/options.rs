//! Socket options for receiving in batches.

use std::io;

use rustix::fd::AsFd;
use rustix::net::sockopt;

/// Makes a socket report the local address of each datagram from the next one on; best called before the socket is
/// bound. A socket that is bound to all addresses needs this to reply from the address that the request was sent to.
///
/// Does nothing on other systems than Linux.
///
/// # Errors
/// The system's error, such as for a socket that is neither IPv4 nor IPv6.
pub fn report_local_address(socket: &impl AsFd) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::linux::report_local_address(socket.as_fd());
    #[cfg(not(target_os = "linux"))]
    Ok(drop(socket.as_fd()))
}

/// Makes a socket report how many datagrams it has dropped because its buffer was full, once it has dropped any.
///
/// Does nothing on other systems than Linux.
///
/// # Errors
/// The system's error.
pub fn report_drops(socket: &impl AsFd) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::linux::report_drops(socket.as_fd());
    #[cfg(not(target_os = "linux"))]
    Ok(drop(socket.as_fd()))
}

/// Makes a socket report when datagrams arrived, or no longer. While any socket does, the system reads the clock for
/// every packet that the machine receives, and each datagram gets one more control message: together some 50
/// nanoseconds. Datagrams that wait in the socket when this is switched on are reported as arriving when they are read.
///
/// Does nothing on other systems than Linux.
///
/// # Errors
/// The system's error.
pub fn report_arrival(socket: &impl AsFd, on: bool) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::linux::report_arrival(socket.as_fd(), on);
    #[cfg(not(target_os = "linux"))]
    Ok(drop((socket.as_fd(), on)))
}

/// Sets the size of a socket's receive buffer, in bytes. With CAP_NET_ADMIN it may exceed the system's limit
/// (net.core.rmem_max); without, it is at most that limit.
///
/// # Errors
/// The system's error.
pub fn set_receive_buffer(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_ok() {
        return Ok(());
    }
    Ok(sockopt::set_socket_recv_buffer_size(socket, bytes)?)
}
