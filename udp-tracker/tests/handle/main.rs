//! The tracker's answers, without a network.

mod access;
mod answers;
mod arbitrary;
mod flood;
mod limits;
mod peers;
mod proxies;
mod requests;
mod takeover;
