//! Decoding of any reply, for clients and for programs that read captures.

use byteorder::{BigEndian, ByteOrder};

use crate::decode_error::split_head;
use crate::{
    AnnounceResponse, ConnectResponse, DecodeError, ErrorResponse, ScrapeResponse, TransactionId, action,
};

/// The first 8 bytes, which all replies have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// 0 connect, 1 announce, 2 scrape, 3 error.
    pub action: u32,
    /// The transaction_id of the request.
    pub transaction_id: TransactionId,
}

impl ResponseHead {
    /// Bytes on the wire.
    pub const LEN: usize = 8;

    /// Reads the head of any reply. An error whose action is in the wrong byte order (opentracker of 2014) is read as
    /// 3.
    ///
    /// # Errors
    /// `Truncated`, or `UnknownAction`.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let (head, _) = split_head::<{ Self::LEN }>(datagram)?;
        let action = match BigEndian::read_u32(&head[0..4]) {
            known @ action::CONNECT..=action::ERROR => known,
            swapped if swapped == action::ERROR.swap_bytes() => action::ERROR,
            unknown => return Err(DecodeError::UnknownAction(unknown)),
        };
        Ok(Self { action, transaction_id: TransactionId(BigEndian::read_u32(&head[4..8])) })
    }
}

/// A reply of a tracker (BEP 15). `N`, the bytes of a peer, is [`compact::V4`](crate::compact::V4) or
/// [`compact::V6`](crate::compact::V6), by the address family of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response<'a, const N: usize> {
    /// Has a connection_id.
    Connect(ConnectResponse),
    /// Has peers.
    Announce(AnnounceResponse<'a, N>),
    /// Has counts.
    Scrape(ScrapeResponse<'a>),
    /// Refuses the request, with the reason.
    Error(ErrorResponse<'a>),
}

impl<'a, const N: usize> Response<'a, N> {
    /// Reads a reply of any action. `asked` is the number of info_hashes in the scrape request; it is not used for
    /// other replies.
    ///
    /// # Errors
    /// Those of the reply's own `decode`, or `UnknownAction`.
    pub fn decode(datagram: &'a [u8], asked: usize) -> Result<Self, DecodeError> {
        match ResponseHead::decode(datagram)?.action {
            action::CONNECT => ConnectResponse::decode(datagram).map(Self::Connect),
            action::ANNOUNCE => AnnounceResponse::decode(datagram).map(Self::Announce),
            action::SCRAPE => ScrapeResponse::decode(datagram, asked).map(Self::Scrape),
            _ => ErrorResponse::decode(datagram).map(Self::Error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compact;
    use hex_literal::hex;

    #[test]
    fn decodes_each_reply_by_its_action() {
        type V4<'a> = Response<'a, { compact::V4 }>;
        assert!(matches!(
            V4::decode(&hex!("00000000 00000007 3be06a373933e498"), 0),
            Ok(Response::Connect(_))
        ));
        assert!(matches!(V4::decode(&hex!("00000001 00000007 00000708"), 0), Ok(Response::Announce(_))));
        assert!(matches!(
            V4::decode(&hex!("00000002 00000007 00000000 00000000 00000000"), 1),
            Ok(Response::Scrape(_))
        ));
        assert!(matches!(V4::decode(&hex!("00000003 00000007"), 0), Ok(Response::Error(_))));
        assert!(matches!(V4::decode(&hex!("03000000 00000007"), 0), Ok(Response::Error(_))));
        assert_eq!(V4::decode(&hex!("00000004 00000007"), 0), Err(DecodeError::UnknownAction(4)));
        assert_eq!(V4::decode(&[0; 7], 0), Err(DecodeError::Truncated { needed: 8, got: 7 }));
    }
}
