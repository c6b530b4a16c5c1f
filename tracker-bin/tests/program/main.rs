//! Black-box tests of the program.

mod access;
mod admin;
mod check;
mod documents;
mod memory;
mod notify;
mod output;
mod privileges;
#[path = "../running/mod.rs"]
mod running;
mod serving;
