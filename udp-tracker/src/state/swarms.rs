//! Snapshots of the swarms, in files.

use std::io::Write;
use std::path::PathBuf;

use swarm_store::{
    Moment, Part, Restored, SnapshotCursor, SnapshotError, SnapshotReader, SnapshotWriter, ThreadContext,
};

use udp_tracker_proto::compact;

use super::disk::Disk;
use super::replace::{Failed, names, put_aside, read_all, replace};
use super::{Refused, SaveError};
use crate::service::Service;
use crate::stores::store_time;

pub(super) const NAME: &str = "swarms.snapshot";

/// What is read at once: some steps of loading.
const READ: usize = 1 << 18;

/// A snapshot that was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Saved {
    /// Bytes of the file.
    pub bytes: u64,
    /// Records of torrents; one of many peers has several.
    pub torrents: u64,
    /// Peers.
    pub peers: u64,
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// The file; `None` if there was none that could be used.
    pub path: Option<PathBuf>,
    /// Seconds since it was written.
    pub age: u32,
    /// Its bytes.
    pub bytes: u64,
    /// What became of its peers.
    pub restored: Restored,
    /// Files that could not be used.
    pub refused: Vec<Refused>,
    /// Why not all of it was loaded: `go_on` returned `false`, or it could not be read a second time.
    pub incomplete: Option<String>,
}

pub(super) fn save<D: Disk>(
    disk: &D,
    service: &Service,
    (now, written): (u64, Moment),
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Saved, SaveError> {
    replace(disk, NAME, |file| {
        let mut writer = SnapshotWriter::new(store_time(now));
        let mut saved = Saved::default();
        let mut put = |bytes: &[u8]| {
            saved.bytes += bytes.len() as u64;
            file.write_all(bytes).map_err(Failed::Io)?;
            if go_on() { Ok(()) } else { Err(Failed::Stopped) }
        };
        put(writer.begin(&written))?;
        let stores = service.stores();
        let mut cursor = SnapshotCursor::new();
        while let Some(bytes) = writer.swarms(&stores.v4, &mut cursor) {
            put(bytes)?;
        }
        let mut cursor = SnapshotCursor::new();
        while let Some(bytes) = writer.swarms(&stores.v6, &mut cursor) {
            put(bytes)?;
        }
        put(writer.end())?;
        (saved.torrents, saved.peers) = writer.written();
        Ok(saved)
    })
}

pub(super) fn load<D: Disk>(
    disk: &D,
    service: &Service,
    (now, moment): (u64, Moment),
    go_on: &mut dyn FnMut() -> bool,
) -> Loaded {
    let mut loaded = Loaded::default();
    for name in names(NAME) {
        // First the whole file, so that nothing of a damaged one is loaded.
        match check(disk, &name, &moment, go_on) {
            Ok(Checked { age, torrents: [v4, v6] }) => {
                loaded.path = Some(disk.path(&name));
                loaded.age = age;
                let room = |torrents: u64| usize::try_from(torrents).unwrap_or(usize::MAX);
                service.stores().v4.prepare(room(v4));
                service.stores().v6.prepare(room(v6));
                let restored = restore(disk, &name, service, (now, age), &mut loaded, go_on);
                loaded.incomplete = restored.err().and_then(Failed::reason);
                break;
            }
            Err(Failed::Stopped) => {
                loaded.incomplete = Failed::Stopped.reason();
                break;
            }
            Err(failed) => {
                let refused = failed.reason().map(|reason| put_aside(disk, &name, reason));
                loaded.refused.extend(refused);
            }
        }
    }
    loaded
}

/// A snapshot of which all can be used.
struct Checked {
    /// Seconds since it was written.
    age: u32,
    /// Of IPv4 and of IPv6.
    torrents: [u64; 2],
}

fn check<D: Disk>(
    disk: &D,
    name: &str,
    now: &Moment,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Checked, Failed> {
    let mut elapsed = None;
    let mut torrents = [0; 2];
    for_each_part(disk, name, |part| {
        if let Part::Swarms(swarms) = part {
            torrents[0] += swarms.torrents::<{ compact::V4 }>();
            torrents[1] += swarms.torrents::<{ compact::V6 }>();
        }
        if let Part::Begin(written) = part {
            elapsed = now.seconds_since(&written);
            if elapsed.is_none() {
                let ahead = written.unix - now.unix.min(written.unix);
                return Err(Failed::Content(format!(
                    "it was written {ahead} s in the future, so the age of its peers is unknown: this machine's clock is \
                     wrong, or was ahead"
                )));
            }
        }
        if go_on() { Ok(()) } else { Err(Failed::Stopped) }
    })?;
    let age = elapsed.ok_or_else(|| Failed::Content("it has no beginning".into()))?;
    Ok(Checked { age, torrents })
}

fn restore<D: Disk>(
    disk: &D,
    name: &str,
    service: &Service,
    (now, elapsed): (u64, u32),
    loaded: &mut Loaded,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<(), Failed> {
    let stores = service.stores();
    let mut context = ThreadContext::new(u64::from_ne_bytes(service.random_bytes()));
    loaded.bytes = for_each_part(disk, name, |part| {
        if let Part::Swarms(swarms) = part {
            loaded.restored += stores.restore_swarms(now, elapsed, &swarms, &mut context);
        }
        if go_on() { Ok(()) } else { Err(Failed::Stopped) }
    })?;
    Ok(())
}

/// Reads a snapshot to its end. Returns its length in bytes.
fn for_each_part<D: Disk>(
    disk: &D,
    name: &str,
    mut visit: impl FnMut(Part<'_>) -> Result<(), Failed>,
) -> Result<u64, Failed> {
    let invalid = |error: SnapshotError| Failed::Content(error.to_string());
    let mut reader = SnapshotReader::new();
    let mut buffer = vec![0; READ];
    read_all(disk.open(name)?, &mut buffer, |mut bytes| {
        while let Some(part) = reader.next(&mut bytes).map_err(invalid)? {
            visit(part)?;
        }
        Ok(())
    })?;
    reader.finish().map_err(invalid)?;
    Ok(reader.len())
}
