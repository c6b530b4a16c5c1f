//! A UDP tracker (BEP 15) that shares no code with the tracker here: it reads and writes the bytes as BEP 15 defines
//! them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Its address.
pub(crate) const ADDRESS: &str = "10.255.255.254:6969";
/// The most peers in a reply.
const PEERS: usize = 50;

#[derive(Default)]
pub(crate) struct Tracker {
    peers: BTreeSet<SocketAddr>,
    /// The number of `completed` events received.
    pub(crate) completed: usize,
}

impl Tracker {
    /// The reply to a request from host `from`.
    pub(crate) fn reply(&mut self, from: IpAddr, request: &[u8], rng: &mut StdRng) -> Vec<u8> {
        let transaction_id = &request[12..16];
        match request[11] {
            0 => [&[0, 0, 0, 0], transaction_id, &[7; 8]].concat(),
            1 => {
                let port = u16::from_be_bytes([request[96], request[97]]);
                let address = SocketAddr::new(from, port);
                match request[83] {
                    3 => {
                        self.peers.remove(&address);
                    }
                    event => {
                        self.completed += usize::from(event == 1);
                        self.peers.insert(address);
                    }
                }
                let others: Vec<_> = self.peers.iter().filter(|other| **other != address).collect();
                let mut reply = [&[0, 0, 0, 1], transaction_id, &1800_u32.to_be_bytes(), &[0; 8]].concat();
                for peer in others.sample(rng, PEERS) {
                    let IpAddr::V4(ip) = peer.ip() else { continue };
                    reply.extend(ip.octets());
                    reply.extend(peer.port().to_be_bytes());
                }
                reply
            }
            action => panic!("action {action}"),
        }
    }
}
