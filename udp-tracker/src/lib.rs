//! A BitTorrent UDP tracker to embed: BEP 15, BEP 41 and the 2004 dialect, over IPv4 and IPv6.
//!
//! # A complete tracker
//! A [`Service`] is the state of a tracker. [`Tracker::start`] opens sockets and answers requests on its own threads
//! until it is shut down.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use std::sync::Arc;
//! use udp_tracker::{Count, ServerSettings, Service, Settings, Tracker};
//!
//! let service = Arc::new(Service::new(Settings::default())?);
//! let mut server = ServerSettings::default();
//! server.listen = Some(vec!["127.0.0.1:0".parse()?]);
//! let mut tracker = Tracker::start(Arc::clone(&service), &server)?;
//! println!("announce to udp://{}", tracker.addresses()[0]);
//! tracker.shutdown()?;
//! assert_eq!(service.counters().total(Count::Announces), 0);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Only the request handler
//! [`Handler::handle`] turns a datagram into a reply, without a socket, a clock or a thread: for tests, for
//! simulations, and for any other way of moving packets. It works on every system; the threads need Linux.
//!
//! # Which requests are served
//! [`AccessRules`] select torrents, networks, clients and passkeys, and can be replaced at any time. A [`Policy`] decides
//! about each announce.
//!
//! # A cluster
//! With [`LivesyncSettings`], trackers send each other the announces that they receive. [`Livesync`] is one tracker's
//! part of that, without a socket, a clock or a thread. A [`Tracker`] has a thread for it.

mod access;
mod connection_ids;
mod connection_keys;
mod count;
mod counters;
mod family;
mod handler;
mod id_clock;
mod in_force;
mod latency;
mod livesync;
mod network;
mod peer_address;
mod policy;
mod proxy;
mod rate_limit;
mod scope;
mod service;
mod settings;
mod shed;
#[cfg(target_os = "linux")]
mod state;
mod stores;
mod takeover;
#[cfg(target_os = "linux")]
mod threads;

pub use {ipnet, livesync_proto, swarm_store, udp_tracker_proto};

pub use ipnet::IpNet;
pub use livesync_proto::{Key, TrackerId};
pub use swarm_store::{
    AnnounceOutcome, Change, Counts, Memory, Restored, SwarmStore, SweepCursor, Swept, Totals,
};
pub use udp_tracker_proto::{AnnounceRequest, ConnectionId, InfoHash, ParseIdError};

pub use access::{
    Access, AccessRules, ClientPrefix, ClientRules, NetworkRules, ParseClientPrefixError, ParsePasskeyError,
    Passkey, Rule, RuleDetails, RuleMap,
};
pub use connection_ids::ConnectionIds;
pub use connection_keys::{ConnectionKeys, ParseConnectionKeysError};
pub use count::{Count, Counted, LivesyncCount, Metric};
pub use counters::{Counters, Snapshot};
pub use family::Family;
pub use handler::Handler;
pub use latency::Latency;
pub use livesync::{Livesync, LivesyncSettings, NodeStatus, Publisher};
pub use policy::{Policy, Refusal};
pub use service::{NoRandomness, Service, ServiceError};
pub use settings::{InvalidValue, Settings};
pub use shed::Load;
#[cfg(target_os = "linux")]
pub use state::{Loaded, Refused, SaveError, Saved, StateDir, StateDirError};
pub use stores::{KnownPeer, Stores};
pub use takeover::{HandOver, Piece, TakeOver, TakeOverError};
#[cfg(target_os = "linux")]
pub use threads::{
    DEFAULT_PORT, ListenError, LivesyncSocketError, Monitor, ServerSettings, Sockets, StartError, Tracker,
    WorkerStatus,
};

#[cfg(all(doctest, target_os = "linux"))]
#[doc = include_str!("../README.md")]
struct Readme;
