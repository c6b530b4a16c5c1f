//! What the checks see of the machine.

use std::fs::{self, File};
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

/// The most bytes that are read of a file. The kernel's tables can be much longer; their beginning is enough.
const MAX_FILE: u64 = 4 << 20;

/// The files of /proc, /sys and /etc, and the machine's addresses. Tests use a folder of their own as the root.
#[derive(Debug)]
pub(super) struct Machine {
    root: PathBuf,
    /// Of all interfaces that are up, without link-local ones.
    pub(super) addresses: Vec<IpAddr>,
}

impl Machine {
    /// This machine.
    pub(super) fn here() -> Self {
        Self { root: "/".into(), addresses: addresses() }
    }

    /// A path below the root.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The text of a file, if it can be read.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let mut bytes = Vec::new();
        File::open(self.path(path)).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The number that a file contains, such as a sysctl's.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.trim().parse().ok()
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The names in a folder; none if it can't be read.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// Where a symbolic link points.
    pub(super) fn link(&self, path: &str) -> Option<String> {
        fs::read_link(self.path(path)).ok()?.to_str().map(Into::into)
    }

    /// Whether this is the machine that the program runs on.
    pub(super) fn is_here(&self) -> bool {
        self.root == Path::new("/")
    }
}

fn addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten();
    let up = interfaces.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP));
    let mut addresses: Vec<_> = up.filter_map(|interface| ip(&interface.address?)).collect();
    addresses.retain(|address| match address {
        IpAddr::V4(address) => !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    });
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A machine whose files are in a temporary folder.
    pub(in crate::doctor) struct Pretend {
        _folder: tempfile::TempDir,
        pub(in crate::doctor) machine: Machine,
    }

    impl Pretend {
        /// With these files, as path and content.
        pub(in crate::doctor) fn with(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let machine = Machine { root: folder.path().into(), addresses: Vec::new() };
            let pretend = Self { _folder: folder, machine };
            for (path, content) in files {
                pretend.write(path, content);
            }
            pretend
        }

        pub(in crate::doctor) fn write(&self, path: &str, content: &str) {
            let path = self.machine.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        pub(in crate::doctor) fn link(&self, path: &str, to: &str) {
            let path = self.machine.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(to, path).unwrap();
        }
    }

    #[test]
    fn reads_text_numbers_names_and_links() {
        let pretend = Pretend::with(&[("proc/sys/net/core/rmem_max", "212992\n"), ("proc/a", "x\u{fffd}")]);
        pretend.link("proc/fd/3", "socket:[7]");
        let machine = &pretend.machine;
        assert_eq!(machine.number("proc/sys/net/core/rmem_max"), Some(212_992));
        assert_eq!(machine.number("proc/a"), None);
        assert_eq!(machine.text("proc/missing"), None);
        assert_eq!(machine.link("proc/fd/3").as_deref(), Some("socket:[7]"));
        assert_eq!(machine.names("proc/fd"), ["3"]);
        assert!(!machine.is_here() && Machine::here().is_here());
    }

    #[test]
    fn this_machine_has_a_loopback_address() {
        assert!(Machine::here().addresses.contains(&IpAddr::from([127, 0, 0, 1])));
    }
}
