//! A tracker that knows nothing: receives in batches, answers each request with as many bytes as a tracker would that
//! has no peers to give, sends in batches. What it reaches is what the kernel's sockets allow on this machine.
//!
//! The unsafe code's reasoning: all buffers are in vectors that are never resized or replaced once the headers point
//! into them, they live until the program ends, and the kernel writes no further than the lengths in the headers, which
//! are set anew before each call.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::ptr;

/// As many as the tracker takes at once.
const BATCH: usize = 64;
const REQUEST_LEN: usize = 2048;
const REPLY_LEN: usize = 1024;
const RECEIVE_BUFFER: libc::c_int = 8 << 20;

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
    // SAFETY: the option's value is a c_int that lives through the call.
    let _smaller_than_wanted = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            ptr::from_ref(&RECEIVE_BUFFER).cast(),
            len32(size_of::<libc::c_int>()),
        )
    };
    println!("listening on udp://{}", socket.local_addr()?);
    let mut requests = vec![[0_u8; REQUEST_LEN]; BATCH];
    let mut replies = vec![[0_u8; REPLY_LEN]; BATCH];
    // SAFETY: all-zero bytes are a value of these C structures: numbers, and null pointers.
    let (storage, header) = unsafe { (zeroed::<libc::sockaddr_storage>(), zeroed::<libc::mmsghdr>()) };
    let mut sources = vec![storage; BATCH];
    let part =
        |bytes: &mut [u8]| libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut request_parts: Vec<_> = requests.iter_mut().map(|bytes| part(bytes)).collect();
    let mut reply_parts: Vec<_> = replies.iter_mut().map(|bytes| part(bytes)).collect();
    let (mut received, mut sent) = (vec![header; BATCH], vec![header; BATCH]);
    for at in 0..BATCH {
        for (header, parts) in [(&mut received[at], &mut request_parts), (&mut sent[at], &mut reply_parts)] {
            header.msg_hdr.msg_name = ptr::from_mut(&mut sources[at]).cast();
            header.msg_hdr.msg_iov = &raw mut parts[at];
            header.msg_hdr.msg_iovlen = 1;
        }
    }
    loop {
        for header in &mut received {
            header.msg_hdr.msg_namelen = len32(size_of::<libc::sockaddr_storage>());
        }
        // SAFETY: see the program's page; the headers are as many as their count says.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                received.as_mut_ptr(),
                len32(BATCH),
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => continue,
                error => return Err(error),
            }
        };
        for at in 0..count {
            let request = &requests[at][..(received[at].msg_len as usize).min(REQUEST_LEN)];
            // A reply of no bytes does no harm.
            reply_parts[at].iov_len = reply(request, &mut replies[at]);
            sent[at].msg_hdr.msg_namelen = received[at].msg_hdr.msg_namelen;
        }
        let mut rest = &mut sent[..count];
        while !rest.is_empty() {
            // SAFETY: as above.
            let done = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), len32(rest.len()), 0) };
            // One that can't be sent is dropped.
            rest = &mut rest[usize::try_from(done).unwrap_or(1).max(1)..];
        }
    }
}

/// Right in its form, and says nothing.
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
            // interval 1800, one leecher: who asks.
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

/// C's unsigned int, and with it socklen_t; the lengths here are all far below its end.
fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
