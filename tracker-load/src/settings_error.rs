//! Why settings are refused.

use std::net::{IpAddr, SocketAddr};

/// Source addresses, and sockets on all of them together, at most.
pub(crate) const MAX_SOCKETS: u32 = 4096;

/// Why settings are refused.
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
    /// Zipf's exponent.
    #[error("a Zipf exponent of {0}: more than 0 expected")]
    Exponent(f64),
    /// More peers in a torrent than there are addresses and ports.
    #[error("the largest swarm has {wanted} peers, and {sources} source addresses have ports for {room}")]
    TooFewPorts {
        /// Peers of the largest swarm.
        wanted: u32,
        /// Source addresses.
        sources: u32,
        /// Peers for which there are ports.
        room: u32,
    },
    /// Sources of another family than the tracker's.
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
    /// The system knows no way to the tracker.
    #[error("no route to {tracker}: {reason}")]
    Route {
        /// The tracker.
        tracker: SocketAddr,
        /// The system's reason.
        reason: String,
    },
}
