//! Decoding of any request, for trackers.

use byteorder::{BigEndian, ByteOrder};

use crate::decode_error::split_head;
use crate::{
    AnnounceRequest, ConnectRequest, ConnectionId, DecodeError, RequestError, ScrapeRequest, TransactionId,
    action,
};

/// A request of a client to a tracker (BEP 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Requests a connection_id.
    Connect(ConnectRequest),
    /// Reports a peer and requests others.
    Announce(AnnounceRequest<'a>),
    /// Requests counts of torrents.
    Scrape(ScrapeRequest<'a>),
}

impl<'a> Request<'a> {
    /// Reads a request of any action.
    ///
    /// # Errors
    /// `Unsendable` for a datagram that is shorter than 16 bytes, has an unknown action, or is a malformed connect;
    /// `Sendable` for a malformed announce or scrape.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, RequestError> {
        let (head, _) = split_head::<16>(datagram).map_err(RequestError::Unsendable)?;
        let sendable = |reason| RequestError::Sendable {
            connection_id: ConnectionId(BigEndian::read_u64(&head[0..8])),
            transaction_id: TransactionId(BigEndian::read_u32(&head[12..16])),
            reason,
        };
        match BigEndian::read_u32(&head[8..12]) {
            action::CONNECT => {
                ConnectRequest::decode(datagram).map(Self::Connect).map_err(RequestError::Unsendable)
            }
            action::ANNOUNCE => AnnounceRequest::decode(datagram).map(Self::Announce).map_err(sendable),
            action::SCRAPE => ScrapeRequest::decode(datagram).map(Self::Scrape).map_err(sendable),
            other => Err(RequestError::Unsendable(DecodeError::UnknownAction(other))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn only_malformed_announces_and_scrapes_may_be_answered() {
        let short = Request::decode(&[0; 15]);
        assert_eq!(short, Err(RequestError::Unsendable(DecodeError::Truncated { needed: 16, got: 15 })));
        let unknown = Request::decode(&hex!("3be06a373933e498 00000004 00000007"));
        assert_eq!(unknown, Err(RequestError::Unsendable(DecodeError::UnknownAction(4))));
        let connect = Request::decode(&hex!("3be06a373933e498 00000000 00000007 00"));
        assert_eq!(connect, Err(RequestError::Unsendable(DecodeError::NotConnect { got: 17 })));

        let scrape = Request::decode(&hex!("3be06a373933e498 00000002 00000007"));
        let sendable = |reason| {
            Err(RequestError::Sendable {
                connection_id: ConnectionId(0x3be0_6a37_3933_e498),
                transaction_id: TransactionId(7),
                reason,
            })
        };
        assert_eq!(scrape, sendable(DecodeError::NoInfoHash));
        let announce = Request::decode(&hex!("3be06a373933e498 00000001 00000007"));
        assert_eq!(announce, sendable(DecodeError::Truncated { needed: 88, got: 16 }));
    }
}
