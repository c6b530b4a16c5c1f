//! The reply to each kind of request.

use std::fmt::Display;

use udp_tracker_proto::{
    ConnectRequest, ConnectResponse, ConnectionId, DecodeError, Dialect, ErrorResponse, MAX_SCRAPE_HASHES,
    PROTOCOL_ID, Request, RequestError, ScrapeEntry, ScrapeRequest, ScrapeResponse, TransactionId,
};

use super::{Answer, Handler, Source};
use crate::access::Denied;
use crate::count::Count;
use crate::rate_limit::Verdict;
use crate::shed::Proof;

/// 29 bytes with the head of the error response. That is shorter than any well-formed announce or scrape.
const BAD_ID: &str = "unknown connection_id";
/// For a scrape without a whole info_hash, which has only 16 bytes or a few more.
const BAD_ID_SHORT: &str = "bad id";
/// Errors have no interval (BEP 15), and BEP 31's "retry in" is for HTTP; but clients wait longer after each error. A
/// reply with a long interval instead would keep those waiting who have done nothing but to share an address.
const TOO_MANY: &str = "too many requests from your network, try again later";

impl Handler {
    pub(super) fn answer(&mut self, now: u64, source: Source, datagram: &[u8], reply: &mut [u8]) -> Answer {
        match Request::decode(datagram) {
            Ok(Request::Connect(request)) => self.connect(now, source, &request, reply),
            Ok(Request::Announce(request)) => {
                self.count(
                    source,
                    match request.dialect {
                        Dialect::Draft2004 => Count::AnnounceRequests2004,
                        Dialect::Bep15 => Count::AnnounceRequests,
                    },
                );
                let ids = (request.connection_id, request.transaction_id);
                match self.admit(now, source, ids, datagram, reply) {
                    Ok(()) => self.announce(now, source, &request, reply),
                    Err(answer) => answer,
                }
            }
            Ok(Request::Scrape(request)) => {
                self.count(source, Count::ScrapeRequests);
                let ids = (request.connection_id, request.transaction_id);
                match self.admit(now, source, ids, datagram, reply) {
                    Ok(()) => self.scrape(now, source, &request, reply),
                    Err(answer) => answer,
                }
            }
            Err(RequestError::Sendable { connection_id, transaction_id, reason }) => {
                match self.admit(now, source, (connection_id, transaction_id), datagram, reply) {
                    Ok(()) => (Count::Malformed, encode_error(transaction_id, &reason, reply)),
                    Err(answer) => answer,
                }
            }
            Err(RequestError::Unsendable(DecodeError::Truncated { .. })) => (Count::BadLength, 0),
            Err(RequestError::Unsendable(_)) => (Count::NoRequest, 0),
        }
    }

    fn connect(&mut self, now: u64, source: Source, request: &ConnectRequest, reply: &mut [u8]) -> Answer {
        if request.protocol_id == PROTOCOL_ID {
            self.count(source, Count::ConnectRequests);
        } else if self.settings.dialect_2004 {
            self.count(source, Count::ConnectRequests2004);
        } else {
            return (Count::NoRequest, 0);
        }
        let ip = source.address.ip();
        if !self.shedder(source).admits(ip, Proof::None, ConnectRequest::LEN) {
            return (Count::Shed, 0);
        }
        let response = ConnectResponse {
            transaction_id: request.transaction_id,
            connection_id: self.connection_ids.issue(self.id_clock.time(now), ip),
            seen: None,
        };
        (Count::Connects, response.encode(reply).unwrap_or(0))
    }

    /// Whether a request with a connection_id is answered by what it asks.
    ///
    /// # Errors
    /// What it gets instead: its connection_id is unknown, or too many requests come, from everywhere or from its network.
    fn admit(
        &mut self,
        now: u64,
        source: Source,
        (connection_id, transaction_id): (ConnectionId, TransactionId),
        datagram: &[u8],
        reply: &mut [u8],
    ) -> Result<(), Answer> {
        let (ids, ip) = (&self.connection_ids, source.address.ip());
        if !self.id_clock.times(now).any(|now| ids.accepts(now, ip, connection_id)) {
            return Err(self.reject_bad_id(source, (connection_id, transaction_id), datagram, reply));
        }
        // Gateways send the requests of many. They are not counted, so that the kernel drops none of theirs either.
        if !self.settings.is_trusted(ip)
            && !self.shedder(source).admits(ip, Proof::ConnectionId, datagram.len())
        {
            return Err((Count::Shed, 0));
        }
        match self.service.take_request(now, ip, &self.settings) {
            Verdict::Answer => Ok(()),
            Verdict::Error => Err((Count::RateLimited, encode_error(transaction_id, &TOO_MANY, reply))),
            Verdict::Silence => Err((Count::RateLimitedSilently, 0)),
        }
    }

