//! Addresses that may be stored.

use std::net::SocketAddr;

use crate::count::Count;
use crate::scope::Scope;

/// An address and port at which a peer can be, in canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerAddress {
    address: SocketAddr,
    scope: Scope,
}

/// Why no peer with this address is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotStored {
    /// No host can have the address.
    Address,
    /// The port is 0, or lower than peers may have.
    Port,
}

impl PeerAddress {
    /// The address of a peer with `min_port` or a higher one, and never port 0.
    pub(crate) fn new(address: SocketAddr, min_port: u16) -> Result<Self, NotStored> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let scope = Scope::of(address.ip()).ok_or(NotStored::Address)?;
        if address.port() < min_port.max(1) {
            return Err(NotStored::Port);
        }
        Ok(Self { address, scope })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }
}

impl NotStored {
    pub(crate) fn count(self) -> Count {
        match self {
            Self::Address => Count::BadPeerAddress,
            Self::Port => Count::LowPeerPort,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str, min_port: u16) -> Result<SocketAddr, NotStored> {
        PeerAddress::new(address.parse().unwrap(), min_port).map(|peer| peer.address())
    }

    #[test]
    fn rejects_addresses_of_no_host_and_ports_that_are_too_low() {
        for address in ["0.0.0.0:9", "0.1.2.3:9", "224.0.0.1:9", "255.255.255.255:9", "[::]:9", "[ff02::1]:9"]
        {
            assert_eq!(of(address, 1), Err(NotStored::Address), "{address}");
        }
        assert_eq!(of("[::ffff:224.0.0.1]:9", 1), Err(NotStored::Address));
        assert_eq!(of("192.0.2.1:0", 0), Err(NotStored::Port));
        assert_eq!(of("192.0.2.1:1023", 1024), Err(NotStored::Port));
        assert_eq!(of("192.0.2.1:1024", 1024), Ok("192.0.2.1:1024".parse().unwrap()));
        assert_eq!(of("[::ffff:192.0.2.1]:1", 1), Ok("192.0.2.1:1".parse().unwrap()));
    }
}
