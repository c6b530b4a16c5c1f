//! Arbitrary datagrams to the tracker, from several sources over weeks, while its settings and rules change.

mod model;
mod proxy;
mod request;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use udp_tracker::{AccessRules, Family, Handler, InfoHash, Rule, Service, Settings, SweepCursor};

use crate::script::Script;
use model::Model;

const NOW: u64 = 1_800_000_000;
/// The longest reply, unless an input has another limit.
const BUFFER: usize = 2048;
/// The longest pause between two datagrams.
const LONGEST: Duration = Duration::from_secs(4 * 3600);
const CONNECT: [u8; 16] = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];

/// The sources of datagrams. The last one is a trusted one, if there are any.
fn source(number: u8) -> SocketAddr {
    let port = 1000 + u16::from(number >> 5);
    match number & 7 {
        0 => ([81, 2, 3, 4], port).into(),
        1 => ([90, 5, 6, 7], port).into(),
        2 => ([0x2a01, 1, 0, 0, 0, 0, 0, 1], port).into(),
        3 => ([0x2a01, 1, 0, 0, 0, 0, 0, 2], port).into(),
        4 => ([0x2a02, 2, 0, 0, 0, 0, 0, 1], port).into(),
        5 => ([0, 0, 0, 0, 0, 0xffff, 0x5102, 0x0304], port).into(),
        6 => ([10, 0, 0, 1], port).into(),
        _ => ([100, 64, 0, 1], port).into(),
    }
}

struct Tracker {
    service: Arc<Service>,
    settings: Settings,
    handler: Handler,
    model: Model,
    now: u64,
    sweeps: [SweepCursor; 2],
    /// When all was swept.
    swept: u64,
}

/// Calls of the handler, in an order and with datagrams of the input's choice.
///
/// # Panics
/// If a reply is longer than it may be, is a request itself, answers something else, or has a peer that is not in the
/// swarm.
pub fn tracker_handle(input: &[u8]) {
    let mut script = Script(input);
    let mut tracker = Tracker::new(script.byte());
    while let Some(step) = script.step() {
        let from = source(step);
        match script.byte() & 15 {
            0 => {
                tracker.receive(from, &CONNECT);
            }
            1 => tracker.receive(from, script.many_bytes()),
            2 => tracker.receive_connected(from, script.many_bytes()),
            3 | 4 | 6 => tracker.receive_connected(from, &request::announce(&mut script)),
            7 => tracker.receive_connected(from, &request::announce_2004(&mut script)),
            8 | 9 => tracker.receive_connected(from, &request::scrape(&mut script)),
            // Through a proxy, as if it were one: only those in 10.0.0.0/8 are.
            5 => tracker.receive_proxied(from, &mut script),
            // An id that another address got.
            10 => tracker.receive_with_id_of(source(script.byte()), from, &request::announce(&mut script)),
            11 | 12 => tracker.pass(script.pause()),
            13 => tracker.set_clock(script.pause(), step),
            14 => tracker.change(script.byte()),
            _ => tracker.sweep(script.byte()),
        }
    }
    tracker.end();
}

