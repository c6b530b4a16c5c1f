//! Properties of all packets, in any order and at any time.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use livesync_proto::{
    Authenticator, CLOCK_TOLERANCE, Family, Flags, Key, MAX_DELAY, MAX_PACKET_LEN, Record, Refused,
    ReplayGuard, ReplayWindow, Sender, Sequence, TRAILER_LEN, TrackerId, receive,
};
use proptest::collection::vec;
use proptest::prelude::*;

const NODE: TrackerId = TrackerId(*b"node");
const OTHER: TrackerId = TrackerId(*b"othr");
const UNIX: Duration = Duration::from_secs(1_750_000_000);

fn key() -> Key {
    Key::new(*b"a key of thirty-two bytes, say..")
}

fn authenticator() -> Authenticator {
    Authenticator::new(key(), Duration::ZERO, UNIX)
}

fn flags() -> impl Strategy<Value = Flags> {
    any::<u8>().prop_map(Flags::from_bits)
}

fn record_of(peer: impl Strategy<Value = SocketAddr>) -> impl Strategy<Value = Record> {
    (any::<[u8; 20]>(), peer, flags()).prop_map(|(info_hash, peer, flags)| Record {
        info_hash: info_hash.into(),
        peer,
        flags,
    })
}

fn peer4() -> impl Strategy<Value = SocketAddr> {
    any::<([u8; 4], u16)>().prop_map(|(ip, port)| (Ipv4Addr::from(ip), port).into())
}

fn peer6() -> impl Strategy<Value = SocketAddr> {
    any::<([u8; 16], u16)>().prop_map(|(ip, port)| (Ipv6Addr::from(ip), port).into())
}

fn record() -> impl Strategy<Value = Record> {
    record_of(prop_oneof![peer4(), peer6()])
}

/// The record as the receiver decodes it.
fn as_sent(record: &Record) -> Record {
    let bits = record.flags.bits();
    let flags = if bits & 0x80 == 0 { bits & 0x20 } else { bits };
    let peer = SocketAddr::new(record.peer.ip().to_canonical(), record.peer.port());
    Record { flags: Flags::from_bits(flags), peer, ..*record }
}

fn packet_of(records: &[Record], authenticator: Option<Authenticator>) -> Vec<u8> {
    let mut sender = Sender::new(Duration::ZERO, NODE, authenticator, MAX_PACKET_LEN);
    for record in records {
        sender.push(record).expect("fewer than fill a packet");
    }
    sender.flush();
    sender.poll_transmit(Duration::ZERO).expect("at least one").to_vec()
}

/// Records of one family, at least one and fewer than fill a packet.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let only6 = peer6().prop_filter("IPv4 in IPv6", |peer| peer.ip().to_canonical().is_ipv6());
    prop_oneof![vec(record_of(peer4()), 1..=35), vec(record_of(only6), 1..=35)]
}

