//! Now, by the clocks of this machine.

use std::fs;

use rustix::time::{ClockId, clock_gettime};
use swarm_store::Moment;

use crate::threads::unix_time;

pub(super) fn now() -> Moment {
    let since_boot = u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or_default();
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Moment { unix: unix_time().as_secs(), boot: boot(&text).unwrap_or_default(), since_boot }
}

/// 32 hex digits with hyphens.
fn boot(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|digit| *digit != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_boot_id() {
        let id = boot("00010203-0405-0607-0809-0a0b0c0d0e0f\n").unwrap();
        assert_eq!(id.to_vec(), Vec::from_iter(0..16));
        assert_eq!((boot(""), boot("0001")), (None, None));
        let (first, second) = (now(), now());
        assert!(first.boot != [0; 16] && first.since_boot > 0);
        assert!(second.seconds_since(&first).is_some_and(|seconds| seconds < 60));
    }
}
