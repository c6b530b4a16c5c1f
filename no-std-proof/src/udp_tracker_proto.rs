//! `udp-tracker-proto`: identifiers are read.

use core::hint::black_box;

use ::udp_tracker_proto::InfoHash;

/// `black_box` keeps the compiler from finding the answer by itself and leaving the code out.
pub(crate) fn works() -> bool {
    let text = black_box("000102030405060708090a0b0c0d0e0f10111213");
    text.parse::<InfoHash>().is_ok_and(|hash| black_box(hash).0[19] == 0x13)
}
