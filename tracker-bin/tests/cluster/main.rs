//! Runs the program as nodes of a cluster.

mod multicast;
mod namespaces;
mod process;
#[path = "../running/mod.rs"]
mod running;