impl Tracker {
    /// Bits of `flags` choose settings and rules.
    fn new(flags: u8) -> Self {
        let mut settings = Settings::default();
        settings.dialect_2004 = flags & 1 == 0;
        if flags & 2 != 0 {
            (settings.max_stored_torrents, settings.max_stored_peers) = (2, 5);
        }
        if flags & 4 != 0 {
            settings.max_reply_bytes = 38 + usize::from(flags >> 4) * 4;
        }
        if flags & 8 != 0 {
            settings.trusted_ip_sources = vec!["100.64.0.0/10".parse().expect("a network")];
        }
        if flags & 0x80 != 0 {
            settings.proxy_protocol_sources = vec!["10.0.0.0/8".parse().expect("a network")];
        }
        let service = Service::from_seed(settings.clone(), 1).expect("valid settings");
        let service = Arc::new(service);
        let handler = Handler::new(Arc::clone(&service));
        Self {
            service,
            settings,
            handler,
            model: Model::default(),
            now: NOW,
            sweeps: [(); 2].map(|()| SweepCursor::new(0, 1)),
            swept: NOW,
        }
    }

    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut reply = [0xaa; BUFFER];
        let len = self.handler.handle(self.now, from, datagram, &mut reply);
        assert!(len <= self.settings.max_reply_bytes, "a reply of {len} bytes");
        assert!(reply[len..].iter().all(|byte| *byte == 0xaa) || len < BUFFER);
        let reply = &reply[..len];
        match proxy::client(&self.settings, from, datagram) {
            Some((client, header, payload)) => {
                if let Some(answer) = reply.strip_prefix(header) {
                    self.model.check(self.now, &self.settings, client, payload, answer);
                } else {
                    assert!(reply.is_empty(), "a reply without its header");
                }
            }
            None => assert!(reply.is_empty(), "a reply to a bad header"),
        }
        let mut again = [0; BUFFER];
        let other: SocketAddr = ([85, 1, 1, 1], 6969).into();
        assert_eq!(self.handler.handle(self.now, other, reply, &mut again), 0, "a reply that is a request");
        for family in Family::ALL {
            let totals = self.service.stores().totals(family);
            assert!(totals.torrents <= self.settings.max_stored_torrents);
            assert!(totals.peers <= self.settings.max_stored_peers);
        }
    }

    /// With the connection_id that the source got last, or a new one.
    fn receive_connected(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.receive_with_id_of(from, from, datagram);
    }

    fn receive_proxied(&mut self, proxy: SocketAddr, script: &mut Script<'_>) {
        let client = source(script.byte());
        if self.model.connection_id(client).is_none() {
            self.receive(client, &CONNECT);
        }
        let mut datagram = request::announce(script);
        if let Some(id) = self.model.connection_id(client) {
            datagram[..8].copy_from_slice(&id);
        }
        let mut proxied = proxy::header(script.byte(), client);
        proxied.extend_from_slice(&datagram);
        self.receive(proxy, &proxied);
    }

    fn receive_with_id_of(&mut self, owner: SocketAddr, from: SocketAddr, datagram: &[u8]) {
        if self.model.connection_id(owner).is_none() {
            self.receive(owner, &CONNECT);
        }
        let mut datagram = datagram.to_vec();
        if let (Some(id), Some(place)) = (self.model.connection_id(owner), datagram.get_mut(..8)) {
            place.copy_from_slice(&id);
        }
        self.receive(from, &datagram);
    }

    /// The system's time jumps, by up to two months in both directions.
    fn set_clock(&mut self, by: Duration, direction: u8) {
        let now = Duration::from_secs(self.now);
        let unix = if direction & 0x80 == 0 { now + by } else { now.saturating_sub(by) };
        self.handler.set_clock(now, unix);
    }

    fn change(&mut self, how: u8) {
        match how & 7 {
            0 => self.service.set_access(AccessRules::all()),
            1 => self.service.set_access(AccessRules::listed([request::torrent(1)])),
            2 => self.service.set_access(AccessRules::unlisted([request::torrent(2)])),
            3 => self.service.set_access(rules()),
            4 => self.settings.max_peers = (how >> 3).max(1).into(),
            5 => self.settings.default_peers = usize::from(how >> 3).min(self.settings.max_peers),
            6 => self.settings.dialect_2004 = !self.settings.dialect_2004,
            _ => self.settings.announce_interval = 3 + u32::from(how >> 3) * 50,
        }
        self.settings.default_peers = self.settings.default_peers.min(self.settings.max_peers);
        self.service.set_settings(&self.settings).expect("valid settings");
    }

    fn sweep(&mut self, budget: u8) {
        for (family, cursor) in Family::ALL.into_iter().zip(&mut self.sweeps) {
            self.service.stores().sweep(self.now, family, cursor, budget.into());
        }
    }

    /// Time passes. As a tracker does, the store is swept at least once in a lifetime.
    fn pass(&mut self, pause: Duration) {
        let until = self.now + pause.min(LONGEST).as_secs();
        let lifetime = u64::from(self.settings.peer_lifetime);
        while until - self.swept > lifetime {
            self.now = self.swept + lifetime;
            self.sweep_all();
        }
        self.now = until;
    }

    fn sweep_all(&mut self) {
        for family in Family::ALL {
            if self.service.stores().totals(family).torrents > 0 {
                self.service.stores().sweep(self.now, family, &mut SweepCursor::new(0, 1), 1 << 20);
            }
        }
        self.swept = self.now;
    }

    /// Everything expires in the end. What was completed is remembered for some time after the last peer has gone.
    fn end(mut self) {
        for _ in 0..4 {
            self.now += u64::from(self.settings.peer_lifetime) + 1;
            self.sweep_all();
        }
        for family in Family::ALL {
            let totals = self.service.stores().totals(family);
            assert_eq!((totals.torrents, totals.peers), (0, 0), "what never expires");
        }
    }
}

/// Rules of every kind; the clients, keys and networks are in reach of the dictionary.
fn rules() -> AccessRules {
    let mut rules = AccessRules::unlisted([InfoHash([0; 20])]);
    rules.networks.extend([Rule::new("90.5.0.0/16".parse().expect("a network"))]);
    rules.clients.extend([Rule::new("%00".parse().expect("a prefix"))]);
    rules.keys = Some([Rule::new("k".parse().expect("a passkey"))].into_iter().collect());
    rules
}
