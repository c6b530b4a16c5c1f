//! Headers of proxies, read from their descriptions.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use udp_tracker::Settings;

const SIMPLE: [u8; 2] = [0x56, 0xec];
const SIMPLE_LEN: usize = 38;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// A header for a client: the simple one or the PROXY protocol's second version. It may be an invalid one.
pub(super) fn header(how: u8, client: SocketAddr) -> Vec<u8> {
    let mapped = match client.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    if how & 1 == 0 {
        return [&SIMPLE[..], &mapped.octets(), &[0; 16], &client.port().to_be_bytes(), &[0, 9]].concat();
    }
    let (family, addresses) = match client.ip() {
        IpAddr::V4(ip) => (0x12, [&ip.octets()[..], &[0; 4]].concat()),
        IpAddr::V6(ip) => (0x22, [&ip.octets()[..], &[0; 16]].concat()),
    };
    let ports = [&client.port().to_be_bytes()[..], &[0, 9]].concat();
    let len = [0, addresses.len().to_le_bytes()[0] + 4 + (how >> 6)];
    [
        &SIGNATURE[..],
        &[0x20 | how >> 1 & 3, family],
        &len,
        &addresses,
        &ports,
        &[0; 3][..usize::from(how >> 6)],
    ]
    .concat()
}

/// The client of a datagram, the header of its reply, and what the client has sent. `None` if the header is invalid.
pub(super) fn client<'a>(
    settings: &Settings,
    from: SocketAddr,
    datagram: &'a [u8],
) -> Option<(SocketAddr, &'a [u8], &'a [u8])> {
    let ip = from.ip().to_canonical();
    if !settings.proxy_protocol_sources.iter().any(|network| network.contains(&ip)) {
        return Some((from, &[], datagram));
    }
    if datagram.starts_with(&SIMPLE) {
        let (header, payload) = datagram.split_at_checked(SIMPLE_LEN)?;
        return Some((v6(&header[2..18], &header[34..]), header, payload));
    }
    if !datagram.starts_with(&SIGNATURE) {
        return Some((from, &[], datagram));
    }
    let &[command, family, high, low] = datagram.get(12..16)?.first_chunk()?;
    let rest = &datagram[16..];
    let (addresses, payload) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
    let client = match (command, family) {
        (0x20, _) | (0x21, 0) => from,
        (0x21, 0x12) if addresses.len() >= 12 => {
            let ip: [u8; 4] = *addresses.first_chunk()?;
            SocketAddr::new(ip.into(), port(&addresses[8..]))
        }
        (0x21, 0x22) if addresses.len() >= 36 => v6(addresses, &addresses[32..]),
        _ => return None,
    };
    Some((client, &[], payload))
}

fn v6(address: &[u8], ports: &[u8]) -> SocketAddr {
    let address: [u8; 16] = *address.first_chunk().expect("sixteen bytes");
    SocketAddr::new(Ipv6Addr::from(address).to_canonical(), port(ports))
}

fn port(bytes: &[u8]) -> u16 {
    u16::from_be_bytes(*bytes.first_chunk().expect("two bytes"))
}