proptest! {
    #[test]
    fn what_is_sent_is_received(records in records(), authenticated: bool, with_key: bool) {
        let packet = packet_of(&records, authenticated.then(authenticator));
        let key = (authenticated && with_key).then(key);
        let received = receive(&packet, OTHER, key.as_ref()).unwrap();
        prop_assert_eq!(received.id, NODE);
        prop_assert_eq!(received.sequence.is_some(), key.is_some());
        prop_assert_eq!(received.records.len(), records.len());
        let expected: Vec<_> = records.iter().map(as_sent).collect();
        prop_assert_eq!(received.records.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..2000), packet_type in 0_u8..4, own: [u8; 4]) {
        let mut bytes = bytes;
        for typed in [false, true] {
            if typed && bytes.len() >= 8 {
                bytes[4..8].copy_from_slice(&[0, 0, 0, packet_type]);
            }
            if let Ok(packet) = receive(&bytes, TrackerId(own), None) {
                let record_len = packet.records.family().record_len();
                prop_assert_eq!(packet.records.count(), (bytes.len() - 8) / record_len);
            }
            // A MAC that was not made with the key is never valid.
            prop_assert!(receive(&bytes, TrackerId(own), Some(&key())).is_err());
        }
    }

    #[test]
    fn every_truncation_keeps_the_whole_records(records in records(), authenticated: bool) {
        let packet = packet_of(&records, authenticated.then(authenticator));
        let expected: Vec<_> = records.iter().map(as_sent).collect();
        for cut in 0..packet.len() {
            prop_assert!(receive(&packet[..cut], OTHER, Some(&key())).is_err());
            match receive(&packet[..cut], OTHER, None) {
                Ok(packet) => {
                    let whole = expected.len().min((cut - 8) / packet.records.family().record_len());
                    prop_assert_eq!(packet.records.collect::<Vec<_>>(), &expected[..whole]);
                }
                Err(_) => prop_assert!(cut <= 8 || cut == 16),
            }
        }
    }

    #[test]
    fn changed_packets_are_never_accepted(
        records in records(),
        changes in vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        tail in vec(any::<u8>(), 1..50),
        other_key: [u8; 32],
    ) {
        let packet = packet_of(&records, Some(authenticator()));
        prop_assert!(receive(&packet, OTHER, Some(&key())).is_ok());
        prop_assert!(receive(&packet, OTHER, Some(&Key::new(other_key))).is_err());

        let mut changed = packet.clone();
        for (at, by) in changes {
            changed[at.index(packet.len())] ^= by;
        }
        prop_assert!(changed == packet || receive(&changed, OTHER, Some(&key())).is_err());

        let longer = [&packet[..], &tail].concat();
        prop_assert!(receive(&longer, OTHER, Some(&key())).is_err());
    }

    #[test]
    fn the_window_equals_a_set_of_all_accepted_sequences(
        // Close together, so that repeats, overtaking and forgetting all happen.
        sequences in vec(prop_oneof![4 => 0_u64..400, 1 => any::<u64>()], 0..600),
    ) {
        let mut window = ReplayWindow::new();
        let mut taken = BTreeSet::new();
        for sequence in sequences {
            // By definition: not accepted before, and fewer than WIDTH + 1 of the accepted ones are larger.
            let forgotten = taken.iter().rev().nth(ReplayWindow::WIDTH);
            let expected = !taken.contains(&sequence) && forgotten.is_none_or(|&forgotten| sequence > forgotten);
            prop_assert_eq!(window.check_and_set(Sequence(sequence)), expected);
            if expected {
                taken.insert(sequence);
            }
            prop_assert_eq!(window.newest(), taken.last().copied().map(Sequence));
        }
    }

    #[test]
    fn the_guard_admits_no_packet_twice(
        steps in vec((0_u64..90, 0_u8..6, 0_u64..700, any::<bool>()), 0..400),
    ) {
        let mut guard = ReplayGuard::<4>::new(Duration::ZERO, CLOCK_TOLERANCE);
        let mut now = Duration::ZERO;
        let mut unix = UNIX;
        let mut admitted = BTreeSet::new();
        for (wait, sender, sent, clock_set_back) in steps {
            let wait = Duration::from_secs(wait);
            now += wait;
            unix = if clock_set_back { unix - wait } else { unix + wait };
            let id = TrackerId([sender; 4]);
            let sequence = Sequence::from_unix_time(unix + Duration::from_secs(sent) - Duration::from_secs(350));
            if guard.admit(now, unix, id, sequence).is_ok() {
                prop_assert!(admitted.insert((id, sequence)));
                prop_assert!(sequence.unix_time() >= unix - now, "sent before the guard was made");
                prop_assert!(sequence.unix_time().abs_diff(unix) <= CLOCK_TOLERANCE);
            }
        }
    }

    #[test]
    fn packets_are_accepted_soon_after_both_clocks_are_corrected(
        // The initial errors of the sender's and the receiver's clocks, in seconds, ahead and behind.
        sender_error in -1000_i64..1000,
        receiver_error in -1000_i64..1000,
        wrong_packets in 0_usize..5,
    ) {
        let at = |now: Duration, error: i64| {
            let unix = UNIX + now + Duration::from_secs(2000);
            if error < 0 { unix - Duration::from_secs(error.unsigned_abs()) } else {
                unix + Duration::from_secs(error.unsigned_abs())
            }
        };
        let mut now = Duration::ZERO;
        let authenticator = Authenticator::new(key(), now, at(now, sender_error));
        let mut sender = Sender::new(now, NODE, Some(authenticator), MAX_PACKET_LEN);
        let mut guard = ReplayGuard::<4>::new(now, CLOCK_TOLERANCE);
        let mut send = |sender: &mut Sender, now: Duration, receiver_error| {
            sender.push(&Record {
                info_hash: [7; 20].into(),
                peer: SocketAddr::from(([192, 0, 2, 1], 6881)),
                flags: Flags::SEEDING,
            }).unwrap();
            sender.flush();
            let packet = receive(sender.poll_transmit(now).unwrap(), OTHER, Some(&key())).unwrap();
            let sequence = packet.sequence.unwrap();
            let taken = guard.admit(now, at(now, receiver_error), packet.id, sequence);
            let again = guard.admit(now, at(now, receiver_error), packet.id, sequence);
            (taken, again)
        };
        for _ in 0..wrong_packets {
            now += Duration::from_secs(1);
            let (taken, again) = send(&mut sender, now, receiver_error);
            prop_assert!(taken.is_err() || sender_error.abs_diff(receiver_error) <= CLOCK_TOLERANCE.as_secs());
            prop_assert!(again.is_err());
        }
        now += Duration::from_secs(1);
        sender.set_clock(now, at(now, 0));
        if sender.needs_new_id(now) {
            sender.set_id(TrackerId(*b"new!"));
        }
        let (taken, again) = send(&mut sender, now, 0);
        prop_assert_eq!(taken, Ok(()));
        prop_assert!(again.is_err());
    }

    #[test]
    fn every_record_is_sent_once_in_order_and_in_time(
        pushes in vec((0_u64..6_000, record()), 0..300),
        authenticated: bool,
        max_packet_len in prop_oneof![2 => Just(MAX_PACKET_LEN), 1 => 0..2 * MAX_PACKET_LEN],
    ) {
        let key = authenticated.then(key);
        let mut driven = Driven {
            now: Duration::ZERO,
            sender: Sender::new(Duration::ZERO, NODE, authenticated.then(authenticator), max_packet_len),
            key,
            left: Vec::new(),
            last_sequence: None,
        };
        let mut pushed: Vec<(Duration, Record)> = Vec::new();
        for (wait, record) in pushes {
            driven.run_until(driven.now + Duration::from_millis(wait));
            driven.sender.push(&record).expect("all packets that were due are sent");
            pushed.push((driven.now, as_sent(&record)));
            driven.transmit();
        }
        driven.run_until(driven.now + MAX_DELAY);
        prop_assert_eq!(driven.sender.poll_timeout(), None);

        for family in [Family::V4, Family::V6] {
            let of_family = |records: &[(Duration, Record)]| -> Vec<(Duration, Record)> {
                records.iter().filter(|(_, record)| record.family() == family).copied().collect()
            };
            let (pushed, left) = (of_family(&pushed), of_family(&driven.left));
            prop_assert_eq!(pushed.len(), left.len());
            for ((pushed_at, pushed), (left_at, left)) in pushed.into_iter().zip(left) {
                prop_assert_eq!(pushed, left);
                prop_assert!(pushed_at <= left_at && left_at <= pushed_at + MAX_DELAY);
            }
        }
    }
}

