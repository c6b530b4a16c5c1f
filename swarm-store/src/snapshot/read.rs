//! Reading a snapshot: bytes in, checked parts out.

use super::checksum::{self, Chain};
use super::record::Record;
use super::{END, END_LEN, FRAME_HEAD, HEAD, MAGIC, MOST_CONTENT, Moment, SnapshotError, VERSION};

/// Reads a snapshot from bytes that come in pieces of any length.
///
/// Each part is checked before it is returned. Whether the snapshot is complete is known at its end only. To put nothing
/// of a damaged one into a store, read it twice: once to the end without using the parts, and then again.
#[derive(Debug, Default)]
pub struct SnapshotReader {
    /// The bytes of the part that is being read.
    buffer: Vec<u8>,
    /// Whether the part in the buffer was returned.
    returned: bool,
    state: State,
    chain: Chain,
    /// Where the part in the buffer begins.
    at: u64,
    torrents: u64,
    peers: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    Frames,
    Ended,
}

/// A part of a snapshot.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Part<'a> {
    /// The beginning, with the time at which it was written.
    Begin(Moment),
    /// Some torrents with peers.
    Swarms(Swarms<'a>),
    /// The end.
    End,
}

/// Some torrents with peers of one address family, for
/// [`SwarmStore::restore_swarms`](crate::SwarmStore::restore_swarms).
#[derive(Clone, Copy, Debug)]
pub struct Swarms<'a> {
    /// Bytes of a peer.
    peer_len: u8,
    /// Seconds.
    unit: u32,
    torrents: u64,
    records: &'a [u8],
}

impl SnapshotReader {
    /// A reader at the beginning of a snapshot.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the front of `input`, and returns the next part as soon as it is complete. `None`: all bytes were
    /// taken, and more are needed.
    ///
    /// # Errors
    /// The bytes are no snapshot, one of another version, or damaged. After that, nothing more can be read.
    pub fn next<'a>(&'a mut self, input: &mut &[u8]) -> Result<Option<Part<'a>>, SnapshotError> {
        if std::mem::take(&mut self.returned) {
            self.at += self.buffer.len() as u64;
            self.buffer.clear();
        }
        match self.state {
            State::Head => self.head(input),
            State::Frames => self.frame(input),
            State::Ended if input.is_empty() => Ok(None),
            State::Ended => Err(SnapshotError::AfterEnd { at: self.at }),
        }
    }

    /// Call this when there are no more bytes.
    ///
    /// # Errors
    /// The snapshot is cut off.
    pub fn finish(&self) -> Result<(), SnapshotError> {
        match self.state {
            State::Ended => Ok(()),
            _ => Err(SnapshotError::Truncated { len: self.len() }),
        }
    }

    /// Bytes that were read.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills the buffer up to `len` bytes. Returns whether it has as many.
    fn fill(&mut self, len: usize, input: &mut &[u8]) -> bool {
        let missing = len.saturating_sub(self.buffer.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.buffer.extend_from_slice(taken);
        *input = rest;
        self.buffer.len() >= len
    }

    fn head(&mut self, input: &mut &[u8]) -> Result<Option<Part<'_>>, SnapshotError> {
        let is_complete = self.fill(HEAD, input);
        let known = self.buffer.len().min(MAGIC.len());
        if self.buffer[..known] != MAGIC[..known] {
            return Err(SnapshotError::NotASnapshot);
        }
        let Some(Head { version, written }) = Head::read(&self.buffer).filter(|_| is_complete) else {
            return Ok(None);
        };
        if version != VERSION {
            return Err(SnapshotError::Version { found: version, expected: VERSION });
        }
        self.check_sum()?;
        self.state = State::Frames;
        self.returned = true;
        Ok(Some(Part::Begin(written)))
    }

    fn frame(&mut self, input: &mut &[u8]) -> Result<Option<Part<'_>>, SnapshotError> {
        if !self.fill(FRAME_HEAD, input) {
            return Ok(None);
        }
        let Some([kind, a, b, c]) = self.buffer.first_chunk().copied() else { return Ok(None) };
        let len = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        let is_possible = match kind {
            END => len == END_LEN,
            6 | 18 => len <= MOST_CONTENT,
            _ => false,
        };
        if !is_possible {
            return Err(SnapshotError::Frame { at: self.at, kind, len });
        }
        if !self.fill(FRAME_HEAD + len + checksum::LEN, input) {
            return Ok(None);
        }
        self.check_sum()?;
        self.returned = true;
        let content = &self.buffer[FRAME_HEAD..FRAME_HEAD + len];
        let at = self.at;
        let invalid = |problem| SnapshotError::Content { at, problem };
        if kind == END {
            self.state = State::Ended;
            let counts = [self.torrents, self.peers].map(u64::to_le_bytes);
            if content != counts.as_flattened() {
                return Err(invalid(
                    "it is the end, with other numbers of torrents and peers than there were",
                ));
            }
            return Ok(Some(Part::End));
        }
        let mut swarms = Swarms::read(kind, content).map_err(invalid)?;
        let (torrents, peers) = swarms.check().map_err(invalid)?;
        swarms.torrents = torrents;
        self.torrents += torrents;
        self.peers += peers;
        Ok(Some(Part::Swarms(swarms)))
    }

    /// Compares the last bytes in the buffer with the checksum of the others.
    fn check_sum(&mut self) -> Result<(), SnapshotError> {
        let Some((bytes, sum)) = self.buffer.split_last_chunk() else {
            return Err(SnapshotError::Truncated { len: self.len() });
        };
        if self.chain.next(bytes) == *sum {
            return Ok(());
        }
        Err(SnapshotError::Checksum { from: self.at, to: self.len() })
    }
}

