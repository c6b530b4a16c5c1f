//! The connection as a whole, from outside: one peer played by hand, or two connections against each other, under
//! simulated time.

// Helpers of tests are tests, which clippy can not see.
#![allow(clippy::unwrap_used)]

mod arbitrary;
mod choking;
mod handshake;
mod support;
mod timing;
mod transfer;
mod violations;
