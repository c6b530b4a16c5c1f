//! The connection as a whole, from outside: against a peer that the test plays, or two connections against each other,
//! in simulated time.

// Helpers of tests are tests, which clippy does not know.
#![allow(clippy::unwrap_used)]

mod arbitrary;
mod choking;
mod handshake;
mod support;
mod timing;
mod transfer;
mod violations;
