//! One datagram with each system call, for every system that rustix supports.

use std::io;
use std::net::SocketAddr;

use rustix::fd::AsFd;
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};

use crate::head::{Count, Head, UNKNOWN};
use crate::transmit::{Sent, Transmit, send_each};

/// The flag for every datagram after the first. Windows has no such flag; there each call receives one datagram.
#[cfg(not(windows))]
const LATER: Option<RecvFlags> = Some(RecvFlags::DONTWAIT);
#[cfg(windows)]
const LATER: Option<RecvFlags> = None;

pub(crate) fn receive(
    socket: &impl AsFd,
    buffers: &mut [u8],
    stride: usize,
    heads: &mut [Head],
) -> io::Result<Count> {
    let mut datagrams = 0;
    for (head, buffer) in heads.iter_mut().zip(buffers.chunks_exact_mut(stride)) {
        let flags = if datagrams == 0 { Some(RecvFlags::empty()) } else { LATER };
        let Some(flags) = flags else { break };
        match recvfrom(socket, buffer, flags) {
            Ok((len, _, source)) => {
                let source = source.and_then(|source| SocketAddr::try_from(source).ok());
                *head = Head { source: source.unwrap_or(UNKNOWN), len, ..Head::EMPTY };
                datagrams += 1;
            }
            Err(error) if datagrams == 0 => return Err(error.into()),
            // Usually this means that there are no more. An error of an earlier datagram is reported only once.
            Err(_) => break,
        }
    }
    Ok(Count { datagrams, ..Count::default() })
}

pub(crate) fn send<'a>(
    socket: &impl AsFd,
    datagrams: &mut impl Iterator<Item = Transmit<'a>>,
    sent: &mut Sent,
) -> bool {
    datagrams.all(|datagram| {
        send_each(1, sent, |_| {
            sendto(socket, datagram.bytes, SendFlags::empty(), &datagram.destination)?;
            Ok(1)
        })
    })
}
