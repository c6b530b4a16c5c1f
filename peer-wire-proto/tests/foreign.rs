//! Streams between real clients, compared with the output of Wireshark's dissector; see `data/README.md`.

// Clippy allows `unwrap` in tests, but not in their helper functions.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use peer_wire_proto::connection::{Config, Event, State, Torrent};
use peer_wire_proto::{
    BLOCK_LENGTH, Bitfield, Block, Connection, Framer, Handshake, Layout, Message, PeerId, Reserved,
};

struct Stream {
    name: &'static str,
    bytes: &'static [u8],
    dissected: &'static str,
}

macro_rules! streams {
    ($($name:literal),*) => {
        [$(Stream {
            name: $name,
            bytes: include_bytes!(concat!("data/", $name, ".bin")),
            dissected: include_str!(concat!("data/", $name, ".txt")),
        }),*]
    };
}

const SEEDER: [Stream; 3] =
    streams!("libtorrent-to-ctorrent", "libtorrent-to-aria2", "libtorrent-to-transmission");
const LEECHERS: [Stream; 3] =
    streams!("ctorrent-to-libtorrent", "aria2-to-libtorrent", "transmission-to-libtorrent");

const LAYOUT: (u64, u32) = (20_000, 16_384);
const NOW: Duration = Duration::ZERO;

/// A message as the dissector prints it.
fn in_words(message: Message<'_>) -> String {
    let stretch = |kind: &str, block: Block| {
        let Block { index, begin, length } = block;
        format!("{kind}, Piece (Idx:{index:#x},Begin:{begin:#x},Len:{length:#x})")
    };
    match message {
        Message::KeepAlive => "Continuation data".to_owned(),
        Message::Choke => "Choke".to_owned(),
        Message::Unchoke => "Unchoke".to_owned(),
        Message::Interested => "Interested".to_owned(),
        Message::NotInterested => "Not Interested".to_owned(),
        Message::Have(index) => format!("Have, Piece (Idx:{index:#x})"),
        Message::Bitfield(bytes) => format!("Bitfield, Len:{:#x}", bytes.len()),
        Message::Request(block) => stretch("Request", block),
        Message::Piece { index, begin, data } => {
            format!("Piece, Idx:{index:#x},Begin:{begin:#x},Len:{:#x}", data.len())
        }
        Message::Cancel(block) => stretch("Cancel", block),
        Message::Port(_) => "Port".to_owned(),
        Message::Suggest(index) => format!("Suggest, Piece (Idx:{index:#x})"),
        Message::HaveAll => "Have All".to_owned(),
        Message::HaveNone => "Have None".to_owned(),
        Message::Reject(block) => stretch("Reject Request", block),
        Message::AllowedFast(index) => format!("Allowed Fast, Piece (Idx:{index:#x})"),
        Message::Extended { .. } => "Extended".to_owned(),
        _ => panic!("{message:?}"),
    }
}

fn messages(stream: &Stream) -> Vec<Message<'static>> {
    let mut framer = Framer::new(9 + BLOCK_LENGTH);
    let mut rest = &stream.bytes[Handshake::LEN..];
    let mut messages = Vec::new();
    loop {
        let framed = framer.next(rest).unwrap();
        rest = &rest[framed.consumed..];
        let Some(message) = framed.message else { break };
        messages.push(message);
    }
    assert!(rest.is_empty(), "{}", stream.name);
    messages
}

#[test]
fn decodes_the_same_messages_as_the_dissector() {
    for stream in SEEDER.iter().chain(&LEECHERS) {
        let mut words = vec!["Handshake".to_owned()];
        words.extend(messages(stream).into_iter().map(in_words));
        assert!(words.iter().eq(stream.dissected.lines()), "{}: {words:#?}", stream.name);
    }
}

#[test]
fn encodes_the_same_bytes_again() {
    for stream in SEEDER.iter().chain(&LEECHERS) {
        let mut bytes = vec![0; stream.bytes.len()];
        let mut at = Handshake::decode(stream.bytes).unwrap().encode(&mut bytes).unwrap();
        for message in messages(stream) {
            at += message.encode(&mut bytes[at..]).unwrap();
        }
        assert_eq!(bytes, stream.bytes, "{}", stream.name);
    }
}

#[test]
fn decodes_the_handshakes() {
    let seen: Vec<Handshake> =
        SEEDER.iter().chain(&LEECHERS).map(|stream| Handshake::decode(stream.bytes).unwrap()).collect();
    let both = Reserved::FAST | Reserved::EXTENSION_PROTOCOL;
    for (handshake, client) in seen.iter().zip([b"-LT2080-", b"-LT2080-", b"-LT2080-", b"-CD0303-"]) {
        assert_eq!(handshake.peer_id.0[..8], *client);
    }
    assert_eq!(seen[4].peer_id.0[..10], *b"A2-1-36-0-");
    assert_eq!(seen[5].peer_id.0[..8], *b"-TR3000-");
    assert_eq!(seen[3].reserved, Reserved::NONE);
    assert_eq!(seen[4].reserved, both);
    for with_dht in [0, 1, 2, 5] {
        assert_eq!(seen[with_dht].reserved, both | Reserved::DHT);
    }
    assert!(seen.iter().all(|handshake| handshake.info_hash == seen[0].info_hash));
}

