//! A client that announces many peers from one address.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::running::PATIENCE;

pub(crate) struct Client {
    socket: UdpSocket,
    tracker: SocketAddr,
    connection_id: [u8; 8],
}

const LEECHER: u64 = 1;

impl Client {
    /// Fails when the tracker doesn't answer, for example because it was killed meanwhile.
    pub(crate) fn connect(tracker: SocketAddr, patience: Duration) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(patience))?;
        let mut client = Self { socket, tracker, connection_id: [0; 8] };
        let request = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
        let reply = client.exchange(&request)?;
        client.connection_id.copy_from_slice(&reply[8..16]);
        Ok(client)
    }

    /// How long it waits for an answer from now on.
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).unwrap();
    }

    fn exchange(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        self.socket.send_to(request, self.tracker)?;
        loop {
            let mut reply = vec![0; 2048];
            let len = self.socket.recv(&mut reply)?;
            reply.truncate(len);
            // Not the late answer to an earlier request.
            if reply.get(4..8) == request.get(12..16) {
                return Ok(reply);
            }
            assert!(Instant::now() < deadline, "only late answers");
        }
    }

    /// Announces a peer of this address with this port, and returns the ports of the others.
    pub(crate) fn announce(&self, torrent: u32, port: u16) -> io::Result<Vec<u16>> {
        let reply = self.send_announce(torrent, port)?;
        assert_eq!(reply[..4], [0, 0, 0, 1], "{}", String::from_utf8_lossy(&reply[8..]));
        assert!(reply[20..].chunks(6).all(|peer| peer[..4] == [127, 0, 0, 1]));
        Ok(reply[20..].chunks(6).map(|peer| u16::from_be_bytes([peer[4], peer[5]])).collect())
    }

    fn send_announce(&self, torrent: u32, port: u16) -> io::Result<Vec<u8>> {
        let mut request = Vec::with_capacity(98);
        request.extend_from_slice(&self.connection_id);
        request.extend_from_slice(&1u32.to_be_bytes());
        request.extend_from_slice(&(torrent << 16 | u32::from(port)).to_be_bytes());
        request.extend_from_slice(&info_hash(torrent));
        request.extend_from_slice(b"-ZZ0001-abcdefghijkl");
        for number in [0, LEECHER, 0] {
            request.extend_from_slice(&number.to_be_bytes());
        }
        request.extend_from_slice(&[0; 12]);
        request.extend_from_slice(&50u32.to_be_bytes());
        request.extend_from_slice(&port.to_be_bytes());
        self.exchange(&request)
    }

    /// The error that an announce gets.
    pub(crate) fn refused(&self, torrent: u32, port: u16) -> String {
        let reply = self.send_announce(torrent, port).unwrap();
        assert_eq!(reply[..4], [0, 0, 0, 3]);
        String::from_utf8_lossy(&reply[8..]).into_owned()
    }
}

pub(crate) fn info_hash(torrent: u32) -> [u8; 20] {
    let mut bytes = [0x5a; 20];
    bytes[..4].copy_from_slice(&torrent.to_be_bytes());
    bytes
}
