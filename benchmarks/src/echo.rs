//! A tracker that stores nothing: it receives in batches, answers each request with a reply as long as that of a
//! tracker without peers, and sends in batches. Its rate is the upper limit of the kernel's sockets on this machine.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;

use datagram_batch::{BATCH, BatchReceiver, BatchSender, Transmit, set_receive_buffer};

const REQUEST_LEN: usize = 2048;
const REPLY_LEN: usize = 1280;
const RECEIVE_BUFFER: usize = 8 << 20;

fn main() -> ExitCode {
    let address = std::env::args().nth(1).and_then(|address| address.parse().ok());
    let Some(address) = address else {
        eprintln!("usage: echo ADDR:PORT");
        return ExitCode::from(2);
    };
    match serve(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    set_receive_buffer(&socket, RECEIVE_BUFFER)?;
    println!("listening on udp://{}", socket.local_addr()?);
    let (mut receiver, mut sender) = (BatchReceiver::new(REQUEST_LEN), BatchSender::new());
    let mut replies = vec![[0_u8; REPLY_LEN]; BATCH];
    loop {
        let received = receiver.receive(&socket)?;
        let mut lens = [0; BATCH];
        for ((request, out), len) in received.iter().zip(&mut replies).zip(&mut lens) {
            *len = reply(request.bytes, out);
        }
        // Empty replies are harmless. A reply that can't be sent is dropped.
        let replies = received.iter().zip(&replies).zip(lens);
        let _dropped = sender.send(
            &socket,
            replies.map(|((request, reply), len)| Transmit::new(request.source, &reply[..len])),
        );
    }
}

/// Writes a valid reply without peers; returns its length in bytes.
fn reply(request: &[u8], out: &mut [u8; REPLY_LEN]) -> usize {
    let Some(head) = request.first_chunk::<16>() else { return 0 };
    out[..4].copy_from_slice(&head[8..12]);
    out[4..8].copy_from_slice(&head[12..16]);
    match head[11] {
        0 => {
            out[8..16].fill(9);
            16
        }
        1 => {
            // interval 1800, one leecher: the announcer.
            out[8..20].copy_from_slice(&[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 0]);
            20
        }
        _ => {
            let len = 8 + (request.len() - 16) / 20 * 12;
            out[8..len].fill(0);
            len
        }
    }
}
