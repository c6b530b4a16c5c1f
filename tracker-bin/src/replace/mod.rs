//! Taking over from a running tracker: `tracker-bin --replace`.
//!
//! The successor connects to the socket `control` in `state_dir`. Messages: [`wire`].
//!
//! | | successor | running tracker |
//! |---|---|---|
//! | 1 | checks its configuration, reads its files, connects | |
//! | 2 | | sends copies of its sockets |
//! | 3 | opens what is missing, enters its sandbox: all that can fail | serves |
//! | 4 | | sends its swarms, and what is announced meanwhile; serves |
//! | 5 | | stops reading from its sockets, sends the last changes: some milliseconds |
//! | 6 | starts its workers, says so | |
//! | 7 | takes the socket's name, writes snapshots | ends |
//!
//! Between 5 and 6 datagrams wait in the sockets, which both have, so none is lost, as long as they have room: 10,000
//! requests with the default `receive_buffer_bytes`. The successor's swarms are then complete: no answer differs from what
//! the tracker before would have said. If the successor ends or hangs before 6, the running tracker goes on.
//!
//! # What an attacker controls
//! Only the same user and root may connect; the kernel says who it is. Whoever may do that may also end the tracker. A
//! running tracker that an attacker has taken over controls all that a successor reads: messages have a bounded length, and
//! are read only once the successor is in its own sandbox, but for the sockets.

mod control;
mod give;
mod take;
mod wire;

pub(crate) use control::Control;
pub(crate) use give::{Handing, Successor};
pub(crate) use take::{Inherited, Taking};

use std::path::{Path, PathBuf};

/// The socket in `state_dir`.
fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join("control")
}
