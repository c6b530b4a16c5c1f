//! Waiting for what does not report itself.

use std::thread;
use std::time::{Duration, Instant};

/// How long to leave the other side alone between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks again and again until `look` finds something, and returns it.
///
/// Only for states that nobody announces, such as "the tracker now counts two seeders", where each look is a request to
/// another process: there is no event to wait for, so this sleeps between looks. Where a program prints a line, use
/// [`Program::wait_for`](crate::Program::wait_for).
///
/// `look` returns what it saw instead as its error, which becomes part of the panic message after `limit`.
pub fn poll_until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if Instant::now() >= deadline => {
                panic!("waited {limit:?} for {what}; last seen: {seen}")
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
