//! Tracker-to-tracker sync packets as opentracker sends them, so that several trackers behave as one.

#![no_std]
#![forbid(unsafe_code)]

mod key;
mod packet;
mod record;
mod replay;

pub use key::{Key, ParseKeyError, Sequence, Signer, TRAILER_LEN};
pub use packet::{Packet, Records, Refused, TrackerId, receive};
pub use record::{Family, Flags, Record};
pub use replay::{CLOCK_TOLERANCE, NotFresh, ReplayGuard, ReplayWindow};