/// A sender, driven as its documentation requires, and what it sent.
struct Driven {
    now: Duration,
    sender: Sender,
    key: Option<Key>,
    left: Vec<(Duration, Record)>,
    last_sequence: Option<Sequence>,
}

impl Driven {
    fn run_until(&mut self, until: Duration) {
        while let Some(timeout) = self.sender.poll_timeout().filter(|&timeout| timeout <= until) {
            self.now = self.now.max(timeout);
            self.sender.handle_timeout(self.now);
            self.transmit();
        }
        self.now = until;
    }

    fn transmit(&mut self) {
        while let Some(packet) = self.sender.poll_transmit(self.now) {
            assert!(packet.len() <= MAX_PACKET_LEN);
            let packet = receive(packet, OTHER, self.key.as_ref()).expect("a packet that can be received");
            assert!(packet.records.len() > 0);
            assert!(packet.sequence.is_some() == self.key.is_some());
            if packet.sequence.is_some() {
                assert!(packet.sequence > self.last_sequence);
                self.last_sequence = packet.sequence;
            }
            self.left.extend(packet.records.map(|record| (self.now, record)));
        }
    }
}

#[test]
fn reads_the_largest_datagram() {
    let mut datagram = vec![0; 65507];
    let packet = receive(&datagram, OTHER, None).unwrap();
    assert_eq!(packet.records.count(), (65507 - 8) / 28);
    datagram.truncate(8 + 2338 * 28 + TRAILER_LEN);
    assert_eq!(receive(&datagram, OTHER, Some(&key())).err(), Some(Refused::BadMac));
}
