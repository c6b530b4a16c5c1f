//! Why settings are invalid.

use std::net::{IpAddr, SocketAddr};

/// The most source addresses, and the most sockets on all of them together.
pub(crate) const MAX_SOCKETS: u32 = 4096;

/// Why settings are invalid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A number is too small or too large.
    #[error("{name} is {value}: {least} to {most} expected")]
    Range {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The smallest value.
        least: u64,
        /// The largest value.
        most: u64,
    },
    /// The Zipf exponent is not above 0.
    #[error("a Zipf exponent of {0}: more than 0 expected")]
    Exponent(f64),
    /// A torrent has more peers than there are pairs of an address and a port.
    #[error("the largest swarm has {wanted} peers, and {sources} source addresses have ports for {room}")]
    TooFewPorts {
        /// Peers of the largest swarm.
        wanted: u32,
        /// Source addresses.
        sources: u32,
        /// Peers for which there are ports.
        room: u32,
    },
    /// The source addresses have another family than the tracker's.
    #[error(
        "the source addresses begin with {first}, and the tracker is {tracker}: IPv4 or IPv6 for both expected"
    )]
    Family {
        /// The first source address.
        first: IpAddr,
        /// The tracker.
        tracker: SocketAddr,
    },
    /// Too many sockets.
    #[error(
        "{sources} source addresses with {sockets} sockets on each: at most {MAX_SOCKETS} sockets expected"
    )]
    TooManySockets {
        /// Source addresses.
        sources: u32,
        /// Sockets on each.
        sockets: u32,
    },
    /// The system has no route to the tracker.
    #[error("no route to {tracker}: {reason}")]
    Route {
        /// The tracker.
        tracker: SocketAddr,
        /// The system's error.
        reason: String,
    },
}
