//! Polling, for states that no event reports.

use std::thread;
use std::time::{Duration, Instant};

/// Time between two calls of `look`.
const PAUSE: Duration = Duration::from_millis(100);

/// Calls `look` until it returns `Ok`, and returns that value.
///
/// Only for states without an event, such as "the tracker counts two seeders", where each call sends a request to
/// another process. It sleeps between two calls. If a program prints a line, use
/// [`Program::wait_for`](crate::Program::wait_for) instead.
///
/// The error of `look` describes the current state. After `limit` the last one is part of the panic message.
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
