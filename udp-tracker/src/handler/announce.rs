//! Announces: which peers are stored, and which are handed out.

use std::net::{IpAddr, SocketAddr};

use rand::RngExt;
use swarm_store::{AnnounceOutcome, Change, Counts, PeerStatus};
use udp_tracker_proto as proto;
use udp_tracker_proto::{AnnounceHead, AnnounceRequest, Dialect, Event};

use super::answer::encode_error;
use super::{Answer, Handler, Source};
use crate::count::Count;
use crate::family::Family;
use crate::peer_address::PeerAddress;
use crate::stores::{compact_len, store_time};
use crate::takeover;

/// The part of a reply that is from the store.
struct Written {
    counts: Counts,
    /// How many peers were written.
    peers: usize,
}

impl Handler {
    pub(super) fn announce(
        &mut self,
        now: u64,
        source: Source,
        request: &AnnounceRequest<'_>,
        reply: &mut [u8],
    ) -> Answer {
        if let Err(denied) = self.access.load().check(request, self.id_clock.time(now)) {
            return (denied.count(), encode_error(request.transaction_id, &denied, reply));
        }
        let admitted = self.service.policy().map_or(Ok(()), |policy| policy.admit(request, source.address));
        if let Err(refusal) = admitted {
            return (Count::Refused, encode_error(request.transaction_id, &refusal, reply));
        }
        let head_len = AnnounceHead::len(request.dialect);
        let Some((head, room)) = reply.split_at_mut_checked(head_len) else { return (Count::Announces, 0) };
        let settings = &self.settings;
        let wanted = usize::try_from(request.num_want).unwrap_or(settings.default_peers);
        let wanted = wanted.min(settings.max_peers);
        let jitter = self.rng.random_range(0..=settings.longest_interval() - settings.announce_interval);
        let interval = settings.announce_interval + jitter;
        let peer = SocketAddr::new(self.peer_ip(source, request), request.port);
        let outcome = self.store(now, request, peer, (room, wanted));

        let counts = proto::Counts { leechers: outcome.counts.leechers, seeders: outcome.counts.seeders };
        let response = AnnounceHead {
            transaction_id: request.transaction_id,
            interval,
            counts: (request.dialect == Dialect::Bep15).then_some(counts),
        };
        let peers_len = outcome.peers * compact_len(source.family);
        (Count::Announces, response.encode(head).map_or(0, |head| head + peers_len))
    }

    /// The source's address, or the one in the `ip` field if the source is trusted to set it.
    fn peer_ip(&self, source: Source, request: &AnnounceRequest<'_>) -> IpAddr {
        let ip = source.address.ip();
        if source.family == Family::V4 && !request.ip.is_unspecified() && self.settings.is_trusted(ip) {
            return request.ip.into();
        }
        ip
    }

    /// Stores the peer, if it may be stored, and writes other peers.
    fn store(
        &mut self,
        now: u64,
        request: &AnnounceRequest<'_>,
        address: SocketAddr,
        room: (&mut [u8], usize),
    ) -> Written {
        let status = status(request);
        // A peer that was stored before the setting was changed may still leave.
        let min_port = if status == PeerStatus::Stopped { 0 } else { self.settings.min_peer_port };
        let stores = self.service.stores();
        match PeerAddress::new(address, min_port) {
            Ok(peer) => {
                let outcome = stores.announce(now, request.info_hash, &peer, status, room, &mut self.context);
                self.announced(now, request, address, status, &outcome);
                Written { counts: outcome.counts, peers: outcome.peers }
            }
            Err(why) => {
                self.counted.add(Family::of(address.ip()), why.count(), 1);
                let with_seeders = status == PeerStatus::Leecher;
                let room = if status == PeerStatus::Stopped { (&mut [][..], 0) } else { room };
                let sample = (request.info_hash, address.ip(), with_seeders);
                let (counts, peers) = stores.sample(now, sample, room, &mut self.context);
                Written { counts, peers }
            }
        }
    }

    /// Counts the outcome of an announce, and passes it to the policy and to livesync.
    fn announced(
        &mut self,
        now: u64,
        request: &AnnounceRequest<'_>,
        peer: SocketAddr,
        status: PeerStatus,
        outcome: &AnnounceOutcome,
    ) {
        let family = Family::of(peer.ip());
        self.counted.add(family, Count::Completed, u64::from(outcome.completed));
        let not_stored = match outcome.change {
            Change::StoreFull => Some(Count::StoreFull),
            Change::TooManyTorrentsOfNetwork => Some(Count::TooManyTorrentsOfNetwork),
            Change::TooManyPeersOfNetwork => Some(Count::TooManyPeersOfNetwork),
            _ => None,
        };
        if let Some(count) = not_stored {
            self.counted.add(family, count, 1);
        }
        self.counted.add(family, Count::Evicted, outcome.evicted.into());
        if let Some(publisher) = &self.publisher
            && let Some(count) = publisher.publish(store_time(now), peer, request.info_hash, status, outcome)
        {
            self.counted.add(family, count, 1);
        }
        if let Some(changes) = &*self.changes {
            changes.push(takeover::Change { info_hash: request.info_hash, peer, status });
        }
        if let Some(policy) = self.service.policy() {
            policy.announced(request, peer, outcome);
        }
    }
}

fn status(request: &AnnounceRequest<'_>) -> PeerStatus {
    match (request.event, request.left) {
        (Event::Stopped, _) => PeerStatus::Stopped,
        (Event::Completed, 0) => PeerStatus::Completed,
        (_, 0) => PeerStatus::Seeder,
        _ => PeerStatus::Leecher,
    }
}
