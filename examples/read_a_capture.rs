//! Prints the datagrams between trackers and clients in a capture, using only the codec.
//!
//! `cargo run -p examples --example read_a_capture -- udp-tracker-proto/tests/captures/aria2.pcap`
//!
//! For little-endian pcap files of Ethernet frames with IPv4, such as `tcpdump -i lo -w FILE udp port 6969` writes.

use std::collections::HashMap;
use std::error::Error;

use udp_tracker_proto::compact::Peers;
use udp_tracker_proto::{Request, Response, TransactionId};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: read_a_capture FILE")?;
    let file = std::fs::read(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    // The number of torrents in each scrape, which is needed to decode its reply.
    let mut asked = HashMap::new();
    for payload in udp_payloads(&file).ok_or("not a whole pcap file of Ethernet frames")? {
        println!("{}", describe(payload, &mut asked));
    }
    Ok(())
}

fn describe(payload: &[u8], asked: &mut HashMap<TransactionId, usize>) -> String {
    // A connect request begins with the protocol_id, other requests with a random number, replies with a small one.
    if payload.first_chunk().is_some_and(|action| u32::from_be_bytes(*action) <= 3)
        && !matches!(Request::decode(payload), Ok(Request::Connect(_)))
    {
        let transaction = payload.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let asked = transaction.and_then(|id| asked.remove(&TransactionId(id))).unwrap_or(0);
        return match Response::<6>::decode(payload, asked) {
            Ok(Response::Connect(response)) => format!("  connection_id {}", response.connection_id),
            Ok(Response::Announce(response)) => {
                let peers: Vec<_> = Peers::V4(response.peers).iter().collect();
                format!(
                    "  {:?}, again in {} s, peers {peers:?}",
                    response.head.counts, response.head.interval
                )
            }
            Ok(Response::Scrape(response)) => {
                let entries: Vec<_> = response.entries().map(|(_, entry)| entry).collect();
                format!("  {entries:?}")
            }
            Ok(Response::Error(response)) => format!("  error: {}", response.text()),
            Err(error) => format!("  not a reply: {error}"),
        };
    }
    match Request::decode(payload) {
        Ok(Request::Connect(_)) => "connect".into(),
        Ok(Request::Announce(request)) => {
            let url: Vec<u8> = request.options.url_data().flatten().copied().collect();
            let url = String::from_utf8_lossy(&url).escape_default().to_string();
            let (event, left, port) = (request.event, request.left, request.port);
            format!("announce {} {event:?}, {left} bytes left, port {port}, {url:?}", request.info_hash)
        }
        Ok(Request::Scrape(request)) => {
            asked.insert(request.transaction_id, request.info_hashes.len());
            format!("scrape {:?}", request.hashes().collect::<Vec<_>>())
        }
        Err(error) => format!("not a request: {error}"),
    }
}

/// The UDP payloads of a capture; `None` if it ends within a packet or has another format.
fn udp_payloads(file: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = file.strip_prefix(&[0xd4, 0xc3, 0xb2, 0xa1])?.get(20..)?;
    let mut payloads = Vec::new();
    while let Some((header, tail)) = rest.split_first_chunk::<16>() {
        let captured = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let (frame, tail) = tail.split_at_checked(usize::try_from(captured).ok()?)?;
        rest = tail;
        let ip = frame.get(14..).filter(|ip| ip.len() >= 20 && ip[0] >> 4 == 4 && ip[9] == 17);
        payloads.extend(ip.and_then(|ip| ip.get(usize::from(ip[0] & 15) * 4 + 8..)));
    }
    rest.is_empty().then_some(payloads)
}
