//! An arbitrary stream to a peer connection.

use std::time::Duration;

use peer_wire_proto::connection::{Config, Connection, Event, Torrent};
use peer_wire_proto::{Bitfield, Framer, Layout, Message};
use udp_tracker_proto::{InfoHash, PeerId};

/// Any bytes as what a peer sends. The first two choose the side and where the stream is cut.
///
/// # Panics
/// If the connection consumes more than it got, or goes on without an end.
pub fn peer_stream(input: &[u8]) {
    let Some((&[side, cut], stream)) = input.split_first_chunk() else { return };
    messages(stream);
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
                    &Bitfield::decode(&mut have[..], 4).expect("four pieces"),
                    &mut out,
                );
                let _ = connection.unchoke(now, &mut out);
            }
            assert!(consumed <= buffer.len());
            buffer.drain(..consumed);
            if !event {
                break;
            }
        }
        assert!(buffer.len() <= connection.receive_len(), "bytes wait that are a whole message");
    }
}

/// Each message of a stream is encoded to the bytes that it was read from.
fn messages(stream: &[u8]) {
    let mut framer = Framer::new(1 << 17);
    let mut rest = stream;
    let mut out = Vec::new();
    while let Ok(framed) = framer.next(rest) {
        let (read, behind) = rest.split_at(framed.consumed);
        let Some(message) = framed.message else { break };
        out.resize(message.encoded_len(), 0);
        assert_eq!(message.encode(&mut out), Ok(out.len()));
        // Unknown messages before it are skipped.
        assert!(read.ends_with(&out));
        assert_eq!(Message::decode(&out[4..]), Ok(message));
        rest = behind;
    }
}
