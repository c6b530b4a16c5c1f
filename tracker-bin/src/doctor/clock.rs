//! Whether the system clock is kept right.

use super::finding::Finding;

/// Whether the kernel's clock is synchronised; `None` if the system doesn't tell.
#[allow(unsafe_code)]
pub(super) fn is_synchronised() -> Option<bool> {
    // SAFETY: all-zero bytes are a valid timex, in which modes = 0 asks to change nothing. The kernel writes the
    // structure, which lives through the call.
    let (result, state) = unsafe {
        let mut state: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut state), state)
    };
    (result >= 0).then_some(state.status & libc::STA_UNSYNC == 0)
}

/// `shared`: whether other machines must agree about the time, by a key that they share with this one.
pub(super) fn finding(is_synchronised: Option<bool>, shared: bool) -> Option<Finding> {
    const ID: &str = "clock";
    const FIX: &str = "timedatectl set-ntp true, or install chrony";
    match (is_synchronised?, shared) {
        (true, _) => Some(Finding::ok(ID, "the system clock is synchronised")),
        (false, false) => Some(Finding::warning(
            ID,
            "the system clock is not synchronised: log lines and ends of bans have a wrong time",
            FIX,
        )),
        (false, true) => Some(Finding::problem(
            ID,
            "the system clock is not synchronised, but other machines share this one's keys: when the clocks differ \
             by minutes, connection_ids and livesync packets are refused",
            FIX,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    #[test]
    fn an_unsynchronised_clock_is_a_problem_if_machines_must_agree() {
        let severity = |synchronised, shared| finding(synchronised, shared).map(|finding| finding.severity);
        assert_eq!(severity(Some(true), true), Some(Severity::Ok));
        assert_eq!(severity(Some(false), false), Some(Severity::Warning));
        assert_eq!(severity(Some(false), true), Some(Severity::Problem));
        assert_eq!(severity(None, true), None);
    }
}
