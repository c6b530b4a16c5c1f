//! A program without std, an allocator and a C library. It builds only if the codecs need none of them.
//!
//! The first half of the proof is the panic handler: std has its own, and two of them do not compile. The second half
//! is the link without a C library: a symbol that the codecs need would be missing. Then `prove` runs, which shows that
//! the code is in the program. `scripts/no-std-proof` does all these steps.

#![no_std]

use core::panic::PanicInfo;

mod livesync_proto;
mod peer_wire_proto;
mod torrent_ids;
mod udp_tracker_proto;

#[cfg(feature = "pull-in-std")]
extern crate uses_std as _;

/// Called by `_start`, and returns the exit code: 0, or the number of the proof that failed.
#[unsafe(no_mangle)]
pub extern "C" fn prove() -> i32 {
    let proofs: [(i32, fn() -> bool); 4] = [
        (1, udp_tracker_proto::works),
        (2, livesync_proto::works),
        (3, peer_wire_proto::works),
        (4, torrent_ids::works),
    ];
    for (number, works) in proofs {
        if !works() {
            return number;
        }
    }
    0
}

unsafe extern "C" {
    /// Ends the program; in start.c.
    fn leave(code: i32) -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: `leave` takes any code, and never returns.
    unsafe { leave(101) }
}
