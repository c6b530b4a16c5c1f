//! Just enough of a pcap reader for the captures beside it: little-endian files, Ethernet, IPv4, UDP.

/// A UDP datagram and the ports it went between.
pub(crate) struct Datagram {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) payload: Vec<u8>,
}

/// All datagrams of a capture file's bytes, in order.
pub(crate) fn datagrams(file: &[u8]) -> Vec<Datagram> {
    const FILE_HEADER: usize = 24;
    const RECORD_HEADER: usize = 16;
    const ETHERNET: usize = 14;

    assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1], "a little-endian pcap file");
    assert_eq!(file[20..24], [1, 0, 0, 0], "Ethernet");
    let mut datagrams = Vec::new();
    let mut rest = &file[FILE_HEADER..];
    while !rest.is_empty() {
        let captured = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (record, tail) = rest.split_at(RECORD_HEADER + captured);
        let ip = &record[RECORD_HEADER + ETHERNET..];
        assert_eq!((ip[0] >> 4, ip[9]), (4, 17), "IPv4 and UDP");
        let udp = &ip[usize::from(ip[0] & 15) * 4..];
        let field = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
        datagrams.push(Datagram {
            source_port: field(0),
            destination_port: field(2),
            payload: udp[8..usize::from(field(4))].to_vec(),
        });
        rest = tail;
    }
    datagrams
}
