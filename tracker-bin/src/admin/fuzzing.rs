//! Any bytes as a connection to the admin address.

mod answers;
mod connection;
mod fixture;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::server;
use connection::Connection;
use fixture::{Fixture, TOKEN};

/// Any bytes as what a client sends. The first byte says in which parts they arrive. A client that knows the token may
/// change the lists.
///
/// # Panics
/// If the answers are not HTTP, if a client without the token changes anything, or if what one with the token has
/// changed is not what a restarted tracker would read.
pub fn admin_http(input: &[u8]) {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    let Some((&part, sent)) = input.split_first() else { return };
    let fixture = FIXTURE.get_or_init(|| Mutex::new(Fixture::new()));
    let mut fixture = fixture.lock().unwrap_or_else(PoisonError::into_inner);
    fixture.write_files();
    let before = fixture.rules();
    let connection = Connection::new(sent, part, Arc::clone(&fixture.context));
    let received = connection.received();
    fixture.runtime.block_on(server::converse(connection, Arc::clone(&fixture.context)));
    answers::check(&received.lock().unwrap_or_else(PoisonError::into_inner));
    if sent.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()) {
        fixture.check_files();
    } else {
        assert!(Arc::ptr_eq(&before, &fixture.rules()), "rules changed without the token");
        fixture.check_unchanged();
    }
    fixture.remove_files();
}
