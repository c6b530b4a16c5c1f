//! A testbed for tests that start the tracker, the client and foreign programs.
//!
//! A [`Netns`] is a network namespace for one test. Nothing outside can reach it or be reached from it, so ports never
//! collide, and no client finds a peer except through the tracker. A [`Lan`] joins several. [`Program`]s run in it, and
//! tests wait for their output. [`Tracker`], [`OwnClient`] and [`client`] are this workspace's own programs, freshly
//! built; [`Libtorrent`], [`Aria2`], [`Transmission`], [`Ctorrent`] and [`Opentracker`] are foreign ones, as Debian
//! packages them. The clients exchange a [`Torrent`]. [`Browser`] and [`Prometheus`] watch the tracker, and [`Http`]
//! makes requests in a namespace.
//!
//! Everything here panics where a library would return an error: the caller is a test, and the panic message has the
//! awaited event and the program's output. Nothing waits without a limit.

mod aquatic;
mod aria2;
mod binaries;
mod browser;
pub mod client;
mod ctorrent;
mod http;
mod libtorrent;
mod loopback;
mod netns;
mod opentracker;
mod own_client;
mod program;
mod prometheus;
mod torrent;
mod tracker;
mod transmission;
mod wait;

pub use aquatic::aquatic_udp;
pub use aria2::Aria2;
pub use binaries::path as binary;
pub use browser::Browser;
pub use ctorrent::Ctorrent;
pub use http::{Http, HttpAnswer};
pub use libtorrent::Libtorrent;
pub use loopback::own_loopback;
pub use netns::{Lan, Netns};
pub use nix::sys::signal::Signal;
pub use opentracker::Opentracker;
pub use own_client::OwnClient;
pub use program::Program;
pub use prometheus::{Prometheus, promtool_check_metrics};
pub use torrent::Torrent;
pub use tracker::Tracker;
pub use transmission::Transmission;
pub use wait::poll_until;
