//! Announces to many trackers at once, over one socket: the client without socket and clock, in the program's own event
//! loop. `ask_with_tokio` does the same with the ready-made driver.
//!
//! `cargo run -p examples --example ask_many_trackers -- INFO_HASH ADDRESS:PORT...`

use std::collections::BTreeSet;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use udp_tracker_proto::client::{Announce, ManyTrackers, OwnedEvent, Policy, mapped};
use udp_tracker_proto::{Event, InfoHash};

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
        event: Event::Started,
        key: rand::random(),
        ..Announce::new(torrent, *b"-XX0001-abcdefghijkl", 6881, 1)
    };
    for tracker in trackers {
        client.announce(start.elapsed(), tracker, &announce, Duration::from_secs(20));
    }

    let mut peers = BTreeSet::new();
    let mut datagram = vec![0; 65_535];
    while client.pending() > 0 {
        while let Some(transmit) = client.poll_transmit(start.elapsed(), &mut datagram) {
            if let Err(error) = socket.send_to(&datagram[..transmit.len], mapped(transmit.to)).await {
                eprintln!("{}: {error}", transmit.to);
                client.handle_send_error(&transmit);
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
            let OwnedEvent::Announced { tracker, result, .. } = event else { continue };
            match result {
                Ok(announced) => {
                    let again = announced.next_announce();
                    println!("{tracker}: {} peers, again in {again:?}", announced.peers.len());
                    peers.extend(announced.peers);
                }
                Err(error) => println!("{tracker}: {error}"),
            }
        }
    }
    println!("{} different peers", peers.len());
    Ok(())
}
