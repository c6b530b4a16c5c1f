//! Peers that use connections and processor time, and upload nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use peer_wire_proto::{Handshake, PeerId, Reserved};
use socket2::{Domain, Socket, Type};

use crate::support::{Content, PATIENCE, address, finish};

/// Connects from host `from`.
fn connect(from: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&to.into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Connects from host `from` and sends a handshake. Returns whether it was answered.
fn shake_hands(from: [u8; 4], to: SocketAddr, content: &Content, peer_id: [u8; 20]) -> (TcpStream, bool) {
    let mut stream = connect(from, to).unwrap();
    let mut handshake = [0; Handshake::LEN];
    let ours = Handshake {
        reserved: Reserved::default(),
        info_hash: content.metainfo.info_hash(),
        peer_id: PeerId(peer_id),
    };
    ours.encode(&mut handshake).unwrap();
    stream.write_all(&handshake).unwrap();
    let answered = stream.read_exact(&mut handshake).is_ok();
    (stream, answered)
}

/// Makes 120 connections and sends nothing; replaces connections that are closed. Ends when dropped.
struct Silent(Arc<AtomicBool>, Option<thread::JoinHandle<()>>);

impl Silent {
    fn start(from: [u8; 4], to: SocketAddr) -> Self {
        let silent = move || {
            let stream = connect(from, to).ok()?;
            stream.set_nonblocking(true).ok()?;
            Some(stream)
        };
        let mut streams: Vec<Option<TcpStream>> = (0..120).map(|_| silent()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for stream in &mut streams {
                    let is_open = |stream: &mut TcpStream| {
                        stream.read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
                    };
                    if !stream.as_mut().is_some_and(is_open) {
                        *stream = silent();
                    }
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        Self(stop, Some(thread))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        let _ = self.1.take().map(thread::JoinHandle::join);
    }
}

#[test]
fn silent_connections_of_one_host_do_not_block_other_hosts() {
    let content = Content::new(&[]);
    let seeder = content.seed(|_| {});
    finish(&seeder);
    let _silent = Silent::start([127, 0, 0, 9], address(&seeder));
    let app = content.download("copy", |options| options.peers = vec![address(&seeder)]);
    finish(&app);
    content.assert_complete("copy");
}

#[test]
fn a_flood_of_useless_messages_ends_the_connection() {
    let content = Content::new(&[]);
    let seeder = content.seed(|_| {});
    finish(&seeder);
    const INTEREST: [u8; 10] = [0, 0, 0, 1, 2, 0, 0, 0, 1, 3];
    const CHOKE: [u8; 10] = [0, 0, 0, 1, 0, 0, 0, 0, 1, 1];
    const HAVE: [u8; 9] = [0, 0, 0, 5, 4, 0, 0, 0, 7];
    for (peer_id, message) in [(1, &INTEREST[..]), (2, &CHOKE), (3, &HAVE), (4, &[0; 4])] {
        let (mut stream, answered) = shake_hands([127, 0, 0, 1], address(&seeder), &content, [peer_id; 20]);
        assert!(answered);
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        // More bytes than any socket buffer holds, so the write returns only if they are read or refused.
        let flood = message.repeat(32 << 20 >> 3);
        assert!(stream.write_all(&flood).is_err(), "{message:?} is still accepted");
    }
}

#[test]
fn the_same_peer_id_on_another_host_is_another_peer() {
    let content = Content::new(&[]);
    let seeder = content.seed(|_| {});
    finish(&seeder);
    let (_first, answered) = shake_hands([127, 0, 0, 2], address(&seeder), &content, [7; 20]);
    assert!(answered);
    let (_other_host, answered) = shake_hands([127, 0, 0, 3], address(&seeder), &content, [7; 20]);
    assert!(answered);
    let (_same_host, answered) = shake_hands([127, 0, 0, 2], address(&seeder), &content, [7; 20]);
    assert!(!answered, "two connections with one peer");
}
