//! The client against scripted trackers: literal datagrams at literal times.

mod many;
mod one;
mod scripted;
