//! What is fuzzed: functions that take any bytes, and panic if something that must hold does not.
//!
//! They know nothing of libFuzzer. The crate around this folder makes a fuzzing program of each; the test of this crate
//! calls them with every file of the corpora and with every find, so that what was found once is tested forever.
//!
//! Most read their input as a script: a byte that says what happens next, and its arguments. Bytes that are missing at
//! the end are zeros.

mod client_engine;
mod connection_keys;
mod livesync;
mod livesync_node;
mod metainfo;
mod peer_stream;
mod script;
mod snapshot;
mod takeover;
mod tracker_client;
mod tracker_handle;
mod tracker_messages;
mod tracker_url;

pub use client_engine::client_engine;
pub use connection_keys::connection_keys;
pub use livesync::livesync;
pub use livesync_node::livesync_node;
pub use metainfo::metainfo;
pub use peer_stream::peer_stream;
pub use snapshot::snapshot;
pub use takeover::takeover;
pub use tracker_bin::fuzzing::{access_lists, access_texts, admin_http, configuration};
pub use tracker_client::tracker_client;
pub use tracker_handle::tracker_handle;
pub use tracker_messages::tracker_messages;
pub use tracker_url::tracker_url;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets by name, sorted.
pub const TARGETS: [(&str, Target); 16] = [
    ("access_lists", access_lists),
    ("access_texts", access_texts),
    ("admin_http", admin_http),
    ("client_engine", client_engine),
    ("configuration", configuration),
    ("connection_keys", connection_keys),
    ("livesync", livesync),
    ("livesync_node", livesync_node),
    ("metainfo", metainfo),
    ("peer_stream", peer_stream),
    ("snapshot", snapshot),
    ("takeover", takeover),
    ("tracker_client", tracker_client),
    ("tracker_handle", tracker_handle),
    ("tracker_messages", tracker_messages),
    ("tracker_url", tracker_url),
];
