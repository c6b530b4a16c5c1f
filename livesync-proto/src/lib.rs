//! Tracker-to-tracker sync packets as opentracker sends them, so that several trackers behave as one.

#![no_std]
#![forbid(unsafe_code)]

mod record;

pub use record::{Family, Flags, Record};