/// The fields of the head.
struct Head {
    version: u16,
    written: Moment,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.get(MAGIC.len()..)?;
        let (version, rest) = rest.split_first_chunk()?;
        let (unix, rest) = rest.split_first_chunk()?;
        let (boot, rest) = rest.split_first_chunk()?;
        let (since_boot, _) = rest.split_first_chunk()?;
        Some(Self {
            version: u16::from_le_bytes(*version),
            written: Moment {
                unix: u64::from_le_bytes(*unix),
                boot: *boot,
                since_boot: u64::from_le_bytes(*since_boot),
            },
        })
    }
}

impl<'a> Swarms<'a> {
    fn read(peer_len: u8, content: &'a [u8]) -> Result<Self, &'static str> {
        let (unit, records) = content.split_first_chunk().ok_or("it has no unit of ages")?;
        let unit = u32::from_le_bytes(*unit);
        if unit == 0 {
            return Err("the unit of ages is 0");
        }
        Ok(Self { peer_len, unit, torrents: 0, records })
    }

    /// How many torrents there are with peers of `N` bytes. One of many peers counts several times.
    #[must_use]
    pub fn torrents<const N: usize>(&self) -> u64 {
        if usize::from(self.peer_len) == N { self.torrents } else { 0 }
    }

    /// The peers of this address family, in compact form; none, if the swarms have another.
    pub fn peers<const N: usize>(&self) -> impl Iterator<Item = [u8; N]> + use<'a, N> {
        self.records::<N>().flat_map(|record| record.peers().map(|peer| peer.peer))
    }

    /// The numbers of records and of peers; an error if a record is invalid.
    fn check(&self) -> Result<(u64, u64), &'static str> {
        if self.peer_len == 6 { self.check_of::<6>() } else { self.check_of::<18>() }
    }

    fn check_of<const N: usize>(&self) -> Result<(u64, u64), &'static str> {
        let (mut rest, mut torrents, mut peers) = (self.records, 0, 0);
        while !rest.is_empty() {
            torrents += 1;
            peers += Record::<N>::take(&mut rest)?.len() as u64;
        }
        Ok((torrents, peers))
    }

    /// Seconds of a unit of age.
    pub(super) fn unit(&self) -> u32 {
        self.unit
    }

    /// The records; none if they are of the other family.
    pub(super) fn records<const N: usize>(&self) -> impl Iterator<Item = Record<'a, N>> + Clone + use<'a, N> {
        let mut rest = if usize::from(self.peer_len) == N { self.records } else { &[] };
        // All were checked, so none is an error.
        std::iter::from_fn(move || Record::take(&mut rest).ok())
    }
}
