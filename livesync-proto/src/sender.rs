//! Collects records into packets, and decides when each packet is sent.

use core::time::Duration;

use crate::packet::{HEADER_LEN, TrackerId, write_header};
use crate::{Authenticator, Family, Record, TRAILER_LEN};

/// Bytes of the largest packet. It is opentracker's limit; with its headers a packet stays within Ethernet's 1500
/// bytes.
///
/// | | unauthenticated | authenticated |
/// |---|---|---|
/// | IPv4 | 52 records, 1464 bytes | 51 records, 1460 bytes |
/// | IPv6 | 36 records, 1448 bytes | 36 records, 1472 bytes |
///
/// IPv4 and UDP add 28 bytes, so the largest packet has 1500. IPv6 and UDP add 48: where packets are sent over IPv6, a
/// limit of 1452 avoids fragments (50 and 35 records when authenticated). See [`Sender::new`].
pub const MAX_PACKET_LEN: usize = 1480;

/// How long after a packet the next one is sent if its records don't fill it.
pub const MAX_DELAY: Duration = Duration::from_secs(15);

/// How far sequences may be ahead of the clock after the clock was set back.
///
/// Receivers accept a difference of [`CLOCK_TOLERANCE`](crate::CLOCK_TOLERANCE). Most of it is needed for differences
/// between the nodes' clocks, so this is a tenth of it. It is not smaller, because each new id takes a place in every
/// receiver's [`ReplayGuard`](crate::ReplayGuard) for `CLOCK_TOLERANCE`.
pub const MAX_LEAD: Duration = Duration::from_secs(30);

/// Collects a tracker's records into packets, without a socket or a clock.
///
/// A packet is due as soon as another record would not fit into it. Otherwise it is due [`MAX_DELAY`] after the last
/// packet of its family, if it has any record. So the first record after a quiet time is sent at once, and records that
/// follow it are sent within 15 seconds.
///
/// `now` is the time since a fixed start, the same for all calls. The caller
/// 1. calls [`push`](Self::push) for each record;
/// 2. sends packets from [`poll_transmit`](Self::poll_transmit) until there are none, each to the group and to all
///    nodes of the list;
/// 3. calls [`handle_timeout`](Self::handle_timeout) at the time that [`poll_timeout`](Self::poll_timeout) returns,
///    then repeats step 2.
///
/// Each pushed record is sent exactly once. The order of a family's records is kept. The caller decides what to push:
/// peers that are new, last sent more than 10 minutes ago, newly completed, or stopped, as clients announced them.
/// Records received from other trackers are never pushed.
#[derive(Clone, Debug)]
pub struct Sender {
    id: TrackerId,
    authenticator: Option<Authenticator>,
    v4: Filling,
    v6: Filling,
}

/// A full packet waits to be sent before the record can be added: call [`poll_transmit`](Sender::poll_transmit), then
/// push again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a packet waits to be sent")]
pub struct PacketWaits;

/// A packet of one family that is being filled.
#[derive(Clone, Debug)]
struct Filling {
    family: Family,
    packet: [u8; MAX_PACKET_LEN],
    /// Bytes of header and records so far.
    len: usize,
    /// Bytes that header and records may take.
    room: usize,
    last_left: Duration,
    due: bool,
}

impl Sender {
    /// A sender with this `id`. Its packets are authenticated if there is an `authenticator`, and have at most
    /// `max_packet_len` bytes, up to [`MAX_PACKET_LEN`]. A larger limit is reduced to that. A limit that is too small
    /// for one record is raised to what one record takes.
    ///
    /// The first packet that is not full is sent [`MAX_DELAY`] after `now`.
    pub fn new(
        now: Duration,
        id: TrackerId,
        authenticator: Option<Authenticator>,
        max_packet_len: usize,
    ) -> Self {
        let trailer = if authenticator.is_some() { TRAILER_LEN } else { 0 };
        let room = max_packet_len.min(MAX_PACKET_LEN).saturating_sub(trailer);
        let room = room.max(HEADER_LEN + Family::MAX_RECORD_LEN);
        let filling = |family| Filling {
            family,
            packet: [0; MAX_PACKET_LEN],
            len: HEADER_LEN,
            room,
            last_left: now,
            due: false,
        };
        Self { id, authenticator, v4: filling(Family::V4), v6: filling(Family::V6) }
    }

