//! Trackers that share what they hear.

mod capture;
mod hostile;
mod node;
mod simulation;
mod sockets;
