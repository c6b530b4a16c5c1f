//! Announces to many trackers at once, over one socket: the client without socket and clock, driven by tokio.
//!
//! `cargo run -p examples --example ask_many_trackers -- INFO_HASH ADDRESS:PORT...`

use std::collections::BTreeSet;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use udp_tracker_proto::client::{Announce, ManyTrackers, Outcome, OwnedEvent, Policy};
use udp_tracker_proto::{Event, InfoHash, PeerId};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let torrent: InfoHash =
        arguments.next().ok_or("usage: ask_many_trackers INFO_HASH ADDRESS:PORT...")?.parse()?;
    let trackers = arguments.map(|address| address.parse()).collect::<Result<Vec<SocketAddr>, _>>()?;

    // A dual-stack socket: IPv4 addresses are sent to in their IPv6 form.
    let socket = UdpSocket::bind("[::]:0").await?;
    let start = Instant::now();
    let mut client = ManyTrackers::new(Policy::BEP_15, rand::random::<u32>);
    let announce = Announce {
        left: 1,
        event: Event::Started,
        key: rand::random(),
        ..Announce::new(torrent, PeerId(*b"-XX0001-abcdefghijkl"), 6881)
    };
    for tracker in trackers {
        client.announce(start.elapsed(), tracker, &announce, Duration::from_secs(20));
    }

    let mut peers = BTreeSet::new();
    let mut datagram = vec![0; 65_535];
    while client.pending() > 0 {
        while let Some(transmit) = client.poll_transmit(start.elapsed(), &mut datagram)? {
            // What can't be sent now is sent again later, or not: then the request ends at its deadline.
            if let Err(error) = socket.send_to(&datagram[..transmit.len], to_v6(transmit.to)).await {
                eprintln!("{}: {error}", transmit.to);
            }
        }
        let due = start + client.poll_timeout().unwrap_or_default();
        tokio::select! {
            received = socket.recv_from(&mut datagram) => {
                let (len, source) = received?;
                client.handle_input(start.elapsed(), source, &datagram[..len]);
            }
            () = sleep_until(due) => client.handle_timeout(start.elapsed()),
        }
        while let Some(event) = client.poll_event() {
            let OwnedEvent::Ended { tracker, outcome, .. } = event else { continue };
            match outcome {
                Outcome::Announced(reply) => {
                    println!("{tracker}: {} peers, again in {} s", reply.peers.len(), reply.interval);
                    peers.extend(reply.peers);
                }
                Outcome::Refused(words) => println!("{tracker}: refused: {words}"),
                other => println!("{tracker}: {other:?}"),
            }
        }
    }
    println!("{} different peers", peers.len());
    Ok(())
}

fn to_v6(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        v6 => v6,
    }
}
