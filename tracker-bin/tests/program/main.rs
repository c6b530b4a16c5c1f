//! Black-box tests of the program.

mod access;
mod admin;
mod check;
mod connection_key;
mod documents;
mod memory;
mod notify;
mod output;
mod privileges;
mod replace;
#[path = "../running/mod.rs"]
mod running;
mod sandbox;
mod serving;
