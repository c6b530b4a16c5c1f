//! What a check has found.

use std::fmt;

use serde::Serialize;

/// The result of one check, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The name of the check; the same in all versions.
    pub(crate) id: &'static str,
    pub(crate) severity: Severity,
    /// One sentence without a full stop.
    pub(crate) what: String,
    /// The command or change that helps.
    pub(crate) fix: Option<String>,
}

/// The most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Something does not work, or datagrams are lost.
    Problem,
    /// Something will not work under load, or can't be checked.
    Warning,
    Ok,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        id: &'static str,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { id, severity, what: what.into(), fix: Some(fix.into()) }
    }

    pub(crate) fn problem(id: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Severity::Problem, id, what, fix)
    }

    pub(crate) fn warning(id: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Severity::Warning, id, what, fix)
    }

    pub(super) fn ok(id: &'static str, what: impl Into<String>) -> Self {
        Self { id, severity: Severity::Ok, what: what.into(), fix: None }
    }
}

impl fmt::Display for Finding {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8} {}", self.severity, self.what)?;
        match &self.fix {
            Some(fix) => write!(f, "; to fix it: {fix}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Ok => "ok",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_with_the_fix_last() {
        let finding = Finding::problem("clock", "the clock is wrong", "timedatectl set-ntp true");
        assert_eq!(finding.to_string(), "problem  the clock is wrong; to fix it: timedatectl set-ntp true");
        assert_eq!(Finding::ok("clock", "the clock is right").to_string(), "ok       the clock is right");
    }
}