    fn reject_bad_id(
        &mut self,
        source: Source,
        (connection_id, transaction_id): (ConnectionId, TransactionId),
        datagram: &[u8],
        reply: &mut [u8],
    ) -> Answer {
        // In a scrape response, the action (2) is where a request has its connection_id, and the seeders are where a
        // request has its action. If such a datagram were answered, two trackers could be made to send each other
        // errors.
        if connection_id.0 >> 32 == 2 {
            return (Count::LooksLikeReply, 0);
        }
        if !self.shedder(source).admits(source.address.ip(), Proof::None, datagram.len()) {
            return (Count::Shed, 0);
        }
        // An address that has not shown that it receives gets no reply longer than its request.
        let len = reply.len().min(datagram.len());
        let reply = &mut reply[..len];
        let text = if len < ErrorResponse::HEAD_LEN + BAD_ID.len() { BAD_ID_SHORT } else { BAD_ID };
        (Count::BadConnectionId, encode_error(transaction_id, &text, reply))
    }

    fn scrape(&mut self, now: u64, source: Source, request: &ScrapeRequest<'_>, reply: &mut [u8]) -> Answer {
        let fits = reply.len().saturating_sub(ScrapeResponse::HEAD_LEN) / ScrapeEntry::LEN;
        let hashes = request.hashes().take(fits.min(MAX_SCRAPE_HASHES));
        let (stores, unix, access) = (self.service.stores(), self.id_clock.time(now), self.access.load());
        if access.keys.is_some() {
            let denied = Denied::ScrapeWithoutPasskey;
            return (denied.count(), encode_error(request.transaction_id, &denied, reply));
        }
        let entries = hashes.map(|hash| {
            // Zeros, so that the other entries keep their places.
            if !access.serves(&hash, unix) {
                return ScrapeEntry::default();
            }
            let counts = stores.scrape(now, source.family, &hash);
            ScrapeEntry { seeders: counts.seeders, completed: counts.completed, leechers: counts.leechers }
        });
        let len = ScrapeResponse::encode(request.transaction_id, entries, reply).unwrap_or(0);
        (Count::Scrapes, len)
    }
}

/// Writes an error reply and returns its length.
pub(super) fn encode_error(transaction_id: TransactionId, reason: &impl Display, reply: &mut [u8]) -> usize {
    ErrorResponse::encode_display(transaction_id, reason, reply).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::*;
    use crate::{Family, Load, Service, Settings};

    const NOW: u64 = 1_800_000_000;

    /// The kernel would drop the datagrams of everybody behind it.
    #[test]
    fn the_kernel_drops_nothing_of_a_gateway() {
        let source: SocketAddr = "8.8.8.8:9".parse().unwrap();
        for trusted in [false, true] {
            let mut settings = Settings::default();
            if trusted {
                settings.trusted_ip_sources = vec!["8.8.8.8/32".parse().unwrap()];
            }
            let mut handler = Handler::new(Arc::new(Service::from_seed(settings, 1).unwrap()));
            let (mut announce, mut reply) = ([0; 98], [0; 2048]);
            let connect = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
            assert_eq!(handler.handle(NOW, source, &connect, &mut reply), 16);
            announce[..8].copy_from_slice(&reply[8..16]);
            announce[11] = 1;
            announce[97] = 1;
            let mut listed = false;
            for _ in 0..50 {
                for _ in 0..1000 {
                    handler.handle(NOW, source, &announce, &mut reply);
                }
                handler.end_window(Family::V4, Load::Overflowed);
                listed |= handler.changed_passes(Family::V4).is_some_and(|passes| passes.count() > 0);
            }
            assert_eq!(listed, !trusted);
        }
    }
}
