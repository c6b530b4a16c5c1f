//! Sessions in one process, on the loopback interface. They find each other through a tracker or by a given address.

mod hostile;
mod liar;
mod managed;
mod support;
mod trackers;
mod transfer;
