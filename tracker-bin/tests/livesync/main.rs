//! Trackers that share what they hear.

mod capture;
mod hostile;
mod namespaces;
mod node;
mod program;
mod simulation;
mod sockets;
