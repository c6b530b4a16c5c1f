//! The system calls that stay, by seccomp.
//!
//! Two filters. One allows the calls of [`calls`]; the others fail as on a kernel that doesn't have them, so a newer libc
//! that tries a newer call falls back to the older one. The other filter ends the process, with a line in the kernel's
//! audit log, for calls that start programs or change the machine: only an attacker's code makes them.

use std::collections::BTreeMap;
use std::error::Error;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

use super::calls;

/// From now on, nothing that this process starts can gain privileges. Filters need it.
pub(super) fn no_new_privileges() -> rustix::io::Result<()> {
    rustix::thread::set_no_new_privs(true)
}

/// Restricts all threads.
pub(super) fn restrict() -> Result<(), Box<dyn Error>> {
    for filter in filters()? {
        apply_filter_all_threads(&filter)?;
    }
    Ok(())
}

fn filters() -> Result<[BpfProgram; 2], Box<dyn Error>> {
    let missing = SeccompAction::Errno(u32::try_from(libc::ENOSYS)?);
    let arch = std::env::consts::ARCH.try_into()?;
    let forbidden = calls::FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    let forbidden = SeccompFilter::new(forbidden, SeccompAction::Allow, SeccompAction::KillProcess, arch)?;
    let allowed = SeccompFilter::new(allowed()?, missing, SeccompAction::Allow, arch)?;
    Ok([forbidden.try_into()?, allowed.try_into()?])
}

/// The rules of each call, one of which must match; without rules it is always allowed.
fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, Box<dyn Error>> {
    let mut rules: BTreeMap<_, _> = calls::ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let own_process = u64::from(std::process::id());
    for (call, argument, allowed) in calls::ALLOWED_WITH {
        rules.insert(*call, rules_of(*argument, allowed)?);
    }
    for (call, argument, allowed) in calls::ALLOWED_WITH_BITS {
        let equal = |(mask, bits): &(u64, u64)| condition(*argument, Len::Qword, Op::MaskedEq(*mask), *bits);
        rules.insert(*call, vec![equal(allowed)?]);
    }
    for call in calls::ALLOWED_ON_ITSELF {
        rules.insert(*call, vec![condition(0, Len::Dword, Op::Eq, own_process)?]);
    }
    Ok(rules)
}

fn rules_of(argument: u8, allowed: &[u64]) -> Result<Vec<SeccompRule>, Box<dyn Error>> {
    allowed.iter().map(|value| condition(argument, Len::Dword, Op::Eq, *value)).collect()
}

fn condition(argument: u8, len: Len, op: Op, value: u64) -> Result<SeccompRule, Box<dyn Error>> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(argument, len, op, value)?])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_allowed_and_forbidden() {
        let allowed = allowed().unwrap();
        let both: Vec<_> = calls::FORBIDDEN.iter().filter(|call| allowed.contains_key(call)).collect();
        assert!(both.is_empty(), "{both:?}");
    }

    /// What the way of a datagram calls must not depend on arguments: the kernel then remembers that it is allowed, and
    /// runs no filter.
    #[test]
    fn the_calls_for_each_batch_have_no_conditions() {
        let allowed = allowed().unwrap();
        for call in [libc::SYS_recvmmsg, libc::SYS_sendmmsg, libc::SYS_ppoll, libc::SYS_clock_nanosleep] {
            assert_eq!(allowed.get(&call).map(Vec::len), Some(0), "{call}");
        }
        assert!(filters().unwrap().iter().all(|filter| filter.len() < 4096), "longer than the kernel takes");
    }
}
