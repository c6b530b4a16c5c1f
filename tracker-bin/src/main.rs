//! The tracker as a program: see `tracker-bin --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracker_bin::main()
}
