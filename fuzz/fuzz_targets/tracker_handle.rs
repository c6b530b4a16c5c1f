#![no_main]
//! Arbitrary datagrams to the tracker; the first octet says whether they have a good connection_id.

use std::net::SocketAddr;

use libfuzzer_sys::fuzz_target;
use udp_tracker::{Config, Handler, Service};

const NOW: u64 = 1_800_000_000;

fuzz_target!(|input: &[u8]| {
    let Some((flags, datagram)) = input.split_first() else { return };
    let source: SocketAddr = if flags & 1 == 0 { ([192, 0, 2, 1], 9).into() } else { ([7u16; 8], 9).into() };
    let mut handler = Handler::new(Service::new(Config::default()).expect("the default is possible"));
    let mut datagram = datagram.to_vec();
    let mut reply = [0; 2048];
    let knows_us = flags & 2 != 0 && datagram.len() >= 8;
    if knows_us {
        let connect = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
        assert_eq!(handler.handle(NOW, source, &connect, &mut reply), 16);
        datagram[..8].copy_from_slice(&reply[8..16]);
    }
    let len = handler.handle(NOW, source, &datagram, &mut reply);
    assert!(len <= 1232 && (knows_us || len <= datagram.len()));
    let mut again = [0; 2048];
    assert_eq!(handler.handle(NOW, source, &reply[..len], &mut again), 0, "a reply that is a request");
});
