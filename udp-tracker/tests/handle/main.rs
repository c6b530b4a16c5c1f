//! The tracker's answers, without a network.

mod answers;
mod arbitrary;
mod requests;
