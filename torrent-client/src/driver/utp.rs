//! Resets attempts to connect over uTP (BEP 29), which is not supported.
//!
//! Some clients, libtorrent for one, try uTP first and wait three seconds for an answer before they try TCP. A reset saves
//! them the wait.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | type (upper half), version (lower half) |
//! | 1 | 1 | extension |
//! | 2 | 2 | connection_id |
//! | 4 | 4 | timestamp_microseconds |
//! | 8 | 4 | timestamp_difference_microseconds |
//! | 12 | 4 | wnd_size |
//! | 16 | 2 | seq_nr |
//! | 18 | 2 | ack_nr |

use std::io;

use mio::net::{TcpListener, UdpSocket};
use mio::{Interest, Registry, Token};

/// Bytes of a header without extensions, which is all that a packet of these types has.
const HEADER: usize = 20;
/// Datagrams that are read at once, so that a flood of them keeps nothing else waiting.
const AT_ONCE: usize = 64;
/// Version 1, type `ST_SYN`.
const SYN: u8 = 0x41;
/// Version 1, type `ST_RESET`.
const RESET: u8 = 0x31;

/// Sockets on the ports that we listen on for TCP.
pub(super) struct NoUtp {
    sockets: Vec<UdpSocket>,
}

impl NoUtp {
    /// Where the port is taken for UDP, there is none: another program answers there.
    pub(super) fn new(listeners: &[TcpListener], registry: &Registry, tokens: [Token; 2]) -> Self {
        let bind = |(listener, token): (&TcpListener, Token)| -> io::Result<UdpSocket> {
            let mut socket = UdpSocket::bind(listener.local_addr()?)?;
            registry.register(&mut socket, token, Interest::READABLE)?;
            Ok(socket)
        };
        let sockets = listeners.iter().zip(tokens).filter_map(|pair| bind(pair).ok()).collect();
        Self { sockets }
    }

    /// Answers what has come, or a part of it if that is much; the rest counts as lost until this is called again.
    pub(super) fn answer(&self) {
        let mut packet = [0; HEADER];
        for socket in &self.sockets {
            for _ in 0..AT_ONCE {
                match socket.recv_from(&mut packet) {
                    Ok((length, source)) => {
                        if let Some(answer) = refusal(&packet[..length]) {
                            // Lost, it is asked for again.
                            let _ = socket.send_to(&answer, source);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {}
                }
            }
        }
    }
}

/// The reset for the first packet of a connection, as long as that packet; nothing for any other.
fn refusal(packet: &[u8]) -> Option<[u8; HEADER]> {
    let syn: &[u8; HEADER] = packet.try_into().ok()?;
    let mut answer = [0; HEADER];
    answer[0] = RESET;
    answer[2..4].copy_from_slice(&syn[2..4]);
    answer[18..].copy_from_slice(&syn[16..18]);
    (syn[0] == SYN).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_syn_is_refused() {
        let mut syn = [0; HEADER];
        syn[0] = SYN;
        syn[2..4].copy_from_slice(&[0xab, 0xcd]);
        syn[16..18].copy_from_slice(&[0, 1]);
        let answer = refusal(&syn).unwrap();
        assert_eq!((answer[0], &answer[2..4], &answer[18..]), (RESET, &[0xab, 0xcd][..], &[0, 1][..]));
        assert_eq!(refusal(&answer), None, "two of us don't go on for ever");
        assert_eq!(refusal(&syn[..19]), None);
    }
}