    /// Continues under another id: when another node has this one, or when [`needs_new_id`](Self::needs_new_id) is
    /// true. Records that wait are sent under the new id.
    ///
    /// With an authenticator, the id must never have been used before, such as 4 random bytes: sequences start again
    /// from the clock.
    pub fn set_id(&mut self, id: TrackerId) {
        self.id = id;
        if let Some(authenticator) = &mut self.authenticator {
            authenticator.restart();
        }
    }

    /// Sets the clock of the authenticator, if there is one: `now` and `unix` since 1970 are the same moment. Call it
    /// every few seconds if the clock of `now` doesn't follow changes of the system's time, or stops while the machine
    /// sleeps. Then check [`needs_new_id`](Self::needs_new_id).
    pub fn set_clock(&mut self, now: Duration, unix: Duration) {
        if let Some(authenticator) = &mut self.authenticator {
            authenticator.set_clock(now, unix);
        }
    }

    /// Whether the authenticator's clock was set back by more than [`MAX_LEAD`] before the last packet. Receivers may
    /// then refuse further packets of this id as early, so call [`set_id`](Self::set_id).
    #[must_use]
    pub fn needs_new_id(&self, now: Duration) -> bool {
        self.authenticator.as_ref().is_some_and(|authenticator| authenticator.lead(now) > MAX_LEAD)
    }

    /// Adds a record to its family's packet, by the sending rules: COMPLETED is dropped without SEEDING, and an IPv4
    /// address mapped to IPv6 counts as IPv4.
    ///
    /// # Errors
    /// The family's packet is due and was not fetched by [`poll_transmit`](Self::poll_transmit). Nothing was added.
    pub fn push(&mut self, record: &Record) -> Result<(), PacketWaits> {
        match record.family() {
            Family::V4 => self.v4.push(record),
            Family::V6 => self.v6.push(record),
        }
    }

    /// The next packet that is due, if any. Send it now, to the group and to each node of the list.
    ///
    /// Call it again until it returns `None`. There may be a packet again after [`push`](Self::push),
    /// [`handle_timeout`](Self::handle_timeout) and [`flush`](Self::flush).
    #[must_use]
    pub fn poll_transmit(&mut self, now: Duration) -> Option<&[u8]> {
        let filling = [&mut self.v4, &mut self.v6].into_iter().find(|filling| filling.due)?;
        Some(filling.finish(now, self.id, self.authenticator.as_mut()))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), at the latest; it may be in the past. `None` if no record
    /// waits, except in packets that are due already.
    ///
    /// The result may change after every call of the other methods.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        [&self.v4, &self.v6].into_iter().filter_map(Filling::timeout).min()
    }

    /// Makes packets due whose time has come by `now`. Early or frequent calls do no harm.
    pub fn handle_timeout(&mut self, now: Duration) {
        for filling in [&mut self.v4, &mut self.v6] {
            filling.due |= filling.timeout().is_some_and(|timeout| timeout <= now);
        }
    }

    /// Makes all waiting records due. Call it before the tracker ends.
    pub fn flush(&mut self) {
        for filling in [&mut self.v4, &mut self.v6] {
            filling.due |= filling.holds_records();
        }
    }
}

impl Filling {
    fn push(&mut self, record: &Record) -> Result<(), PacketWaits> {
        if self.due {
            return Err(PacketWaits);
        }
        let record_len = self.family.record_len();
        let end = self.len + record_len;
        record.encode(&mut self.packet[self.len..end]);
        self.len = end;
        self.due = self.len + record_len > self.room;
        Ok(())
    }

