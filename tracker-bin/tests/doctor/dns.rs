//! A DNS server over UDP and TCP. It builds its replies by hand, so that a mistake of the library that the program uses
//! is noticed.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;

/// The records of one name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zone {
    pub(crate) addresses: Vec<IpAddr>,
    /// TXT records, each of several strings.
    pub(crate) texts: Vec<Vec<&'static str>>,
    /// Makes replies over UDP empty and truncated.
    pub(crate) only_tcp: bool,
}

/// The name that a server has records for.
pub(crate) const NAME: &str = "tracker.example";

const A: u16 = 1;
const TXT: u16 = 16;
const AAAA: u16 = 28;

impl Zone {
    pub(crate) fn new(addresses: &[&str], texts: &[&[&'static str]]) -> Self {
        Self {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            texts: texts.iter().map(|strings| strings.to_vec()).collect(),
            only_tcp: false,
        }
    }

    /// Serves until the process ends. Returns the server's address.
    pub(crate) fn serve(self) -> SocketAddr {
        // Another program may have the same port of the other protocol.
        let pairs = (0..20).find_map(|_| {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            TcpListener::bind(udp.local_addr().unwrap()).ok().map(|tcp| (udp, tcp))
        });
        let (udp, tcp) = pairs.expect("a port that is free for both");
        let address = udp.local_addr().unwrap();
        let zone = Arc::new(self);
        let same = Arc::clone(&zone);
        thread::spawn(move || {
            let mut query = [0; 512];
            loop {
                let (len, client) = udp.recv_from(&mut query).unwrap();
                // A datagram with another id, as a forger sends it, must be ignored.
                let mut forged = query[..len].to_vec();
                forged[0] ^= 1;
                forged[2] |= 0x80;
                udp.send_to(&forged, client).unwrap();
                udp.send_to(&same.reply(&query[..len], same.only_tcp), client).unwrap();
            }
        });
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let mut len = [0; 2];
                stream.read_exact(&mut len).unwrap();
                let mut query = vec![0; u16::from_be_bytes(len).into()];
                stream.read_exact(&mut query).unwrap();
                let reply = zone.reply(&query, false);
                let len = u16::try_from(reply.len()).unwrap().to_be_bytes();
                stream.write_all(&[&len, &*reply].concat()).unwrap();
            }
        });
        address
    }

    fn reply(&self, query: &[u8], truncated: bool) -> Vec<u8> {
        let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        let kind = u16::from_be_bytes([query[end - 4], query[end - 3]]);
        let known = query[12..end - 5] == *b"\x07tracker\x07example";
        let records = if known && !truncated { self.records(kind) } else { Vec::new() };
        let mut reply = query[..2].to_vec();
        // A reply, recursion desired and available; the second bit is for truncated ones. 3: no such name.
        reply.extend([0x81 | u8::from(truncated) << 1, if known { 0x80 } else { 0x83 }, 0, 1]);
        reply.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
        reply.extend([0; 4]);
        reply.extend(&query[12..end]);
        for data in records {
            // The name of the question, the kind, IN, a minute.
            reply.extend([0xc0, 12]);
            reply.extend(kind.to_be_bytes());
            reply.extend([0, 1, 0, 0, 0, 60]);
            reply.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            reply.extend(data);
        }
        reply
    }

    fn records(&self, kind: u16) -> Vec<Vec<u8>> {
        let strings = |strings: &Vec<&str>| {
            let one = |text: &&str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
            strings.iter().flat_map(one).collect()
        };
        let addresses = self.addresses.iter().map(|address| match address {
            IpAddr::V4(address) => (A, address.octets().to_vec()),
            IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
        });
        match kind {
            TXT => self.texts.iter().map(strings).collect(),
            _ => addresses.filter(|(of, _)| *of == kind).map(|(_, data)| data).collect(),
        }
    }
}
