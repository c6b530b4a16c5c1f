//! The tracker's answers while its admin side is overloaded.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use interop::client::Load;
use interop::{Program, binary, own_loopback, poll_until};

const LIMIT: Duration = Duration::from_secs(40);
/// For one operation of a client that floods. When it has passed, it tries again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gets a path, and returns how much was read.
fn get(admin: SocketAddr, path: &str) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new())
}

/// Sends a head bit by bit, without ever ending it.
fn drip(admin: SocketAddr, stop: &AtomicBool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ")?;
    while !stop.load(Relaxed) {
        stream.write_all(b"x")?;
        // It answers nothing until it ends the connection, so this is the pause.
        if let Ok(0) = stream.read(&mut [0]) {
            break;
        }
    }
    Ok(())
}

/// Ends the flood, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
#[ignore = "builds tracker-bin and client-bin: run scripts/test"]
fn all_answers_are_right_while_hundreds_flood_the_admin_address() {
    let (address, admin) = (own_loopback(6969), own_loopback(6970));
    let mut config = tempfile::NamedTempFile::new().unwrap();
    write!(config, "listen = [\"{address}\"]\n[admin]\nlisten = \"{admin}\"\n").unwrap();
    let mut command = Command::new(binary("tracker-bin"));
    let tracker = Program::start("tracker-bin", command.arg("--config").arg(config.path()));
    tracker.wait_for("its page", LIMIT, |line| line.starts_with("status page ").then_some(()));

    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let flood = Stop(&stop);
        // More than there may be connections: some that send nothing, some that are slow, some that want all they can get.
        let silent: Vec<_> = (0..200).map(|_| TcpStream::connect_timeout(&admin, PATIENCE)).collect();
        for n in 0..100 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let _ = drip(admin, &stop);
                }
            });
            let path = ["/metrics", "/api/status", "/api/history", "/"][n % 4];
            let (stop, answers) = (&stop, &answers);
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    if get(admin, path).is_ok_and(|read| read > 0) {
                        answers.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        poll_until("the flood", LIMIT, || match answers.load(Relaxed) {
            some @ 100.. => Ok(some),
            few => Err(few.to_string()),
        });
        let options = ["--rate", "1000", "--seconds", "5", "--mix", "1:8:1:1", "--torrents", "100"];
        let load = Load::start_outside(&format!("udp://{address}"), &options);
        let before = answers.load(Relaxed);
        let loaded = load.wait_done(LIMIT);
        let after = answers.load(Relaxed);
        drop(flood);
        assert!(after > before, "the flood has ended before the load");
        assert_eq!(loaded.lost, 0, "{loaded:?}");
        assert!(loaded.by_kind["announce"].answers > 1000, "{loaded:?}");
        drop(silent);
    });

    // It serves the page as before.
    assert!(get(admin, "/healthz").is_ok_and(|read| read > 0));
    assert!(get(admin, "/api/status").is_ok_and(|read| read > 0));
}
