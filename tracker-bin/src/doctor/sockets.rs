//! The UDP sockets that the kernel lists in /proc/net/udp and /proc/net/udp6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::machine::Machine;

/// A UDP socket of any process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UdpSocket {
    pub(super) local: SocketAddr,
    /// Identifies it among the open files of processes.
    pub(super) inode: u64,
    /// Datagrams that were dropped since it was opened, because its receive buffer was full.
    pub(super) drops: u64,
}

impl UdpSocket {
    /// The sockets that receive what is sent to these addresses.
    pub(super) fn all_at(machine: &Machine, listening: &[SocketAddr]) -> Vec<Self> {
        let files = ["proc/net/udp", "proc/net/udp6"];
        let sockets = files.iter().filter_map(|file| machine.text(file)).flat_map(|text| parse(&text));
        sockets.filter(|socket| listening.iter().any(|address| socket.receives_for(*address))).collect()
    }

    fn receives_for(&self, address: SocketAddr) -> bool {
        let is_any = self.local.ip().is_unspecified() || address.ip().is_unspecified();
        self.local.port() == address.port()
            && self.local.is_ipv4() == address.is_ipv4()
            && (is_any || self.local.ip() == address.ip())
    }
}

/// The sockets in one of the files. Lines of another form are left out.
fn parse(text: &str) -> Vec<UdpSocket> {
    text.lines().filter_map(parse_line).collect()
}

/// `sl local remote state tx:rx timer:when retransmits uid timeout inode references pointer drops`
fn parse_line(line: &str) -> Option<UdpSocket> {
    let mut fields = line.split_whitespace();
    let local = parse_address(fields.nth(1)?)?;
    let inode = fields.nth(7)?.parse().ok()?;
    let drops = fields.nth(2)?.parse().ok()?;
    Some(UdpSocket { local, inode, drops })
}

/// `0100007F:1B39`: words of an address in network order, each printed as a number of this machine.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).into()
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doctor::machine::tests::Pretend;

    const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout \
                       inode ref pointer drops            \n  \
        314: 0801007F:DF93 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 583755 2 \
        00000000541a9286 0        \n  \
        332: 00000000:1B39 00000000:0000 07 00000000:00001040 00:00000000 00000000  1000        0 583748 2 \
        000000000f927215 4711        \n";
    const UDP6: &str = "  sl  local_address                         remote_address                        st \
                        tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n  \
        332: 00000000000000000000000001000000:1B39 00000000000000000000000000000000:0000 07 00000000:00000000 \
        00:00000000 00000000     0        0 99 2 0000000000000000 3\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn parses_addresses_inodes_and_drops() {
        let [first, second] = &parse(UDP)[..] else { panic!("{:?}", parse(UDP)) };
        assert_eq!(first.local, "127.0.1.8:57235".parse().unwrap());
        assert_eq!((first.inode, first.drops), (583_755, 0));
        assert_eq!(second.local, "0.0.0.0:6969".parse().unwrap());
        assert_eq!((second.inode, second.drops), (583_748, 4711));
        assert_eq!(parse(UDP6)[0].local, "[::1]:6969".parse().unwrap());
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn finds_sockets_by_port_family_and_address() {
        let pretend = Pretend::with(&[("proc/net/udp", UDP), ("proc/net/udp6", UDP6)]);
        let inodes = |addresses: &[&str]| {
            let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            let found = UdpSocket::all_at(&pretend.machine, &addresses);
            found.iter().map(|socket| socket.inode).collect::<Vec<_>>()
        };
        assert_eq!(inodes(&["192.0.2.1:6969"]), [583_748]);
        assert_eq!(inodes(&["0.0.0.0:6969", "[::]:6969"]), [583_748, 99]);
        assert_eq!(inodes(&["127.0.1.8:57235"]), [583_755]);
        assert_eq!(inodes(&["127.0.1.9:57235", "[::2]:6969", "0.0.0.0:80"]), [0; 0]);
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_trouble(text in ".{0,300}", lines in "([0-9A-F: \n]|é){0,300}") {
            parse(&text);
            parse(&lines);
        }
    }
}
