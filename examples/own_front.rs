//! A tracker behind the embedder's own front end: a tokio socket instead of the tracker's threads, a policy that denies
//! and logs, and peers that are listed and copied to another tracker.
//!
//! ```sh
//! cargo run -p examples --example own_front
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use udp_tracker::swarm_store::{PeerCursor, ThreadContext, TorrentCursor};
use udp_tracker::{AnnounceOutcome, AnnounceRequest, Family, Handler, Policy, Refusal, Service, Settings};
use udp_tracker_proto::client::Announce;
use udp_tracker_proto::{InfoHash, PeerId, blocking};

/// Denies clients whose peer_id begins with `-XX`, and logs the others.
struct HousePolicy;

impl Policy for HousePolicy {
    fn admit(&self, request: &AnnounceRequest<'_>, source: SocketAddr) -> Result<(), Refusal> {
        if request.peer_id.0.starts_with(b"-XX") {
            println!("denied a client at {source}");
            return Err(Refusal::new("this client is not allowed"));
        }
        Ok(())
    }

    fn announced(&self, request: &AnnounceRequest<'_>, peer: SocketAddr, outcome: &AnnounceOutcome) {
        println!("{peer} announced {}: {:?}", request.info_hash, outcome.change);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = Arc::new(Service::new(Settings::default())?.with_policy(HousePolicy));
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let url = format!("udp://{}", socket.local_addr()?);
    let front = tokio::spawn(answer(Handler::new(Arc::clone(&service)), socket));
    tokio::task::spawn_blocking(move || ask(&url)).await??;

    let restarted = Service::new(Settings::default())?;
    carry_over(&service, &restarted);
    println!("after the restart: {:?}", restarted.stores().totals(Family::V4));
    // Nothing is served from now on.
    service.set_access(udp_tracker::AccessRules::listed([]));
    front.abort();
    Ok(())
}

/// The front end. Any way to receive and send datagrams works.
async fn answer(mut handler: Handler, socket: UdpSocket) -> std::io::Result<()> {
    let mut request = [0; 2048];
    let mut reply = vec![0; handler.max_reply_bytes()];
    loop {
        let (len, source) = socket.recv_from(&mut request).await?;
        let len = handler.handle(unix_time(), source, &request[..len], &mut reply);
        if len > 0 {
            socket.send_to(&reply[..len], source).await?;
        }
    }
}

/// Two clients of the tracker, one of which is denied.
fn ask(url: &str) -> Result<(), blocking::Error> {
    for (peer_id, port) in
        [(PeerId(*b"-TR4060-aaaaaaaaaaaa"), 6881), (PeerId(*b"-XX0001-bbbbbbbbbbbb"), 6882)]
    {
        let announce = Announce::new(InfoHash([7; 20]), peer_id, port, 0);
        match blocking::Tracker::connect(url)?.announce(&announce) {
            Ok(reply) => println!("the reply has {} peers", reply.peers.len()),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

/// Copies the IPv4 peers of one tracker to another, with their ages.
fn carry_over(from: &Service, to: &Service) {
    let now = u32::try_from(unix_time()).unwrap_or(u32::MAX);
    // They may be of private networks, so replies must be filtered.
    to.stores().expect_any_address();
    let (from, to) = (&from.stores().v4, &to.stores().v4);
    let mut context = ThreadContext::new(1);
    let (mut torrents, mut cursor) = (Vec::new(), TorrentCursor::new());
    while from.for_each_torrent(&mut cursor, 1000, |info_hash, _| torrents.push(*info_hash)) {}
    for info_hash in torrents {
        let (mut peers, mut cursor) = (Vec::new(), PeerCursor::default());
        while from.for_each_peer(now, &info_hash, &mut cursor, 1000, |peer| peers.push(*peer)) {}
        for peer in &peers {
            println!("{info_hash} has {:?}", peer.peer);
            to.restore(now, &info_hash, peer, &mut context);
        }
    }
}

/// Seconds since 1970.
fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
