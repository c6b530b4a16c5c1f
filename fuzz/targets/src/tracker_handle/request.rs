//! Requests with few torrents and ports, so that peers meet.

use udp_tracker::InfoHash;

use crate::script::Script;

/// One of four torrents.
pub(super) fn torrent(number: u8) -> InfoHash {
    InfoHash([number & 3; 20])
}

fn head(script: &mut Script<'_>, action: u8) -> Vec<u8> {
    let mut datagram = vec![0; 8];
    datagram.extend_from_slice(&[0, 0, 0, action, 9, 9, 9, script.byte()]);
    datagram
}

fn announce_head(script: &mut Script<'_>) -> Vec<u8> {
    let mut datagram = head(script, 1);
    datagram.extend_from_slice(&torrent(script.byte()).0);
    datagram.extend_from_slice(&[script.byte(); 20]);
    // downloaded; left: 0 is a seeder; uploaded
    datagram.extend_from_slice(&[0; 15]);
    datagram.push(script.byte() & 1);
    datagram.extend_from_slice(&[0; 8]);
    let event = script.byte();
    datagram.extend_from_slice(&[0, 0, 0, event & 3]);
    let ip = if event & 4 == 0 { [0; 4] } else { [81, 2, 3, event] };
    datagram.extend_from_slice(&ip);
    datagram
}

fn announce_tail(script: &mut Script<'_>, datagram: &mut Vec<u8>) {
    let wanted = i32::from(script.byte().cast_signed());
    datagram.extend_from_slice(&wanted.to_be_bytes());
    // 0 is no port.
    datagram.extend_from_slice(&[script.byte() & 0x80, script.byte()]);
}

/// An announce of BEP 15, with options.
pub(super) fn announce(script: &mut Script<'_>) -> Vec<u8> {
    let mut datagram = announce_head(script);
    datagram.extend_from_slice(&[0; 4]);
    announce_tail(script, &mut datagram);
    datagram.extend_from_slice(script.bytes());
    datagram
}

/// An announce without a key.
pub(super) fn announce_2004(script: &mut Script<'_>) -> Vec<u8> {
    let mut datagram = announce_head(script);
    announce_tail(script, &mut datagram);
    datagram
}

/// A scrape of up to 255 info_hashes, and a part of one.
pub(super) fn scrape(script: &mut Script<'_>) -> Vec<u8> {
    let mut datagram = head(script, 2);
    for at in 0..script.byte() {
        datagram.extend_from_slice(&torrent(at).0);
    }
    datagram.extend_from_slice(script.bytes());
    datagram
}
