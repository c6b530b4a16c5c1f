//! Loopback addresses that no other process uses.

use std::net::{Ipv4Addr, SocketAddr};

/// An address on a loopback host that only this process uses, for a program that needs a given port.
///
/// All of 127.0.0.0/8 is loopback. The host is derived from the process id, so any port is free there unless this
/// process itself uses it. To find a free port and close it again would be a race: another process could take the port.
#[must_use]
pub fn own_loopback(port: u16) -> SocketAddr {
    // Process ids have 22 bits at most. The bit above them excludes 127.0.0.1.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    (Ipv4Addr::new(127, 64 | (high & 0x3f), middle, low), port).into()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn can_be_bound_and_reached() {
        let address = own_loopback(6969);
        assert!(address.ip().is_loopback() && address.ip() != Ipv4Addr::LOCALHOST);
        let (socket, other) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        other.send_to(b"hello", address).unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 5);
    }
}
