//! Sessions in one process, on the loopback interface, that meet through a tracker or know each other.

mod hostile;
mod liar;
mod managed;
mod support;
mod trackers;
mod transfer;
