//! What a tracker keeps over a restart, from outside: after SIGTERM, after kill -9 at any moment, on a full disk.

mod client;
mod kills;
mod restarts;
#[path = "../running/mod.rs"]
mod running;
