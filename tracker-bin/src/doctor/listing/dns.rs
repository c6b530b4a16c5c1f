//! Asks one DNS server for the records of a name: over UDP, and over TCP when the reply doesn't fit.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use crate::doctor::ask::random;

/// How long each of the transmissions over UDP waits, and the connection over TCP.
const PATIENCE: Duration = Duration::from_secs(3);
const TRANSMISSIONS: usize = 2;

/// A server that resolves names for its clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver {
    server: SocketAddr,
}

/// Why the server gave no records.
#[derive(Debug, thiserror::Error)]
pub(super) enum DnsError {
    #[error("{0} is not a host name")]
    Name(String),
    #[error("there is no such name")]
    NoSuchName,
    #[error("the DNS server {server} did not answer ({source})")]
    Silent { server: SocketAddr, source: io::Error },
    #[error("the DNS server {server} refused: {code}")]
    Refused { server: SocketAddr, code: String },
}

impl Resolver {
    pub(super) fn new(server: SocketAddr) -> Self {
        Self { server }
    }

    /// The name's addresses of both families; none is no error.
    pub(super) fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        let address = |data: &RData<'_>| match data {
            RData::A(record) => Some(Ipv4Addr::from(record.address).into()),
            RData::AAAA(record) => Some(Ipv6Addr::from(record.address).into()),
            _ => None,
        };
        let mut addresses = self.records(name, TYPE::A, address)?;
        addresses.extend(self.records(name, TYPE::AAAA, address)?);
        Ok(addresses)
    }

    /// The name's TXT records, each with its strings joined.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, DnsError> {
        self.records(name, TYPE::TXT, |data| match data {
            RData::TXT(record) => String::try_from(record.clone()).ok(),
            _ => None,
        })
    }

    fn records<T>(
        &self,
        name: &str,
        kind: TYPE,
        read: impl Fn(&RData<'_>) -> Option<T>,
    ) -> Result<Vec<T>, DnsError> {
        let (id, query) = query(name, kind).ok_or_else(|| DnsError::Name(name.into()))?;
        let silent = |source| DnsError::Silent { server: self.server, source };
        let mut reply = self.over_udp(id, &query).map_err(silent)?;
        if is_truncated(&reply) {
            reply = self.over_tcp(id, &query).map_err(silent)?;
        }
        let packet = Packet::parse(&reply).map_err(|error| silent(io::Error::other(error.to_string())))?;
        match packet.rcode() {
            // Records of other names in the reply are those of the name's aliases.
            RCODE::NoError => Ok(packet.answers.iter().filter_map(|answer| read(&answer.rdata)).collect()),
            RCODE::NameError => Err(DnsError::NoSuchName),
            code => Err(DnsError::Refused { server: self.server, code: format!("{code:?}") }),
        }
    }

    fn over_udp(&self, id: u16, query: &[u8]) -> io::Result<Vec<u8>> {
        let any: SocketAddr = match self.server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        // Then only datagrams from the server arrive.
        socket.connect(self.server)?;
        let mut reply = vec![0; 65_535];
        let mut last = io::ErrorKind::TimedOut.into();
        for _ in 0..TRANSMISSIONS {
            socket.send(query)?;
            let deadline = Instant::now() + PATIENCE;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                socket.set_read_timeout(Some(left))?;
                match socket.recv(&mut reply) {
                    Ok(len) if is_reply(&reply[..len], id) => return Ok(reply[..len].into()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => {
                        last = error;
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    fn over_tcp(&self, id: u16, query: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let len = u16::try_from(query.len()).map_err(io::Error::other)?;
        stream.write_all(&[&len.to_be_bytes(), query].concat())?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut reply = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut reply)?;
        if is_reply(&reply, id) { Ok(reply) } else { Err(io::Error::other("not a reply to the query")) }
    }
}

/// The id of a query, and its bytes. `None` if the name has a wrong form.
fn query(name: &str, kind: TYPE) -> Option<(u16, Vec<u8>)> {
    let id = u16::from_ne_bytes(random());
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name.strip_suffix('.').unwrap_or(name)).ok()?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    Some((id, packet.build_bytes_vec().ok()?))
}

/// Whether a datagram has the id of the query and the flag of a reply.
fn is_reply(datagram: &[u8], id: u16) -> bool {
    datagram.len() >= 12 && datagram[..2] == id.to_be_bytes() && datagram[2] & 0x80 != 0
}

fn is_truncated(reply: &[u8]) -> bool {
    reply[2] & 0x02 != 0
}

/// The first server that the system asks, by /etc/resolv.conf.
pub(super) fn system_server(resolv_conf: &str) -> Option<SocketAddr> {
    let servers = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next())?
    });
    servers.filter_map(|server| server.parse::<IpAddr>().ok()).map(|server| (server, 53).into()).next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_has_the_bytes_of_rfc_1035() {
        let (id, bytes) = query("tracker.example", TYPE::TXT).unwrap();
        let mut expected = id.to_be_bytes().to_vec();
        // Recursion desired, one question.
        expected.extend([0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        expected.extend(b"\x07tracker\x07example\0");
        // TXT, IN.
        expected.extend([0, 16, 0, 1]);
        assert_eq!(bytes, expected);
        assert_eq!(query("tracker.example.", TYPE::A).unwrap().1.len(), bytes.len());
        assert!(query(&"x".repeat(64), TYPE::A).is_none());
    }

    #[test]
    fn names_that_refer_to_themselves_are_errors() {
        // A reply with one question, whose name continues at the place where it begins.
        let mut reply = vec![0, 1, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1];
        assert!(Packet::parse(&reply).is_err());
        // At the next label, which refers back.
        reply.splice(12..14, [1, b'a', 0xc0, 12]);
        assert!(Packet::parse(&reply).is_err());
    }

    #[test]
    fn reads_the_first_server_of_the_system() {
        let text = "# nameserver 9.9.9.9\nsearch example\nnameserver 192.0.2.53\nnameserver ::1\n";
        assert_eq!(system_server(text), Some("192.0.2.53:53".parse().unwrap()));
        assert_eq!(
            system_server("nameserver fe80::1%eth0\nnameserver ::1"),
            Some("[::1]:53".parse().unwrap())
        );
        assert_eq!(system_server("nameserver\n"), None);
    }

    proptest! {
        #[test]
        fn arbitrary_replies_are_no_trouble(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,99}") {
            if let Ok(packet) = Packet::parse(&bytes) {
                for answer in &packet.answers {
                    if let RData::TXT(record) = &answer.rdata {
                        let _ = String::try_from(record.clone());
                    }
                }
            }
            is_reply(&bytes, 1);
            query(&text, TYPE::TXT);
            system_server(&text);
        }
    }
}
