//! Headers that a proxy puts before each datagram of a client.
//!
//! # Simple Proxy Protocol for UDP
//! As in Cloudflare's documentation of Spectrum ("Simple Proxy Protocol Header"). The reply needs the same header.
//!
//! | offset | size | field |
//! |--------|------|-------|
//! | 0      | 2    | magic number, 0x56ec |
//! | 2      | 16   | client address; IPv4 is mapped to IPv6 |
//! | 18     | 16   | proxy address, likewise |
//! | 34     | 2    | client port |
//! | 36     | 2    | proxy port |
//!
//! # PROXY protocol, version 2
//! "The PROXY protocol", section 2.2, in its form for datagrams. The reply has no header.
//!
//! | offset | size | field |
//! |--------|------|-------|
//! | 0      | 12   | signature |
//! | 12     | 1    | version (2) and command: 0x20 LOCAL, 0x21 PROXY |
//! | 13     | 1    | address family and transport: 0x00 unknown, 0x12 UDP over IPv4, 0x22 UDP over IPv6 |
//! | 14     | 2    | length of what follows of the header |
//! | 16     | 4, 16 | source address: the client's |
//! | 20, 32 | 4, 16 | destination address |
//! | 24, 48 | 2    | source port |
//! | 26, 50 | 2    | destination port |
//! | 28, 52 | any  | extensions, which are skipped |
//!
//! # What an attacker controls
//! Nothing of this, as long as only the proxies can send with the addresses in `proxy_protocol_sources`: whoever can
//! forge those can claim any address. No first bytes of a request that this tracker answers are a header's: a connect
//! request begins with zeros, and the first bit of a connection_id is 1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A datagram that a proxy has passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proxied<'a> {
    /// The client; `None` if the proxy sends for itself, or does not know.
    pub(crate) client: Option<SocketAddr>,
    /// What the reply must begin with.
    pub(crate) reply_header: &'a [u8],
    /// The client's datagram.
    pub(crate) payload: &'a [u8],
}

/// A datagram that begins like a header, but has no valid one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHeader {
    #[error("{got} bytes, but the header has {needed}")]
    Truncated { needed: usize, got: usize },
    #[error("version and command {0:#04x}: 0x20 or 0x21 expected")]
    UnknownCommand(u8),
    #[error("address family and transport {0:#04x}: UDP over IPv4 or IPv6 expected")]
    NotUdp(u8),
}

const SPP_MAGIC: [u8; 2] = [0x56, 0xec];
const SPP_LEN: usize = 38;

const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes before the addresses.
const V2_HEAD_LEN: usize = 16;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNKNOWN: u8 = 0x00;
const UDP4: u8 = 0x12;
const UDP6: u8 = 0x22;

/// Decodes the header of a proxy's datagram; `None` if there is none.
///
/// # Errors
/// The datagram begins like a header, but has no valid one.
pub(crate) fn decode(datagram: &[u8]) -> Result<Option<Proxied<'_>>, BadHeader> {
    if datagram.starts_with(&SPP_MAGIC) {
        decode_spp(datagram).map(Some)
    } else if datagram.starts_with(&V2_SIGNATURE) {
        decode_v2(datagram).map(Some)
    } else {
        Ok(None)
    }
}

fn decode_spp(datagram: &[u8]) -> Result<Proxied<'_>, BadHeader> {
    let (header, payload) = split::<SPP_LEN>(datagram)?;
    let [_, _, rest @ ..] = header;
    let (client, rest) = split::<16>(rest)?;
    let (_proxy, ports) = split::<16>(rest)?;
    let client = SocketAddr::new(Ipv6Addr::from(*client).to_canonical(), port(ports)?);
    Ok(Proxied { client: Some(client), reply_header: header, payload })
}

fn decode_v2(datagram: &[u8]) -> Result<Proxied<'_>, BadHeader> {
    let (head, rest) = split::<V2_HEAD_LEN>(datagram)?;
    let [.., command, family, high, low] = *head;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let truncated = BadHeader::Truncated { needed: V2_HEAD_LEN + len, got: datagram.len() };
    let (addresses, payload) = rest.split_at_checked(len).ok_or(truncated)?;
    let client = match (command, family) {
        (LOCAL, _) | (PROXY, UNKNOWN) => None,
        (PROXY, UDP4) => {
            let (source, rest) = split::<4>(addresses)?;
            let (_destination, ports) = split::<4>(rest)?;
            Some(SocketAddr::new(Ipv4Addr::from(*source).into(), port(ports)?))
        }
        (PROXY, UDP6) => {
            let (source, rest) = split::<16>(addresses)?;
            let (_destination, ports) = split::<16>(rest)?;
            let source: IpAddr = Ipv6Addr::from(*source).to_canonical();
            Some(SocketAddr::new(source, port(ports)?))
        }
        (PROXY, other) => return Err(BadHeader::NotUdp(other)),
        (other, _) => return Err(BadHeader::UnknownCommand(other)),
    };
    Ok(Proxied { client, reply_header: &[], payload })
}

/// The source port of two ports.
fn port(ports: &[u8]) -> Result<u16, BadHeader> {
    let (both, _) = split::<4>(ports)?;
    let [high, low, ..] = *both;
    Ok(u16::from_be_bytes([high, low]))
}

fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), BadHeader> {
    bytes.split_first_chunk().ok_or(BadHeader::Truncated { needed: N, got: bytes.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn address(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    /// Written by hand, field by field of the specification.
    #[test]
    fn simple_proxy_protocol() {
        let header =
            hex("56ec 00000000000000000000ffff c0000201 00000000000000000000ffff cb007101 1ae1 1b39");
        let datagram = [&header[..], b"abc"].concat();
        let expected = Proxied { client: address("192.0.2.1:6881"), reply_header: &header, payload: b"abc" };
        assert_eq!(decode(&datagram), Ok(Some(expected)));
        let header = hex("56ec 20010db8000000000000000000000001 20010db8000000000000000000000002 1ae1 1b39");
        let expected = Proxied { client: address("[2001:db8::1]:6881"), reply_header: &header, payload: b"" };
        assert_eq!(decode(&header), Ok(Some(expected)));
    }

    const SIGNATURE: &str = "0d0a0d0a000d0a515549540a";

    fn v2(rest: &str) -> Vec<u8> {
        [hex(SIGNATURE), hex(rest), b"abc".to_vec()].concat()
    }

    fn decoded(client: Option<SocketAddr>) -> Result<Option<Proxied<'static>>, BadHeader> {
        Ok(Some(Proxied { client, reply_header: b"", payload: b"abc" }))
    }

    #[test]
    fn proxy_protocol_2_with_addresses() {
        let datagram = v2("21 12 000c c0000201 cb007101 1ae1 1b39");
        assert_eq!(decode(&datagram), decoded(address("192.0.2.1:6881")));
        // With an extension: type 4 (no operation), length 1.
        let datagram = v2("21 12 0010 c0000201 cb007101 1ae1 1b39 04000100");
        assert_eq!(decode(&datagram), decoded(address("192.0.2.1:6881")));
        let datagram =
            v2("21 22 0024 20010db8000000000000000000000001 20010db8000000000000000000000002 1ae1 1b39");
        assert_eq!(decode(&datagram), decoded(address("[2001:db8::1]:6881")));
        let datagram =
            v2("21 22 0024 00000000000000000000ffffc0000201 20010db8000000000000000000000002 1ae1 1b39");
        assert_eq!(decode(&datagram), decoded(address("192.0.2.1:6881")));
    }

    #[test]
    fn proxy_protocol_2_without_addresses() {
        assert_eq!(decode(&v2("20 00 0000")), decoded(None));
        assert_eq!(decode(&v2("20 12 000c c0000201 cb007101 1ae1 1b39")), decoded(None));
        assert_eq!(decode(&v2("21 00 0002 ffff")), decoded(None));
    }

    #[test]
    fn rejects_other_commands_families_and_lengths() {
        for command in (0..=255).filter(|command| ![LOCAL, PROXY].contains(command)) {
            let datagram = v2(&format!("{command:02x} 12 000c c0000201 cb007101 1ae1 1b39"));
            assert_eq!(decode(&datagram), Err(BadHeader::UnknownCommand(command)));
        }
        for family in (0..=255).filter(|family| ![UNKNOWN, UDP4, UDP6].contains(family)) {
            let datagram = v2(&format!("21 {family:02x} 000c c0000201 cb007101 1ae1 1b39"));
            assert_eq!(decode(&datagram), Err(BadHeader::NotUdp(family)));
        }
        // The length is that of fewer bytes than the addresses have, or of more than there are.
        for len in (0..12).chain(16..20) {
            let datagram = v2(&format!("21 12 {len:04x} c0000201 cb007101 1ae1 1b39"));
            assert!(matches!(decode(&datagram), Err(BadHeader::Truncated { .. })), "{len}");
        }
    }

    #[test]
    fn requests_have_no_header() {
        let connect = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
        for datagram in [&connect[..], &[0x80; 98], b"", b"\x56", b"\r\n\r\n"] {
            assert_eq!(decode(datagram), Ok(None));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart_without_loss(
            magic in prop_oneof![Just(vec![]), Just(SPP_MAGIC.to_vec()), Just(V2_SIGNATURE.to_vec())],
            command in prop_oneof![Just(LOCAL), Just(PROXY), any::<u8>()],
            family in prop_oneof![Just(UDP4), Just(UDP6), any::<u8>()],
            len in 0..80u16,
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let head = [command, family, 0, u8::try_from(len).unwrap()];
            let datagram = [&magic[..], &head[..], &rest].concat();
            match decode(&datagram) {
                Ok(Some(Proxied { reply_header, payload, .. })) => {
                    prop_assert!(datagram.ends_with(payload) && datagram.starts_with(reply_header));
                    prop_assert!(reply_header.len() + payload.len() <= datagram.len());
                }
                Ok(None) => prop_assert!(!datagram.starts_with(&SPP_MAGIC) && !datagram.starts_with(&V2_SIGNATURE)),
                Err(_) => prop_assert!(!magic.is_empty() || !rest.is_empty()),
            }
        }

        #[test]
        fn every_truncation_of_a_header_is_an_error(cut in 12..52usize, v6: bool) {
            let addresses = if v6 { vec![7; 36] } else { vec![7; 12] };
            let head = [PROXY, if v6 { UDP6 } else { UDP4 }, 0, u8::try_from(addresses.len()).unwrap()];
            let header = [&V2_SIGNATURE[..], &head, &addresses].concat();
            let cut = cut.min(header.len() - 1);
            let is_truncated = |bytes| matches!(decode(bytes), Err(BadHeader::Truncated { .. }));
            prop_assert!(is_truncated(&header[..cut]));
            let spp = [&SPP_MAGIC[..], &[7; 36]].concat();
            prop_assert!(is_truncated(&spp[..cut.min(37)]));
        }
    }
}
