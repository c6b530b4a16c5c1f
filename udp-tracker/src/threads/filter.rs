//! A filter by which the kernel drops a part of some networks' datagrams before they take a place in a socket's buffer.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;

use socket2::{SockFilter, SockRef};
use tracing::debug;

use crate::family::Family;
use crate::shed::{ALL, HEAVY, Pass};

/// Instructions of classic BPF (linux/filter.h).
mod bpf {
    /// Loads a word of the packet.
    pub(super) const LOAD_WORD: u16 = 0x20;
    /// Loads two bytes of the packet.
    pub(super) const LOAD_HALF: u16 = 0x28;
    pub(super) const AND: u16 = 0x54;
    pub(super) const JUMP_IF_EQUAL: u16 = 0x15;
    pub(super) const JUMP_IF_GREATER: u16 = 0x25;
    /// Ends with how many bytes of the packet to keep.
    pub(super) const RETURN: u16 = 0x06;
    /// The offset of the IP header.
    pub(super) const IP_HEADER: u32 = 0xfff0_0000;
    /// Loads a random word.
    pub(super) const RANDOM: u32 = 0xffff_f000 + 56;
}

/// The most instructions of a filter: for IPv6, eight for each network.
const LONGEST: usize = 8 * HEAVY + 1;

/// Lets the kernel drop datagrams of the networks of these addresses (IPv4 /24, IPv6 /48), except for a part, at the
/// sockets of a family.
pub(super) fn set_filter(sockets: &[Arc<UdpSocket>], family: Family, passes: &[(IpAddr, Pass)]) {
    for socket in sockets {
        let set = || -> io::Result<()> {
            if Family::of(socket.local_addr()?.ip()) != family {
                return Ok(());
            }
            let socket = SockRef::from(&**socket);
            if !passes.is_empty() {
                return socket.attach_filter(&program(passes));
            }
            // There may be none.
            match socket.detach_filter() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            }
        };
        if let Err(error) = set() {
            // Then the tracker itself drops all of it.
            debug!("no filter for a socket: {error}");
        }
    }
}

/// A program that drops datagrams of the networks, except for a part of each.
fn program(passes: &[(IpAddr, Pass)]) -> Vec<SockFilter> {
    let mut program = Vec::with_capacity(LONGEST);
    for (ip, pass) in passes.iter().take(HEAVY) {
        // If it is not this network's, the next one's instructions follow.
        match ip {
            IpAddr::V4(ip) => {
                program.push(SockFilter::new(bpf::LOAD_WORD, 0, 0, bpf::IP_HEADER + 12));
                program.push(SockFilter::new(bpf::AND, 0, 0, 0xffff_ff00));
                program.push(SockFilter::new(bpf::JUMP_IF_EQUAL, 0, 4, ip.to_bits() & 0xffff_ff00));
            }
            IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                program.push(SockFilter::new(bpf::LOAD_WORD, 0, 0, bpf::IP_HEADER + 8));
                program.push(SockFilter::new(bpf::JUMP_IF_EQUAL, 0, 6, u32::from(a) << 16 | u32::from(b)));
                program.push(SockFilter::new(bpf::LOAD_HALF, 0, 0, bpf::IP_HEADER + 12));
                program.push(SockFilter::new(bpf::JUMP_IF_EQUAL, 0, 4, c.into()));
            }
        }
        program.push(SockFilter::new(bpf::LOAD_WORD, 0, 0, bpf::RANDOM));
        program.push(SockFilter::new(bpf::JUMP_IF_GREATER, 0, 1, pass.saturating_mul(u32::MAX / ALL)));
        program.push(SockFilter::new(bpf::RETURN, 0, 0, 0));
        program.push(SockFilter::new(bpf::RETURN, 0, 0, u32::MAX));
    }
    program.push(SockFilter::new(bpf::RETURN, 0, 0, u32::MAX));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a thousand datagrams from this address arrive.
    fn arrived(to: &UdpSocket, from: &str) -> usize {
        let from = UdpSocket::bind(from).unwrap();
        let mut arrived = 0;
        for _ in 0..1000 {
            from.send_to(b"?", to.local_addr().unwrap()).unwrap();
            // On loopback, what was sent has arrived.
            arrived += usize::from(to.recv(&mut [0]).is_ok());
        }
        arrived
    }

    fn socket(address: &str) -> Arc<UdpSocket> {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        Arc::new(socket)
    }

    #[test]
    fn a_part_of_each_listed_network_arrives_and_all_of_the_others() {
        let to = [socket("127.0.0.1:0"), socket("[::1]:0")];
        let half = |ip: &str| (ip.parse().unwrap(), ALL / 2);
        let passes = [half("127.7.7.1"), ("127.9.9.1".parse().unwrap(), ALL / 1024)];
        set_filter(&to, Family::V4, &passes);
        set_filter(&to, Family::V6, &[half("2001:db8::1")]);
        let part = arrived(&to[0], "127.7.7.200:0");
        assert!((400..600).contains(&part), "{part}");
        assert!(arrived(&to[0], "127.9.9.2:0") < 20);
        assert_eq!(arrived(&to[0], "127.7.8.1:0"), 1000);
        assert_eq!(arrived(&to[1], "[::1]:0"), 1000);
        set_filter(&to, Family::V4, &[]);
        set_filter(&to, Family::V6, &[half("::1")]);
        assert_eq!(arrived(&to[0], "127.7.7.200:0"), 1000);
        let part = arrived(&to[1], "[::1]:0");
        assert!((400..600).contains(&part), "{part}");
        set_filter(&to, Family::V6, &[]);
        set_filter(&to, Family::V6, &[]);
        assert_eq!(arrived(&to[1], "[::1]:0"), 1000);
    }

    #[test]
    fn the_longest_program_is_accepted() {
        let to = [socket("127.0.0.1:0"), socket("[::1]:0")];
        for (family, ip) in [(Family::V4, "127.0.0.1"), (Family::V6, "2001:db8::1")] {
            set_filter(&to, family, &[(ip.parse().unwrap(), ALL / 10); HEAVY]);
        }
        // With a filter, there is one to remove.
        assert!(to.iter().all(|socket| SockRef::from(&**socket).detach_filter().is_ok()));
    }
}
