//! Runs `tracker-bin doctor`, and brings about what it finds.

mod command;
mod conntrack;
mod dns;
mod kernel;
mod listing;
mod network;
mod own_network;
mod report;
#[path = "../running/mod.rs"]
mod running;
mod tracker;
