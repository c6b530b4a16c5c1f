//! The ceiling on the store's memory, beside what there is.

use super::finding::Finding;
use crate::memory::Allowed;

/// `ceiling` is the configured one, `Some(0)` for none; without one it is chosen at start.
pub(super) fn finding(ceiling: Option<usize>, allowed: Option<&Allowed>) -> Option<Finding> {
    const ID: &str = "store_ceiling";
    let Allowed { bytes, by } = allowed?;
    let half = crate::memory::half(allowed?);
    let fix = format!("remove max_store_bytes, for half of the memory, or set it to {half} or less");
    Some(match ceiling {
        Some(0) => {
            let what =
                format!("the store has no ceiling (max_store_bytes = 0), and {by} {bytes} bytes of memory");
            Finding::warning(ID, what, fix)
        }
        Some(ceiling) if ceiling as u64 > *bytes => {
            let what = format!("the store may take {ceiling} bytes (max_store_bytes), but {by} only {bytes}");
            Finding::problem(ID, what, fix)
        }
        Some(ceiling) if ceiling as u64 > bytes / 8 * 7 => {
            let what = format!(
                "the store may take {ceiling} bytes (max_store_bytes), nearly all of the {bytes} that {by}"
            );
            Finding::warning(ID, what, fix)
        }
        ceiling => {
            let ceiling = ceiling.unwrap_or(half);
            Finding::ok(ID, format!("the store takes at most {ceiling} bytes of memory; {by} {bytes}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    #[test]
    fn a_ceiling_above_the_memory_is_a_problem() {
        let allowed = Allowed { bytes: 1 << 30, by: "the machine has".into() };
        let severity = |ceiling| finding(ceiling, Some(&allowed)).unwrap().severity;
        assert_eq!(severity(None), Severity::Ok);
        assert_eq!(severity(Some(1 << 29)), Severity::Ok);
        assert_eq!((severity(Some(0)), severity(Some(1 << 30))), (Severity::Warning, Severity::Warning));
        let found = finding(Some((1 << 30) + 1), Some(&allowed)).unwrap();
        assert_eq!(found.severity, Severity::Problem);
        assert!(found.what.ends_with("but the machine has only 1073741824"), "{found}");
        assert!(found.fix.unwrap().ends_with("set it to 536870912 or less"));
        assert_eq!(finding(Some(1), None), None);
    }
}
