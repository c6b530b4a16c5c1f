//! `peer-wire-proto`: two connections exchange handshakes, and one sends its bitfield.

use core::hint::black_box;
use core::time::Duration;

use ::peer_wire_proto::connection::{Config, Event, Torrent};
use ::peer_wire_proto::{Bitfield, Connection, InfoHash, Layout, PeerId};

/// Whether both sides receive what the other sent.
pub(crate) fn works() -> bool {
    exchanges() == Some(true)
}

fn exchanges() -> Option<bool> {
    let now = Duration::ZERO;
    let layout = Layout::new(black_box(20_000), 32_768).ok()?;
    let torrent = Torrent { info_hash: InfoHash(black_box([0x1f; 20])), layout };
    let mut seeder: Connection = Connection::accept(now, PeerId([b's'; 20]), Config::default());
    let mut leecher: Connection = Connection::connect(now, PeerId([b'l'; 20]), torrent, Config::default());

    let mut out = [0; <Connection>::TRANSMIT_LEN];
    let length = leecher.poll_transmit(now, &mut out);
    let input = seeder.handle_input(now, black_box(&out[..length])).ok()?;
    let Some(Event::Handshake(theirs)) = input.event else {
        return None;
    };
    let same_torrent = theirs.info_hash == torrent.info_hash;

    let length = seeder.answer(now, torrent, &mut out).ok()?;
    leecher.handle_input(now, black_box(&out[..length])).ok()?;
    let length = seeder.bitfield(now, &Bitfield::decode([0x80], 1).ok()?, &mut out).ok()?;
    let input = leecher.handle_input(now, black_box(&out[..length])).ok()?;
    Some(same_torrent && matches!(input.event, Some(Event::Bitfield(_) | Event::HaveAll)))
}
