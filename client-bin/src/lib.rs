//! A BitTorrent client for UDP trackers.
//!
//! Asking a tracker is in [`udp_tracker_proto`]: its `blocking` and `client` modules.

mod torrent;
