//! Looks up host names of trackers, on threads of their own, because the system's resolver blocks.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use mio::Waker;

/// The result of a look-up.
pub(super) struct Found {
    /// The tracker that the name belongs to.
    pub(super) tracker: usize,
    /// The addresses, or why there are none.
    pub(super) addresses: Result<Vec<SocketAddr>, String>,
}

pub(super) struct Resolver {
    sender: Sender<Found>,
    found: Receiver<Found>,
    waker: Arc<Waker>,
}

impl Resolver {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        let (sender, found) = mpsc::channel();
        Self { sender, found, waker }
    }

    /// The next result, if there is one. The waker is woken for each result.
    pub(super) fn poll(&self) -> Option<Found> {
        self.found.try_recv().ok()
    }

    pub(super) fn look_up(&self, tracker: usize, host: String, port: u16) {
        let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
        let look_up = move || {
            let addresses = (host.as_str(), port).to_socket_addrs();
            let addresses = addresses.map(Iterator::collect).map_err(|error| format!("{host}: {error}"));
            let _ = sender.send(Found { tracker, addresses });
            let _ = waker.wake();
        };
        if let Err(error) = thread::Builder::new().name("resolver".into()).spawn(look_up) {
            let _ = self.sender.send(Found { tracker, addresses: Err(error.to_string()) });
            let _ = self.waker.wake();
        }
    }
}