    /// Completes the packet and begins the next one, which reuses its buffer.
    fn finish(&mut self, now: Duration, id: TrackerId, authenticator: Option<&mut Authenticator>) -> &[u8] {
        write_header(&mut self.packet, id, self.family);
        let mut len = self.len;
        if let Some(authenticator) = authenticator {
            len += TRAILER_LEN;
            authenticator.authenticate(now, &mut self.packet[..len]);
        }
        self.len = HEADER_LEN;
        self.last_left = now;
        self.due = false;
        &self.packet[..len]
    }

    fn timeout(&self) -> Option<Duration> {
        (self.holds_records() && !self.due).then(|| self.last_left.saturating_add(MAX_DELAY))
    }

    fn holds_records(&self) -> bool {
        self.len > HEADER_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Flags, Key, receive};
    use torrent_ids::InfoHash;

    const ID: TrackerId = TrackerId(*b"self");
    const SECOND: Duration = Duration::from_secs(1);

    fn record(peer: &str) -> Record {
        Record { info_hash: InfoHash([7; 20]), peer: peer.parse().unwrap(), flags: Flags::NONE }
    }

    fn v4() -> Record {
        record("192.0.2.1:6881")
    }

    fn v6() -> Record {
        record("[2001:db8::1]:6881")
    }

    fn authenticator() -> Authenticator {
        Authenticator::new(Key::new([1; 32]), Duration::ZERO, 1_750_000_000 * SECOND)
    }

    /// How many records a packet takes, and how long it is.
    fn full(record: &Record, authenticator: Option<Authenticator>, max_packet_len: usize) -> (usize, usize) {
        let mut sender = Sender::new(Duration::ZERO, ID, authenticator, max_packet_len);
        let mut pushed = 0;
        while sender.push(record).is_ok() {
            pushed += 1;
        }
        (pushed, sender.poll_transmit(Duration::ZERO).unwrap().len())
    }

    #[test]
    fn a_packet_is_due_when_another_record_would_not_fit() {
        assert_eq!(full(&v4(), None, MAX_PACKET_LEN), (52, 1464));
        assert_eq!(full(&v4(), Some(authenticator()), MAX_PACKET_LEN), (51, 1460));
        assert_eq!(full(&v6(), None, MAX_PACKET_LEN), (36, 1448));
        assert_eq!(full(&v6(), Some(authenticator()), MAX_PACKET_LEN), (36, 1472));
        // Records fill the packet exactly.
        assert_eq!(full(&v4(), None, 1464), (52, 1464));
        assert_eq!(full(&v4(), None, 1463), (51, 1436));
        assert_eq!(full(&v6(), Some(authenticator()), 1472), (36, 1472));
        assert_eq!(full(&v6(), Some(authenticator()), 1471), (35, 1432));
        // The limit for IPv6, then limits out of range.
        assert_eq!(full(&v4(), Some(authenticator()), 1452), (50, 1432));
        assert_eq!(full(&v6(), Some(authenticator()), 1452), (35, 1432));
        assert_eq!(full(&v4(), None, usize::MAX), (52, 1464));
        assert_eq!(full(&v6(), Some(authenticator()), 0), (1, 72));
    }

    #[test]
    fn a_packet_that_is_not_full_is_sent_15_seconds_after_the_last() {
        let mut sender = Sender::new(100 * SECOND, ID, None, MAX_PACKET_LEN);
        assert_eq!(sender.poll_timeout(), None);
        sender.push(&v4()).unwrap();
        assert_eq!(sender.poll_timeout(), Some(115 * SECOND));

        sender.handle_timeout(114 * SECOND);
        assert_eq!(sender.poll_transmit(114 * SECOND), None);
        sender.handle_timeout(115 * SECOND);
        assert_eq!(sender.poll_timeout(), None);
        assert_eq!(sender.push(&v4()), Err(PacketWaits));
        assert_eq!(sender.poll_transmit(116 * SECOND).map(<[u8]>::len), Some(36));
        assert_eq!(sender.poll_transmit(116 * SECOND), None);

        // Nothing waits, so nothing is sent. After a quiet time the first record is sent at once.
        sender.handle_timeout(500 * SECOND);
        assert_eq!(sender.poll_transmit(500 * SECOND), None);
        sender.push(&v4()).unwrap();
        assert_eq!(sender.poll_timeout(), Some(131 * SECOND));
        sender.handle_timeout(500 * SECOND);
        assert!(sender.poll_transmit(500 * SECOND).is_some());
    }

