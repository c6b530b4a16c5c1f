//! What a tracker may answer, seen from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use udp_tracker::udp_tracker_proto::{
    AnnounceRequest, ConnectResponse, Dialect, Event, Request, RequestError, Response, compact,
};
use udp_tracker::{InfoHash, Settings};

type ConnectionId = [u8; 8];

/// What was announced, and which ids were issued.
#[derive(Default)]
pub(super) struct Model {
    /// The newest for each address, and all of them.
    newest: BTreeMap<IpAddr, ConnectionId>,
    issued: BTreeSet<(IpAddr, ConnectionId)>,
    peers: BTreeMap<(InfoHash, SocketAddr), Announced>,
}

struct Announced {
    at: u64,
    stopped: bool,
}

impl Model {
    pub(super) fn connection_id(&self, source: SocketAddr) -> Option<ConnectionId> {
        self.newest.get(&source.ip().to_canonical()).copied()
    }

    /// Checks a reply, and takes from it what was issued and what was announced.
    pub(super) fn check(
        &mut self,
        now: u64,
        settings: &Settings,
        from: SocketAddr,
        datagram: &[u8],
        reply: &[u8],
    ) {
        let ip = from.ip().to_canonical();
        let id = datagram.first_chunk::<8>();
        // An address of the same /64 may have got the id.
        let has_id = id.is_some_and(|id| {
            self.issued.iter().any(|(owner, issued)| same_network(*owner, ip) && issued == id)
        });
        if reply.is_empty() {
            return;
        }
        assert!(
            has_id || reply.len() <= datagram.len(),
            "a longer reply to a source that has proven nothing"
        );
        assert_eq!(reply[4..8], datagram[12..16], "the transaction_id");
        match reply[3] {
            0 => {
                let response = ConnectResponse::decode(reply).expect("a connect response");
                let id = response.connection_id.0.to_be_bytes();
                self.newest.insert(ip, id);
                self.issued.insert((ip, id));
            }
            1 => {
                assert!(has_id, "an announce without a connection_id is answered");
                let Ok(Request::Announce(request)) = Request::decode(datagram) else {
                    panic!("an announce response to something else")
                };
                self.announced(now, settings, SocketAddr::new(ip, from.port()), &request, reply);
            }
            2 => {
                assert!(has_id, "a scrape without a connection_id is answered");
                let Ok(Request::Scrape(request)) = Request::decode(datagram) else {
                    panic!("a scrape response to something else")
                };
                let entries = (reply.len() - 8) / 12;
                assert_eq!(reply.len(), 8 + entries * 12);
                assert!(entries <= request.info_hashes.len(), "more counts than info_hashes");
            }
            action => {
                assert_eq!(action, 3);
                assert!(std::str::from_utf8(&reply[8..]).is_ok(), "a text that is cut within a character");
                assert!(!matches!(Request::decode(datagram), Err(RequestError::Unsendable(_))));
            }
        }
    }

    fn announced(
        &mut self,
        now: u64,
        settings: &Settings,
        from: SocketAddr,
        request: &AnnounceRequest<'_>,
        reply: &[u8],
    ) {
        let is_trusted = settings.trusted_ip_sources.iter().any(|network| network.contains(&from.ip()));
        let own = if is_trusted && from.is_ipv4() && !request.ip.is_unspecified() {
            SocketAddr::new(request.ip.into(), request.port)
        } else {
            SocketAddr::new(from.ip(), request.port)
        };
        let stopped = request.event == Event::Stopped;
        self.peers.insert((request.info_hash, own), Announced { at: now, stopped });
        let peers = peers(from.is_ipv4(), request.dialect, reply);
        let wanted =
            usize::try_from(request.num_want).unwrap_or(settings.default_peers).min(settings.max_peers);
        assert!(peers.len() <= wanted, "{} peers, {wanted} wanted", peers.len());
        let mut seen = BTreeSet::new();
        for peer in peers {
            assert_ne!(peer, own, "the client's own address");
            assert!(seen.insert(peer), "a peer twice");
            let announced = self.peers.get(&(request.info_hash, peer)).expect("a peer of the swarm");
            assert!(!announced.stopped, "a peer that has stopped");
            let age = now - announced.at;
            assert!(age <= settings.peer_lifetime.into(), "a peer that was last seen {age} s ago");
        }
    }
}

/// Whether two addresses are the same for connection ids.
fn same_network(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V6(a), IpAddr::V6(b)) => a.segments()[..4] == b.segments()[..4],
        _ => a == b,
    }
}

fn peers(is_ipv4: bool, dialect: Dialect, reply: &[u8]) -> Vec<SocketAddr> {
    let head = if dialect == Dialect::Bep15 { 20 } else { 12 };
    if dialect == Dialect::Bep15 {
        let decodes = if is_ipv4 {
            matches!(Response::<{ compact::V4 }>::decode(reply, 0), Ok(Response::Announce(_)))
        } else {
            matches!(Response::<{ compact::V6 }>::decode(reply, 0), Ok(Response::Announce(_)))
        };
        assert!(decodes, "a response that a client can't read");
    }
    if is_ipv4 {
        let (peers, []) = reply[head..].as_chunks() else { panic!("a part of a peer") };
        peers.iter().map(|peer| compact::to_v4(*peer).into()).collect()
    } else {
        let (peers, []) = reply[head..].as_chunks() else { panic!("a part of a peer") };
        peers.iter().map(|peer| compact::to_v6(*peer).into()).collect()
    }
}
