//! Peers that send wrong blocks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use peer_wire_proto::connection::{Config, Event, Torrent};
use peer_wire_proto::{Bitfield, Connection, PeerId};
use torrent_client::layout_of;

use crate::support::{Content, address, finish, wait_until};

/// A peer that claims to have all pieces and sends zeros to every peer that connects. Counts those peers.
fn liar(host: &str, content: &Content) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let torrent = Torrent { info_hash: content.metainfo.info_hash(), layout: layout_of(&content.metainfo) };
    let victims = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&victims);
    thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            // It ends when the other side closes the connection.
            let _ = stream.map(|stream| thread::spawn(move || lie(stream, torrent)));
        }
    });
    (address, victims)
}

fn lie(mut stream: TcpStream, torrent: Torrent) -> Option<()> {
    let now = Duration::ZERO;
    let mut connection: Connection = Connection::accept(now, PeerId([b'l'; 20]), Config::default());
    let (mut input, mut out) = (Vec::new(), vec![0; 20_000]);
    loop {
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).ok().filter(|length| *length > 0)?;
        input.extend_from_slice(&bytes[..length]);
        loop {
            let taken = connection.handle_input(now, &input).ok()?;
            let (consumed, event) = (taken.consumed, taken.event.map(|event| format!("{event:?}")));
            let requested = if let Some(Event::Requested(block)) = taken.event { Some(block) } else { None };
            let is = |name: &str| event.as_deref().is_some_and(|event| event.starts_with(name));
            let mut written = 0;
            if is("Handshake") {
                written = connection.answer(now, torrent, &mut out).ok()?;
                let mut all = Bitfield::decode(vec![0; 6], torrent.layout.pieces()).ok()?;
                all.fill();
                written += connection.bitfield(now, &all, &mut out[written..]).ok()?;
                written += connection.unchoke(now, &mut out[written..]).ok()?;
            } else if let Some(block) = requested {
                written = connection.piece(now, block, &mut out).ok()?;
                let length = usize::try_from(block.length).ok()?;
                out[written..written + length].fill(0);
                written += length;
            }
            stream.write_all(&out[..written]).ok()?;
            input.drain(..consumed);
            if event.is_none() {
                break;
            }
        }
    }
}

#[test]
fn is_banned_and_the_download_completes() {
    let content = Content::new(&[]);
    let seeder = content.seed(|options| options.upload_rate = Some(400 << 10));
    let (liar, victims) = liar("127.0.0.2", &content);
    let app = content.download("copy", |options| {
        options.ip = None;
        options.peers = vec![liar, address(&seeder)];
    });
    finish(&app);
    content.assert_complete("copy");
    assert_eq!(victims.load(Ordering::Relaxed), 1, "a banned peer is not connected to again");

    // Its own connections are refused too.
    let connect = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], address(&app).port())).into()).unwrap();
        TcpStream::from(socket)
    };
    let mut stream = connect();
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
}

#[test]
fn is_banned_when_it_is_the_only_peer() {
    let content = Content::new(&[]);
    let (liar, victims) = liar("127.0.0.3", &content);
    let app = content.download("copy", |options| options.peers = vec![liar]);
    wait_until("the wrong blocks", || victims.load(Ordering::Relaxed) == 1 && app.status().downloaded > 0);
    wait_until("the ban", || app.status().known == 0);
    assert_eq!(app.status().have, 0);
}
