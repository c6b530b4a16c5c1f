//! How much memory the process may have: what the machine has, or less, if its control group or `ulimit -v` allows less.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// What limits the process's memory most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) bytes: u64,
    /// Who gives that much, with a verb: `the machine has`.
    pub(crate) by: String,
}

/// The least that is given to the store: an empty one takes a quarter of it.
const LEAST: u64 = 16 << 20;

/// What the process of this machine may have. `None` if /proc can't be read.
pub(crate) fn allowed() -> Option<Allowed> {
    allowed_at(Path::new("/"))
}

/// The ceiling of the store, if the configuration sets none: half of what the process may have. The rest is for the
/// sockets' buffers, the program, and what the allocator keeps.
pub(crate) fn half(allowed: &Allowed) -> usize {
    usize::try_from((allowed.bytes / 2).max(LEAST)).unwrap_or(usize::MAX)
}

/// The same, with `root` instead of `/`.
pub(crate) fn allowed_at(root: &Path) -> Option<Allowed> {
    let machine = machine(root).map(|bytes| Allowed { bytes, by: "the machine has".into() });
    let limit = address_space(root)
        .map(|bytes| Allowed { bytes, by: "the limit on address space (ulimit -v) allows".into() });
    groups(root).into_iter().chain(machine).chain(limit).min_by_key(|allowed| allowed.bytes)
}

fn machine(root: &Path) -> Option<u64> {
    let text = read(&root.join("proc/meminfo"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn address_space(root: &Path) -> Option<u64> {
    let text = read(&root.join("proc/self/limits"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The limits of the control groups that the process is in, and of those that contain them. `0::/a/b` is a line of
/// version 2, `5:memory:/a/b` one of version 1.
fn groups(root: &Path) -> Vec<Allowed> {
    let text = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let mut found = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(group)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let of_version_1 = controllers.split(',').any(|controller| controller == "memory");
        let (mounts, file) = match () {
            () if number == "0" => (["sys/fs/cgroup", "sys/fs/cgroup/unified"], "memory.max"),
            () if of_version_1 => (["sys/fs/cgroup/memory", "sys/fs/cgroup"], "memory.limit_in_bytes"),
            () => continue,
        };
        for mount in mounts {
            found.extend(ancestors(group).filter_map(|group| limit(root, mount, &group, file)));
        }
    }
    found
}

/// A group and those that contain it. In a container, only the last one, the root, may be there: it is the container's.
fn ancestors(group: &str) -> impl Iterator<Item = PathBuf> {
    let names = Path::new(group).components().filter(|part| matches!(part, Component::Normal(_)));
    let group: PathBuf = names.collect();
    group.ancestors().map(Path::to_path_buf).collect::<Vec<_>>().into_iter()
}

/// The number in a group's file; `None` if there is no such file, or if it says `max`.
fn limit(root: &Path, mount: &str, group: &Path, file: &str) -> Option<Allowed> {
    let bytes = read(&root.join(mount).join(group).join(file))?.trim().parse().ok()?;
    Some(Allowed { bytes, by: format!("the control group /{} ({file}) allows", group.display()) })
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// What a machine of 8 GiB with these files allows.
    fn with(files: &[(&str, &str)]) -> (u64, String) {
        let root = tempfile::tempdir().unwrap();
        let machine = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:  100 kB\n");
        for (path, content) in [machine].iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let allowed = allowed_at(root.path()).unwrap();
        (allowed.bytes, allowed.by)
    }

    const V2: (&str, &str) = ("proc/self/cgroup", "0::/system.slice/tracker-bin.service\n");

    #[test]
    fn the_machine_limits_if_nothing_else_does() {
        assert_eq!(with(&[]), (8 * GIB, "the machine has".into()));
        let unlimited =
            "Limit  Soft Limit  Hard Limit  Units\nMax address space  unlimited  unlimited  bytes\n";
        let files = [V2, ("sys/fs/cgroup/system.slice/memory.max", "max\n"), ("proc/self/limits", unlimited)];
        assert_eq!(with(&files).0, 8 * GIB);
    }

    #[test]
    fn the_smallest_limit_of_the_groups_counts() {
        let own = ("sys/fs/cgroup/system.slice/tracker-bin.service/memory.max", "3221225472\n");
        let outer = ("sys/fs/cgroup/system.slice/memory.max", "2147483648\n");
        assert_eq!(with(&[V2, own]).0, 3 * GIB);
        let by = "the control group /system.slice (memory.max) allows".to_owned();
        assert_eq!(with(&[V2, own, outer]), (2 * GIB, by));
    }

    /// In a container, the path is that of the host, or leads out of the namespace; only the root can be seen.
    #[test]
    fn a_container_sees_its_limit_at_the_root() {
        let own = ("sys/fs/cgroup/memory.max", "1073741824\n");
        for path in ["0::/docker/0123\n", "0::/../../docker/0123\n", "0::/\n"] {
            assert_eq!(with(&[("proc/self/cgroup", path), own]).0, GIB, "{path}");
        }
    }

    #[test]
    fn version_1_has_its_own_files() {
        let groups = ("proc/self/cgroup", "7:cpu,cpuacct:/a\n5:memory:/a/b\n1:name=systemd:/c\n");
        let limit = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "536870912\n");
        let none = ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(with(&[groups, limit, none]).0, GIB / 2);
    }

    #[test]
    fn a_limit_on_address_space_counts() {
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax address space  1073741824  unlimited  bytes\n";
        assert_eq!(with(&[("proc/self/limits", limits)]).0, GIB);
    }

    #[test]
    fn half_is_for_the_store_but_not_less_than_it_needs() {
        let half = |bytes| half(&Allowed { bytes, by: String::new() });
        assert_eq!((half(GIB), half(1 << 20)), (1 << 29, 16 << 20));
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(allowed().unwrap().bytes > LEAST);
    }
}
