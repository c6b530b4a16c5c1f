#![no_main]
//! An arbitrary stream to a peer connection; the first bytes choose the side and where the stream is cut.

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use peer_wire_proto::Layout;
use peer_wire_proto::connection::{Config, Connection, Event, Torrent};
use udp_tracker_proto::{InfoHash, PeerId};

fuzz_target!(|input: &[u8]| {
    let Some((&[side, cut], stream)) = input.split_first_chunk() else { return };
    let info_hash = InfoHash([1; 20]);
    let layout = Layout::new(100_000, 32_768).expect("a possible layout");
    let torrent = Torrent { info_hash, layout };
    let now = Duration::ZERO;
    let mut connection: Connection = if side & 1 == 0 {
        Connection::connect(now, PeerId([2; 20]), torrent, Config::default())
    } else {
        Connection::accept(now, PeerId([2; 20]), Config::default())
    };
    let mut out = [0; 4096];
    let mut have = [0xf0];
    let mut buffer = Vec::new();
    if side & 2 != 0 {
        // A valid handshake, so that the messages after it are reached.
        buffer.extend_from_slice(b"\x13BitTorrent protocol");
        buffer.extend_from_slice(&[0, 0, 0, 0, 0, 0x10 & side, 0, 4 & side]);
        buffer.extend_from_slice(&info_hash.0);
        buffer.extend_from_slice(&[3; 20]);
    }
    for part in stream.chunks(usize::from(cut).max(1)) {
        buffer.extend_from_slice(part);
        loop {
            connection.poll_transmit(now, &mut out);
            let Ok(input) = connection.handle_input(now, &buffer) else { return };
            let (consumed, handshake, event) =
                (input.consumed, matches!(input.event, Some(Event::Handshake(_))), input.event.is_some());
            if handshake {
                let _ = connection.answer(now, torrent, &mut out);
                let _ = connection.bitfield(
                    now,
                    &peer_wire_proto::Bitfield::decode(&mut have[..], 4).expect("four pieces"),
                    &mut out,
                );
                let _ = connection.unchoke(now, &mut out);
            }
            buffer.drain(..consumed);
            if !event {
                break;
            }
        }
    }
});
