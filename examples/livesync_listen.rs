//! Receives the packets that the trackers of a cluster send each other, and prints them.
//!
//! ```text
//! cargo run -p examples --example livesync_listen -- 192.0.2.1 [224.0.23.5:9696]
//! ```
//! The first argument is an address of this machine on the cluster's network. The second is the multicast group, if it
//! is not the default. The program may run beside a tracker. It decodes authenticated packets like others, and does not
//! verify them.

use std::env;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use livesync_proto::{Flags, TrackerId, receive};
use socket2::{Domain, Protocol, Socket, Type};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let Some(interface) = arguments.next() else {
        return Err("usage: livesync_listen INTERFACE_ADDRESS [GROUP:PORT]".into());
    };
    let group = arguments.next().unwrap_or("224.0.42.5:9696".into());
    let socket = join(group.parse()?, interface.parse()?)?;
    println!("listening to {group} on {interface}");

    // Longer than any packet.
    let mut buffer = [0; 2048];
    loop {
        let (len, source) = socket.recv_from(&mut buffer)?;
        // This program sends nothing, so no packet is its own; a tracker has this id with a probability of 1 in 4
        // billion.
        match receive(&buffer[..len], TrackerId([0; 4]), None) {
            Ok(packet) => {
                println!("{source}, node {}: {} records", packet.id, packet.records.len());
                for record in packet.records {
                    println!("    {} {:<9} {}", record.info_hash, what(record.flags), record.peer);
                }
            }
            Err(why) => println!("{source}: {len} bytes, {why}"),
        }
    }
}

fn what(flags: Flags) -> &'static str {
    match flags {
        flags if flags.contains(Flags::STOPPED) => "stopped",
        flags if flags.contains(Flags::COMPLETED) => "completed",
        flags if flags.contains(Flags::SEEDING) => "seeder",
        _ => "leecher",
    }
}

/// A socket of the group that other programs on this machine can share.
fn join(group: SocketAddrV4, interface: Ipv4Addr) -> Result<UdpSocket, std::io::Error> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&group.into())?;
    socket.join_multicast_v4(group.ip(), &interface)?;
    Ok(socket.into())
}
