//! Progress bars on the terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const BYTES: &str = "{msg} [{bar:40}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";

/// A bar that counts bytes, on stderr; hidden if stderr is not a terminal.
pub(super) fn bytes(what: &'static str, total: u64) -> ProgressBar {
    let target =
        if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    bar(total, target, BYTES).with_message(what)
}

/// A bar of bytes followed by a text, on stdout.
pub(super) fn session(total: u64) -> ProgressBar {
    bar(total, ProgressDrawTarget::stdout(), "[{bar:30}] {percent}% {msg}")
}

fn bar(total: u64, target: ProgressDrawTarget, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
