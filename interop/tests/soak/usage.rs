//! What a process takes of the machine.

use std::fmt;
use std::fs;

/// Memory and files of a process.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// Resident memory in KiB.
    pub(crate) resident: u64,
    /// Open files.
    pub(crate) files: usize,
    threads: u64,
}

/// Growth that an allocator may show without a leak, in KiB.
const SLACK: u64 = 8 << 10;
/// Connections that clients leave open: the most that the tracker accepts, and some of its own.
const MORE_FILES: usize = 80;
/// Threads for work that blocks, which end when there is none.
const MORE_THREADS: u64 = 4;

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is running");
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect(key);
            line.split_whitespace().next().and_then(|word| word.parse().ok()).expect(key)
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("files can be listed").count();
        Self { resident: number("VmRSS:"), files, threads: number("Threads:") }
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB, {} files, {} threads", self.resident, self.files, self.threads)
    }
}

/// Asserts that a process takes no more later than earlier. `earlier` is after its start, once nothing should grow any
/// more; with nothing in it, the test was too short for memory.
pub(crate) fn assert_flat(start: Usage, earlier: &[Usage], later: &[Usage]) {
    let all = || earlier.iter().chain(later);
    assert!(all().all(|usage| usage.files <= start.files + MORE_FILES), "{start:?}, {earlier:?}, {later:?}");
    assert!(
        all().all(|usage| usage.threads <= start.threads + MORE_THREADS),
        "{start:?}, {earlier:?}, {later:?}"
    );
    let most = |samples: &[Usage]| samples.iter().map(|usage| usage.resident).max();
    if let (Some(earlier), Some(later)) = (most(earlier), most(later)) {
        assert!(later <= earlier + earlier / 20 + SLACK, "{earlier} KiB, then {later} KiB");
    }
}