fn about(handshake: Handshake) -> Torrent {
    let (length, piece_length) = LAYOUT;
    Torrent { info_hash: handshake.info_hash, layout: Layout::new(length, piece_length).unwrap() }
}

/// The configuration of a client with the captured one's extensions.
fn config(reserved: Reserved) -> Config {
    Config { reserved, ..Config::default() }
}

/// Downloads from a captured libtorrent.
fn download(stream: &Stream, theirs: Reserved) -> Vec<u8> {
    let torrent = about(Handshake::decode(stream.bytes).unwrap());
    let mut connection: Connection = Connection::connect(NOW, PeerId([0; 20]), torrent, config(theirs));
    let mut out = [0; <Connection>::TRANSMIT_LEN];
    connection.poll_transmit(NOW, &mut out);
    let (mut rest, mut content, mut got) = (stream.bytes, vec![0; 20_000], 0);
    loop {
        let input = connection.handle_input(NOW, rest).unwrap();
        rest = &rest[input.consumed..];
        match input.event {
            None => break,
            Some(Event::Handshake(_)) => {
                connection.bitfield(NOW, &Bitfield::decode([0], 2).unwrap(), &mut out).unwrap();
                connection.interested(NOW, &mut out).unwrap();
            }
            Some(Event::Unchoked) => {
                for block in (0..2).flat_map(|index| torrent.layout.blocks(index, BLOCK_LENGTH)) {
                    connection.request(NOW, block, &mut out).unwrap();
                }
            }
            Some(Event::Piece { block, data }) => {
                let begin = usize::try_from(block.index * 16_384 + block.begin).unwrap();
                content[begin..begin + data.len()].copy_from_slice(data);
                got += data.len();
            }
            Some(_) => {}
        }
    }
    assert!(rest.is_empty());
    assert_eq!(got, content.len());
    assert_eq!(connection.state(), State::Data);
    content
}

#[test]
fn a_connection_downloads_what_libtorrent_sent() {
    let contents: Vec<Vec<u8>> = SEEDER
        .iter()
        .zip(&LEECHERS)
        .map(|(seeder, leecher)| {
            let reserved = Handshake::decode(leecher.bytes).unwrap().reserved;
            download(seeder, reserved)
        })
        .collect();
    // The first bytes of the SHA-1 of "peer-wire-proto 0", and the last of that of "peer-wire-proto 999".
    assert_eq!(contents[0][..4], [0xdb, 0xd6, 0x5f, 0x40]);
    assert_eq!(contents[0][19_996..], [0xb1, 0x83, 0xde, 0x40]);
    assert_eq!(contents[0], contents[1]);
    assert_eq!(contents[0], contents[2]);
}

#[test]
fn a_connection_serves_what_each_client_asked_for() {
    let reserved = Reserved::FAST | Reserved::EXTENSION_PROTOCOL | Reserved::DHT;
    for stream in &LEECHERS {
        let mut connection: Connection = Connection::accept(NOW, PeerId([0; 20]), config(reserved));
        let mut out = [0; <Connection>::TRANSMIT_LEN];
        let (mut rest, mut served, mut events) = (stream.bytes, 0, Vec::new());
        loop {
            let input = connection.handle_input(NOW, rest).unwrap();
            rest = &rest[input.consumed..];
            let Some(event) = input.event else { break };
            match event {
                Event::Handshake(theirs) => {
                    connection.answer(NOW, about(theirs), &mut out).unwrap();
                    connection.bitfield(NOW, &Bitfield::decode([0xc0], 2).unwrap(), &mut out).unwrap();
                    connection.unchoke(NOW, &mut out).unwrap();
                }
                Event::Requested(block) => {
                    connection.piece(NOW, block, &mut out).unwrap();
                    served += block.length;
                }
                event => events.push(event),
            }
        }
        assert_eq!((rest.len(), served), (0, 20_000), "{}", stream.name);
        assert_eq!(connection.state(), State::Data);
        match (stream.name, &events[..]) {
            ("ctorrent-to-libtorrent", events) => assert_eq!(events, [Event::Interested, Event::Have(1)]),
            (_, [Event::Extended { id: 0, payload }, Event::HaveNone, ..]) => {
                assert!(payload.starts_with(b"d") && payload.ends_with(b"e"));
            }
            _ => panic!("{events:?}"),
        }
        if stream.name == "aria2-to-libtorrent" {
            assert_eq!(events[events.len() - 2..], [Event::NotInterested, Event::HaveAll]);
        }
    }
}