    #[test]
    fn each_family_has_packets_of_its_own() {
        let mut sender = Sender::new(Duration::ZERO, ID, None, MAX_PACKET_LEN);
        sender.push(&v6()).unwrap();
        while sender.push(&v4()).is_ok() {}
        sender.push(&v6()).unwrap();
        assert_eq!(sender.poll_transmit(3 * SECOND).map(<[u8]>::len), Some(1464));
        assert_eq!(sender.poll_transmit(3 * SECOND), None);
        sender.push(&v4()).unwrap();
        assert_eq!(sender.poll_timeout(), Some(15 * SECOND));
        sender.handle_timeout(15 * SECOND);
        assert_eq!(sender.poll_transmit(15 * SECOND).map(<[u8]>::len), Some(88));
        assert_eq!(sender.poll_timeout(), Some(18 * SECOND));
    }

    fn sequence(sender: &mut Sender, now: Duration) -> (TrackerId, Duration) {
        sender.push(&v4()).unwrap();
        sender.flush();
        let packet = sender.poll_transmit(now).unwrap();
        let packet = receive(packet, TrackerId(*b"othr"), Some(&Key::new([1; 32]))).unwrap();
        (packet.id, packet.sequence.unwrap().unix_time())
    }

    #[test]
    fn a_clock_set_back_needs_a_new_id_whose_sequences_start_from_the_corrected_clock() {
        let unix = 1_750_000_000 * SECOND;
        let mut sender = Sender::new(Duration::ZERO, ID, Some(authenticator()), MAX_PACKET_LEN);
        assert_eq!(sequence(&mut sender, 600 * SECOND), (ID, unix + 600 * SECOND));
        // Set back by MAX_LEAD, and by a second more.
        sender.set_clock(600 * SECOND, unix + 570 * SECOND);
        assert!(!sender.needs_new_id(600 * SECOND));
        sender.set_clock(600 * SECOND, unix + 569 * SECOND);
        assert!(sender.needs_new_id(600 * SECOND));
        assert!(!sender.needs_new_id(601 * SECOND), "the time has caught up");

        sender.set_clock(600 * SECOND, unix);
        let new = TrackerId(*b"new!");
        sender.set_id(new);
        assert!(!sender.needs_new_id(600 * SECOND));
        assert_eq!(sequence(&mut sender, 600 * SECOND), (new, unix));
    }

    #[test]
    fn without_a_key_the_clock_does_not_matter() {
        let mut sender = Sender::new(100 * SECOND, ID, None, MAX_PACKET_LEN);
        sender.set_clock(100 * SECOND, Duration::ZERO);
        assert!(!sender.needs_new_id(Duration::ZERO));
    }

    #[test]
    fn flush_makes_only_waiting_records_due() {
        let mut sender = Sender::new(Duration::ZERO, ID, None, MAX_PACKET_LEN);
        sender.flush();
        assert_eq!(sender.poll_transmit(Duration::ZERO), None);
        sender.push(&v6()).unwrap();
        sender.flush();
        sender.set_id(TrackerId(*b"new!"));
        assert_eq!(
            sender.poll_transmit(Duration::ZERO).map(|packet| &packet[..8]),
            Some(&b"new!\0\0\0\x01"[..])
        );
        assert_eq!(sender.poll_transmit(Duration::ZERO), None);
    }
}
