//! Rejects connection attempts over uTP (BEP 29), which is not supported.
//!
//! Some clients, such as libtorrent, try uTP first and wait three seconds before they try TCP. A reset ends that wait.
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

/// Bytes of a header without extensions. Packets of these two types have nothing else.
const HEADER: usize = 20;
/// The most datagrams read at once, so that a flood of them doesn't delay everything else.
const AT_ONCE: usize = 64;
/// Version 1, type `ST_SYN`.
const SYN: u8 = 0x41;
/// Version 1, type `ST_RESET`.
const RESET: u8 = 0x31;

/// UDP sockets on the ports on which we listen for TCP.
pub(super) struct NoUtp {
    sockets: Vec<UdpSocket>,
}

impl NoUtp {
    /// No socket is made for a port that is taken for UDP: another program answers there.
    pub(super) fn new(listeners: &[TcpListener], registry: &Registry, tokens: [Token; 2]) -> Self {
        let bind = |(listener, token): (&TcpListener, Token)| -> io::Result<UdpSocket> {
            let mut socket = UdpSocket::bind(listener.local_addr()?)?;
            registry.register(&mut socket, token, Interest::READABLE)?;
            Ok(socket)
        };
        let sockets = listeners.iter().zip(tokens).filter_map(|pair| bind(pair).ok()).collect();
        Self { sockets }
    }

    /// Answers waiting packets, up to a limit per call. The rest waits for the next call.
    pub(super) fn answer(&self) {
        let mut packet = [0; HEADER];
        for socket in &self.sockets {
            for _ in 0..AT_ONCE {
                match socket.recv_from(&mut packet) {
                    Ok((length, source)) => {
                        if let Some(answer) = refusal(&packet[..length]) {
                            // If the reset is lost, the peer sends its packet again.
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

/// The reset that answers the first packet of a connection. It has the same length. `None` for any other packet.
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
    fn only_a_syn_is_answered_with_a_reset() {
        let mut syn = [0; HEADER];
        syn[0] = SYN;
        syn[2..4].copy_from_slice(&[0xab, 0xcd]);
        syn[16..18].copy_from_slice(&[0, 1]);
        let answer = refusal(&syn).unwrap();
        assert_eq!((answer[0], &answer[2..4], &answer[18..]), (RESET, &[0xab, 0xcd][..], &[0, 1][..]));
        assert_eq!(refusal(&answer), None, "a reset is not answered");
        assert_eq!(refusal(&syn[..19]), None);
    }
}
