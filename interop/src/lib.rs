//! A testbed for tests that start the tracker, the client and other people's programs, and let them talk.
//!
//! A [`Netns`] is a network that belongs to one test: nothing outside can reach it or be reached from it, so ports never
//! collide and no client finds a peer except through the tracker; a [`Lan`] joins several. In it run [`Program`]s, whose output the tests wait
//! for. [`Tracker`], [`Ours`] and [`client`] are this workspace's own programs, freshly built; [`Libtorrent`], [`Aria2`],
//! [`Transmission`], [`Ctorrent`] and [`Opentracker`] are the foreign ones, as Debian packages them. A [`Torrent`] is what the clients
//! exchange.
//!
//! Everything here panics where a library would return an error: the caller is a test, and the panic says what was
//! awaited and what the program printed instead. Nothing waits without a limit.

mod aquatic;
mod aria2;
mod binaries;
pub mod client;
mod ctorrent;
mod libtorrent;
mod netns;
mod opentracker;
mod ours;
mod program;
mod torrent;
mod tracker;
mod transmission;
mod wait;

pub use aquatic::aquatic_udp;
pub use aria2::Aria2;
pub use binaries::path as binary;
pub use ctorrent::Ctorrent;
pub use libtorrent::Libtorrent;
pub use netns::{Lan, Netns};
pub use nix::sys::signal::Signal;
pub use opentracker::Opentracker;
pub use ours::Ours;
pub use program::Program;
pub use torrent::Torrent;
pub use tracker::Tracker;
pub use transmission::Transmission;
pub use wait::poll_until;
