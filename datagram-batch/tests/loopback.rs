//! Tests over loopback. Each test runs with both methods.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::time::{Duration, SystemTime};

use datagram_batch::{
    BATCH, BatchReceiver, BatchSender, LocalAddress, Method, Transmit, report_arrival, report_drops,
    report_local_address,
};
use proptest::prelude::*;
use socket2::{Domain, SockRef, Socket, Type};

const METHODS: [Method; 2] = [Method::Batch, Method::OneByOne];

/// A blocking socket whose calls fail instead of waiting forever.
fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// An IPv6 socket bound to all addresses, including IPv4.
fn dual_stack() -> UdpSocket {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
    socket.set_only_v6(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.into()
}

fn receiver(max_len: usize, method: Method) -> BatchReceiver {
    BatchReceiver::new(max_len).with_method(method)
}

/// The sources and bytes of this many datagrams, none of them truncated.
fn receive(receiver: &mut BatchReceiver, socket: &UdpSocket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut all = Vec::new();
    while all.len() < count {
        let received = receiver.receive(socket).unwrap();
        assert!(!received.is_empty());
        all.extend(received.iter().map(|datagram| {
            assert!(!datagram.truncated);
            (datagram.source, datagram.bytes.to_vec())
        }));
    }
    all
}

fn address_of(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

#[test]
fn many_datagrams_arrive_in_order() {
    for method in METHODS {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (from, to) = (socket(address), socket(address));
            let datagrams: Vec<_> = (0..200_u8).map(|number| vec![number; usize::from(number)]).collect();
            let transmits = datagrams.iter().map(|bytes| Transmit::new(address_of(&to), bytes));
            let sent = BatchSender::with_method(method).send(&from, transmits);
            assert_eq!((sent.sent, sent.failed, sent.no_room), (200, 0, 0));
            let received = receive(&mut receiver(200, method), &to, 200);
            let expected = datagrams.into_iter().map(|bytes| (address_of(&from), bytes));
            assert!(received.into_iter().eq(expected), "{method:?} {address}");
        }
    }
}

#[test]
fn receives_at_most_a_batch_and_reports_that_there_may_be_more() {
    for method in METHODS {
        let (from, to) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        for _ in 0..=BATCH {
            from.send_to(b"?", address_of(&to)).unwrap();
        }
        let mut receiver = receiver(10, method);
        let received = receiver.receive(&to).unwrap();
        assert_eq!((received.len(), received.is_full()), (BATCH, true));
        let received = receiver.receive(&to).unwrap();
        assert_eq!((received.len(), received.is_full()), (1, false));
    }
}

#[test]
fn a_non_blocking_socket_never_waits() {
    for method in METHODS {
        let to = socket("127.0.0.1:0");
        to.set_nonblocking(true).unwrap();
        let error = receiver(10, method).receive(&to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_blocking_socket_waits_for_one_datagram_only() {
    for method in METHODS {
        let (from, to) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let address = address_of(&to);
        let waiting = std::thread::spawn(move || receiver(10, method).receive(&to).unwrap().len());
        from.send_to(b"?", address).unwrap();
        assert_eq!(waiting.join().unwrap(), 1);
    }
}

#[test]
fn a_read_timeout_ends_the_wait() {
    for method in METHODS {
        let to = socket("127.0.0.1:0");
        to.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let error = receiver(10, method).receive(&to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}

#[test]
fn datagrams_that_are_too_long_are_truncated_and_marked() {
    for method in METHODS {
        let (from, to) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let mut receiver = receiver(100, method);
        for (len, expected) in [
            (99, (99, false)),
            (100, (100, false)),
            (101, (100, true)),
            (60_000, (100, true)),
            (0, (0, false)),
        ] {
            from.send_to(&vec![7; len], address_of(&to)).unwrap();
            let received = receiver.receive(&to).unwrap();
            let datagram = received.iter().next().unwrap();
            assert_eq!((datagram.bytes.len(), datagram.truncated), expected, "{method:?}");
            assert_eq!(datagram.whole(), (!expected.1).then_some(datagram.bytes));
            assert!(datagram.bytes.iter().all(|byte| *byte == 7));
            assert_eq!(datagram.source, address_of(&from));
        }
    }
}

#[test]
fn empty_datagrams_are_sent_and_received() {
    for method in METHODS {
        let (from, to) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let transmits = [&b"1"[..], b"", b"3"].map(|bytes| Transmit::new(address_of(&to), bytes));
        assert_eq!(BatchSender::with_method(method).send(&from, transmits).sent, 3);
        let received = receive(&mut receiver(0x1000, method), &to, 3);
        let lens: Vec<_> = received.iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(lens, [1, 0, 1]);
        let mut nothing = receiver(0, method);
        from.send_to(b"", address_of(&to)).unwrap();
        assert!(!nothing.receive(&to).unwrap().iter().next().unwrap().truncated);
    }
}

#[test]
fn a_datagram_that_cannot_be_sent_does_not_stop_the_others() {
    for method in METHODS {
        let (from, to) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        // Longer than UDP permits.
        let too_long = vec![0; 65_508];
        let transmits = [&b"1"[..], &too_long, b"2"].map(|bytes| Transmit::new(address_of(&to), bytes));
        let sent = BatchSender::with_method(method).send(&from, transmits);
        assert_eq!((sent.sent, sent.failed, sent.no_room, sent.done()), (2, 1, 0, 3));
        // EMSGSIZE
        assert_eq!(sent.error.unwrap().raw_os_error(), Some(90));
        let received = receive(&mut receiver(10, method), &to, 2);
        assert_eq!(received[1].1, b"2");
    }
}

#[test]
fn a_refused_datagram_does_not_lose_the_next_ones() {
    for method in METHODS {
        let from = socket("127.0.0.1:0");
        // A bound port where nothing is received: it is connected elsewhere, so the kernel finds no socket for this
        // source.
        let (other, closed) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        closed.connect(address_of(&other)).unwrap();
        from.connect(address_of(&closed)).unwrap();
        let to = address_of(&closed);
        let mut sender = BatchSender::with_method(method);
        let sent = sender.send(&from, [Transmit::new(to, b"1")]);
        assert_eq!(sent.sent, 1);
        // The error of the first datagram is pending now, the second causes another, and so on. All are sent.
        let sent = sender.send(&from, [Transmit::new(to, b"2"), Transmit::new(to, b"3")]);
        assert_eq!((sent.sent, sent.failed, sent.no_room), (2, 0, 0), "{method:?}");
        let error = receiver(10, method).receive(&from).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}

#[test]
fn replies_leave_from_the_address_that_the_request_was_sent_to() {
    let wildcards = [
        (socket("0.0.0.0:0"), &["127.0.0.1", "127.0.0.2", "127.9.8.7"][..]),
        (socket("[::]:0"), &["::1"]),
        (dual_stack(), &["::1", "127.0.0.1", "127.0.0.2"]),
    ];
    for (server, locals) in wildcards {
        report_local_address(&server).unwrap();
        let (mut receiver, mut sender) = (receiver(100, Method::Batch), BatchSender::new());
        for local in locals {
            let to = SocketAddr::new(local.parse().unwrap(), address_of(&server).port());
            let client = socket(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
            client.send_to(b"?", to).unwrap();
            let received = receiver.receive(&server).unwrap();
            let request = received.iter().next().unwrap();
            let reported = request.local.unwrap();
            assert_eq!((reported.ip.to_canonical(), reported.interface > 0), (to.ip(), true));
            let reply = Transmit { source: request.local, ..Transmit::new(request.source, b"!") };
            assert_eq!(sender.send(&server, [reply]).sent, 1);
            assert_eq!(client.recv_from(&mut [0; 10]).unwrap(), (1, to));
        }
    }
}

#[test]
fn a_source_address_of_another_machine_is_refused() {
    let from = socket("0.0.0.0:0");
    let foreign: IpAddr = "192.0.2.1".parse().unwrap();
    let to = "127.0.0.1:9".parse().unwrap();
    let transmit = Transmit { source: Some(LocalAddress::from(foreign)), ..Transmit::new(to, b"?") };
    let sent = BatchSender::new().send(&from, [transmit]);
    assert_eq!((sent.sent, sent.failed), (0, 1));
}

#[test]
fn reports_when_the_first_datagram_of_a_batch_arrived() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (from, to) = (socket(address), socket(address));
        let mut receiver = receiver(100, Method::Batch);
        from.send_to(b"before", address_of(&to)).unwrap();
        assert_eq!(receiver.receive(&to).unwrap().arrived(), None);
        report_arrival(&to, true).unwrap();
        // Together with the other two kinds of control messages, so that all must have room.
        report_drops(&to).unwrap();
        report_local_address(&to).unwrap();
        let before = SystemTime::now();
        from.send_to(b"after", address_of(&to)).unwrap();
        let received = receiver.receive(&to).unwrap();
        assert!(received.iter().all(|datagram| datagram.local.is_some()));
        let arrived = received.arrived().expect("a time");
        // The kernel reads a clock that may be some milliseconds behind.
        assert!(arrived > before - Duration::from_millis(100) && arrived <= SystemTime::now());
        report_arrival(&to, false).unwrap();
        from.send_to(b"off", address_of(&to)).unwrap();
        assert_eq!(receiver.receive(&to).unwrap().arrived(), None);
    }
}

#[test]
fn reports_drops_together_with_the_local_address() {
    for (wildcard, local) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
        let server = socket(wildcard);
        report_local_address(&server).unwrap();
        report_drops(&server).unwrap();
        server.set_nonblocking(true).unwrap();
        // The system's smallest buffer.
        SockRef::from(&server).set_recv_buffer_size(1).unwrap();
        let to = SocketAddr::new(local.parse().unwrap(), address_of(&server).port());
        let client = socket(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
        for _ in 0..100 {
            client.send_to(b"?", to).unwrap();
        }
        let mut receiver = receiver(10, Method::Batch);
        let mut count = 0;
        while let Ok(received) = receiver.receive(&server) {
            assert_eq!(received.dropped(), None);
            count += received.len();
        }
        assert!(count < 100);
        // The first datagram after the drops carries their number.
        client.send_to(b"?", to).unwrap();
        let received = receiver.receive(&server).unwrap();
        assert_eq!(received.dropped(), Some(u32::try_from(100 - count).unwrap()));
        assert_eq!(received.iter().next().unwrap().local.map(|local| local.ip), Some(to.ip()));
    }
}

#[test]
fn cuts_a_buffer_into_datagrams() {
    for method in METHODS {
        for (address, len, count) in [
            ("127.0.0.1:0", 7_u16, 200_usize),
            ("[::1]:0", 7, 200),
            ("127.0.0.1:0", 1496, 50),
            ("[::1]:0", 1496, 50),
        ] {
            let (from, to) = (socket(address), socket(address));
            let len_of = usize::from(len);
            // The last one is shorter by one byte.
            let numbers = (0..count).map(|number| u8::try_from(number).unwrap());
            let mut bytes: Vec<u8> = numbers.flat_map(|number| vec![number; len_of]).collect();
            bytes.pop();
            let (mut sender, mut receiver) = (BatchSender::with_method(method), receiver(1500, method));
            let segment = NonZeroU16::new(len).unwrap();
            let sent = sender.send_segments(&from, Transmit::new(address_of(&to), &bytes), segment);
            assert_eq!((sent.sent, sent.failed, sent.no_room), (count, 0, 0), "{method:?} {address}");
            let received = receive(&mut receiver, &to, count);
            let expected = bytes.chunks(len_of).map(|bytes| (address_of(&from), bytes.to_vec()));
            assert!(received.into_iter().eq(expected), "{method:?} {address} {len}");
            // A single datagram is not sent with UDP_SEGMENT.
            let sent = sender.send_segments(&from, Transmit::new(address_of(&to), b"!"), segment);
            assert_eq!(sent.sent, 1);
            assert_eq!(receive(&mut receiver, &to, 1)[0].1, b"!");
            assert_eq!(sender.send_segments(&from, Transmit::new(address_of(&to), b""), segment).done(), 0);
        }
    }
}

proptest! {
    /// Datagrams arrive unchanged, whichever method sends and whichever receives them.
    #[test]
    fn both_methods_transfer_the_same_datagrams(
        datagrams in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 0..150),
        max_len in 0..200_usize,
    ) {
        for (sending, receiving) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (from, others) = (socket("127.0.0.1:0"), [socket("127.0.0.1:0"), socket("127.0.0.2:0")]);
            let transmits = datagrams.iter().map(|(bytes, to)| Transmit::new(address_of(&others[usize::from(*to)]), bytes));
            let sent = BatchSender::with_method(METHODS[sending]).send(&from, transmits);
            prop_assert_eq!((sent.sent, sent.failed, sent.no_room), (datagrams.len(), 0, 0));
            for (socket, which) in others.iter().zip([false, true]) {
                let mut receiver = receiver(max_len, METHODS[receiving]);
                let mut expected = datagrams.iter().filter(|(_, to)| *to == which).map(|(bytes, _)| bytes).peekable();
                while expected.peek().is_some() {
                    let received = receiver.receive(socket).unwrap();
                    for datagram in received.iter() {
                        let bytes = expected.next().unwrap();
                        prop_assert_eq!(datagram.bytes, &bytes[..bytes.len().min(max_len)]);
                        prop_assert_eq!(datagram.truncated, bytes.len() > max_len);
                        prop_assert_eq!(datagram.source, address_of(&from));
                    }
                }
            }
        }
    }
}
