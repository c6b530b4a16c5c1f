//! The connections to peers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::{FIRST_PEER, sockets};
use crate::engine::Engine;
use crate::pieces::PeerKey;

/// Bytes read from a connection at once.
const READ: usize = 256 << 10;
/// Bytes of an unfinished message for which memory is kept: one block.
const LEFTOVER: usize = 20 << 10;
/// The most writes to a connection per turn: a few fill any socket's buffer.
const WRITES: usize = 4;

/// All connections, and those with something to do.
pub(super) struct Links {
    links: BTreeMap<PeerKey, Link>,
    active: BTreeSet<PeerKey>,
    /// Whether some connections made progress and need another turn at once.
    pub(super) again: bool,
    /// The address to connect from.
    from: Option<IpAddr>,
    scratch: Vec<u8>,
}

struct Link {
    stream: TcpStream,
    connected: bool,
    /// The connection may have bytes to read.
    readable: bool,
    /// The connection may take bytes.
    writable: bool,
    /// Bytes received that the engine has not consumed.
    leftover: Vec<u8>,
}

/// The connection is lost.
struct Lost;

impl Links {
    /// `from` is the local address to connect from, if any. No message is longer than `receive_len` bytes.
    pub(super) fn new(from: Option<IpAddr>, receive_len: usize) -> Self {
        let scratch = vec![0; receive_len.max(READ)];
        Self { links: BTreeMap::new(), active: BTreeSet::new(), again: false, from, scratch }
    }

    /// Begins a connection.
    pub(super) fn connect(
        &mut self,
        peer: PeerKey,
        address: SocketAddr,
        registry: &Registry,
    ) -> io::Result<()> {
        let stream = sockets::connect(self.from, address)?;
        self.add(peer, stream, false, registry)
    }

    /// Adds an accepted connection.
    pub(super) fn accept(&mut self, peer: PeerKey, stream: TcpStream, registry: &Registry) -> io::Result<()> {
        self.add(peer, stream, true, registry)
    }

    fn add(
        &mut self,
        peer: PeerKey,
        mut stream: TcpStream,
        connected: bool,
        registry: &Registry,
    ) -> io::Result<()> {
        let token = Token(peer.0 + FIRST_PEER);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        // Requests are small and should not be delayed.
        let _ = stream.set_nodelay(true);
        let link = Link { stream, connected, readable: false, writable: connected, leftover: Vec::new() };
        self.links.insert(peer, link);
        Ok(())
    }

    /// Closes a connection, if it exists.
    pub(super) fn close(&mut self, peer: PeerKey, registry: &Registry) {
        self.active.remove(&peer);
        if let Some(mut link) = self.links.remove(&peer) {
            let _ = registry.deregister(&mut link.stream);
        }
    }

    /// Stores what a connection is ready for.
    pub(super) fn handle(&mut self, peer: PeerKey, event: &Event) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            link.writable |= event.is_writable();
            self.active.insert(peer);
        }
    }

    /// Marks a peer for the next turn.
    pub(super) fn activate(&mut self, peer: PeerKey) {
        self.active.insert(peer);
    }

    /// Reads from and writes to each marked connection once.
    pub(super) fn serve(&mut self, now: Duration, engine: &mut Engine, registry: &Registry) {
        self.again = false;
        for peer in std::mem::take(&mut self.active) {
            let Some(link) = self.links.get_mut(&peer) else { continue };
            let Ok(progress) = link.serve(now, peer, engine, &mut self.scratch) else {
                self.close(peer, registry);
                engine.handle_closed(now, peer);
                continue;
            };
            let to_read = link.readable || engine.wants_input(peer);
            if to_read || (link.writable && engine.wants_transmit(peer)) {
                self.active.insert(peer);
                self.again |= progress;
            }
        }
    }
}

impl Link {
    /// True if anything was read or written.
    fn serve(
        &mut self,
        now: Duration,
        peer: PeerKey,
        engine: &mut Engine,
        scratch: &mut [u8],
    ) -> Result<bool, Lost> {
        if !self.connected {
            if !self.writable {
                return Ok(false);
            }
            match self.stream.take_error() {
                Ok(None) => self.connected = true,
                _ => return Err(Lost),
            }
            engine.handle_connected(now, peer);
        }
        let read = self.read(now, peer, engine, scratch)?;
        let written = self.write(now, peer, engine)?;
        Ok(read || written)
    }

    fn read(
        &mut self,
        now: Duration,
        peer: PeerKey,
        engine: &mut Engine,
        scratch: &mut [u8],
    ) -> Result<bool, Lost> {
        if !self.readable && !engine.wants_input(peer) {
            return Ok(false);
        }
        let limit = if self.readable { engine.receive_limit(now, peer) } else { 0 };
        let filled = self.leftover.len();
        let room = (scratch.len() - filled).min(limit);
        let (mut read, mut progress) = (0, false);
        scratch[..filled].copy_from_slice(&self.leftover);
        if room > 0 {
            match self.stream.read(&mut scratch[filled..filled + room]) {
                Ok(0) => return Err(Lost),
                Ok(bytes) => read = bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => progress = true,
                Err(_) => return Err(Lost),
            }
        }
        if read == 0 && !engine.wants_input(peer) {
            return Ok(progress);
        }
        let filled = filled + read;
        let done = engine.handle_input(now, peer, &scratch[..filled]);
        self.leftover.clear();
        self.leftover.extend_from_slice(&scratch[done..filled]);
        // There are many bytes left only when no buffers were free.
        self.leftover.shrink_to(LEFTOVER);
        Ok(true)
    }

    fn write(&mut self, now: Duration, peer: PeerKey, engine: &mut Engine) -> Result<bool, Lost> {
        let mut progress = false;
        for _ in 0..WRITES {
            if !self.writable || !engine.wants_transmit(peer) {
                break;
            }
            let transmit = engine.poll_transmit(now, peer);
            if transmit.is_empty() {
                break;
            }
            match self.stream.write_vectored(&transmit) {
                Ok(bytes) => {
                    engine.handle_transmitted(now, peer, bytes);
                    progress = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Lost),
            }
        }
        Ok(progress)
    }
}
