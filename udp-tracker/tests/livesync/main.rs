//! Trackers that share their announces.

mod capture;
mod hostile;
mod node;
mod simulation;
mod sockets;
