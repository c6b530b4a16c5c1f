#![no_main]
//! Arbitrary datagrams to the tracker. Bits of the first byte choose whether they have a valid connection_id, whether there
//! are access rules, whether the source is a proxy, whose datagrams can have a header, and whether requests are limited.

use std::net::SocketAddr;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use udp_tracker::{AccessRules, Handler, InfoHash, Rule, Service, Settings};

const NOW: u64 = 1_800_000_000;

fuzz_target!(|input: &[u8]| {
    let Some((flags, datagram)) = input.split_first() else { return };
    let source: SocketAddr = if flags & 1 == 0 { ([192, 0, 2, 1], 9).into() } else { ([7u16; 8], 9).into() };
    let access = if flags & 4 == 0 { AccessRules::all() } else { rules() };
    let mut settings = Settings::default();
    if flags & 8 != 0 {
        settings.proxy_protocol_sources = vec![source.ip().into()];
    }
    settings.requests_per_second_per_network = u32::from(flags & 16 != 0);
    settings.min_peer_port = if flags & 32 != 0 { 1024 } else { 1 };
    let service = Service::new(settings).expect("valid settings").with_access(access);
    let mut handler = Handler::new(Arc::new(service));
    let mut datagram = datagram.to_vec();
    let mut reply = [0; 2048];
    let is_connected = flags & 2 != 0 && datagram.len() >= 8;
    if is_connected {
        let connect = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
        assert_eq!(handler.handle(NOW, source, &connect, &mut reply), 16);
        datagram[..8].copy_from_slice(&reply[8..16]);
    }
    let len = handler.handle(NOW, source, &datagram, &mut reply);
    assert!(len <= 1232 && (is_connected || len <= datagram.len()));
    let mut again = [0; 2048];
    assert_eq!(handler.handle(NOW, source, &reply[..len], &mut again), 0, "a reply that is a request");
});

/// Rules of every kind, none of which applies to the sources.
fn rules() -> AccessRules {
    let mut rules = AccessRules::unlisted([InfoHash([0; 20])]);
    rules.networks.extend([Rule::new("203.0.113.0/24".parse().expect("a network"))]);
    rules.clients.extend([Rule::new("%00".parse().expect("a prefix"))]);
    rules.keys = Some([Rule::new("k".parse().expect("a passkey"))].into_iter().collect());
    rules
}
