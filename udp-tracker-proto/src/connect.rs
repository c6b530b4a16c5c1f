//! Connect: a client gets a connection_id, which proves that it receives at its source address (BEP 15, "connect").
//!
//! | offset | size | request             | response            |
//! |--------|------|---------------------|---------------------|
//! | 0      | 4    | protocol_id         | action = 0          |
//! | 4      | 4    | .. continued        | transaction_id      |
//! | 8      | 4    | action = 0          | connection_id       |
//! | 12     | 4    | transaction_id      | .. continued        |
//! | 16     | 6    |                     | BitComet's trackers: the client's address and port, as seen |

use byteorder::{BigEndian, ByteOrder};
use core::net::{Ipv4Addr, SocketAddrV4};

use crate::decode_error::{room, split_head};
use crate::{BufferTooSmall, ConnectionId, DecodeError, TransactionId, action, compact};

/// The constant in the first 8 bytes of a BEP 15 connect request.
pub const PROTOCOL_ID: u64 = 0x0417_2710_1980;

/// A client's request for a connection_id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// [`PROTOCOL_ID`]; any value in the 2004 dialect, whose document specifies "not used, ignored".
    pub protocol_id: u64,
    /// Chosen at random by the client.
    pub transaction_id: TransactionId,
}

impl ConnectRequest {
    /// Bytes on the wire.
    pub const LEN: usize = 16;

    /// A BEP 15 request.
    #[must_use]
    pub const fn new(transaction_id: TransactionId) -> Self {
        Self { protocol_id: PROTOCOL_ID, transaction_id }
    }

    /// Reads a request. Bytes after a BEP 15 request are ignored. A request without its protocol_id must have exactly
    /// 16 bytes, so that a tracker's reply is never taken for a request of the 2004 dialect.
    ///
    /// # Errors
    /// `Truncated`, `WrongAction`, or `NotConnect`.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let (head, _) = split_head::<{ Self::LEN }>(datagram)?;
        let got = BigEndian::read_u32(&head[field::ACTION]);
        if got != action::CONNECT {
            return Err(DecodeError::WrongAction { expected: action::CONNECT, got });
        }
        let protocol_id = BigEndian::read_u64(&head[field::PROTOCOL_ID]);
        if protocol_id != PROTOCOL_ID && datagram.len() != Self::LEN {
            return Err(DecodeError::NotConnect { got: datagram.len() });
        }
        let transaction_id = TransactionId(BigEndian::read_u32(&head[field::TRANSACTION_ID]));
        Ok(Self { protocol_id, transaction_id })
    }

    /// Writes the request; returns its length, 16 bytes.
    ///
    /// # Errors
    /// When `out` is shorter than that.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let out = room(out, Self::LEN)?;
        BigEndian::write_u64(&mut out[field::PROTOCOL_ID], self.protocol_id);
        BigEndian::write_u32(&mut out[field::ACTION], action::CONNECT);
        BigEndian::write_u32(&mut out[field::TRANSACTION_ID], self.transaction_id.0);
        Ok(Self::LEN)
    }
}

/// The tracker's reply, with a connection_id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectResponse {
    /// The transaction_id of the request.
    pub transaction_id: TransactionId,
    /// To send in announces and scrapes, for one minute at most.
    pub connection_id: ConnectionId,
    /// The source address of the request as the tracker sees it. Only BitComet's trackers send it.
    pub seen: Option<SocketAddrV4>,
}

impl ConnectResponse {
    /// Bytes on the wire, without [`seen`](Self::seen).
    pub const LEN: usize = 16;
    const LEN_WITH_SEEN: usize = Self::LEN + compact::V4;

    /// Reads a response of 16 bytes or more (BEP 15: "check whether the packet is at least 16 bytes").
    ///
    /// # Errors
    /// `Truncated` or `WrongAction`.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let (head, tail) = split_head::<{ Self::LEN }>(datagram)?;
        let got = BigEndian::read_u32(&head[reply_field::ACTION]);
        if got != action::CONNECT {
            return Err(DecodeError::WrongAction { expected: action::CONNECT, got });
        }
        Ok(Self {
            transaction_id: TransactionId(BigEndian::read_u32(&head[reply_field::TRANSACTION_ID])),
            connection_id: ConnectionId(BigEndian::read_u64(&head[reply_field::CONNECTION_ID])),
            seen: <[u8; compact::V4]>::try_from(tail)
                .ok()
                .map(compact::to_v4)
                .filter(|seen| *seen.ip() != Ipv4Addr::UNSPECIFIED),
        })
    }

    /// Writes the response; returns its length in bytes: 16, or 22 with `seen`.
    ///
    /// # Errors
    /// When `out` is shorter than that.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let len = if self.seen.is_some() { Self::LEN_WITH_SEEN } else { Self::LEN };
        let out = room(out, len)?;
        BigEndian::write_u32(&mut out[reply_field::ACTION], action::CONNECT);
        BigEndian::write_u32(&mut out[reply_field::TRANSACTION_ID], self.transaction_id.0);
        BigEndian::write_u64(&mut out[reply_field::CONNECTION_ID], self.connection_id.0);
        if let Some(seen) = self.seen {
            out[Self::LEN..].copy_from_slice(&compact::from_v4(seen));
        }
        Ok(len)
    }
}

mod field {
    use core::ops::Range;

    pub(super) const PROTOCOL_ID: Range<usize> = 0..8;
    pub(super) const ACTION: Range<usize> = 8..12;
    pub(super) const TRANSACTION_ID: Range<usize> = 12..16;
}

mod reply_field {
    use core::ops::Range;

    pub(super) const ACTION: Range<usize> = 0..4;
    pub(super) const TRANSACTION_ID: Range<usize> = 4..8;
    pub(super) const CONNECTION_ID: Range<usize> = 8..16;
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    // libtorrent 2.0.8 and opentracker.
    const REQUEST: [u8; 16] = hex!("0000041727101980 00000000 ad7e85d6");
    const RESPONSE: [u8; 16] = hex!("00000000 ad7e85d6 3be06a373933e498");

    #[test]
    fn decodes_and_encodes_a_request() {
        let request = ConnectRequest::decode(&REQUEST).unwrap();
        assert_eq!(request, ConnectRequest::new(TransactionId(0xad7e_85d6)));
        let mut out = [0; 16];
        assert_eq!(request.encode(&mut out), Ok(16));
        assert_eq!(out, REQUEST);
    }

    #[test]
    fn request_of_the_2004_dialect_has_any_first_field_but_exactly_16_bytes() {
        let old = hex!("1122334455667788 00000000 00000007");
        let request = ConnectRequest::decode(&old).unwrap();
        assert_eq!(request.protocol_id, 0x1122_3344_5566_7788);
        assert_eq!(request.transaction_id, TransactionId(7));

        let longer = hex!("1122334455667788 00000000 00000007 00");
        assert_eq!(ConnectRequest::decode(&longer), Err(DecodeError::NotConnect { got: 17 }));
    }

    #[test]
    fn ignores_bytes_after_a_bep_15_request() {
        let mut longer = [0; 20];
        longer[..16].copy_from_slice(&REQUEST);
        assert!(ConnectRequest::decode(&longer).is_ok());
    }

    #[test]
    fn decodes_and_encodes_a_response() {
        let response = ConnectResponse::decode(&RESPONSE).unwrap();
        assert_eq!(response.transaction_id, TransactionId(0xad7e_85d6));
        assert_eq!(response.connection_id, ConnectionId(0x3be0_6a37_3933_e498));
        assert_eq!(response.seen, None);
        let mut out = [0; 16];
        assert_eq!(response.encode(&mut out), Ok(16));
        assert_eq!(out, RESPONSE);
    }

    #[test]
    fn decodes_and_encodes_a_response_with_the_client_address() {
        let datagram = hex!("00000000 ad7e85d6 3be06a373933e498 c0000201 1ae1");
        let response = ConnectResponse::decode(&datagram).unwrap();
        assert_eq!(response.seen, Some("192.0.2.1:6881".parse().unwrap()));
        let mut out = [0; 22];
        assert_eq!(response.encode(&mut out), Ok(22));
        assert_eq!(out, datagram);
    }

    #[test]
    fn rejects_truncated_messages_other_actions_and_short_buffers() {
        assert_eq!(
            ConnectResponse::decode(&RESPONSE[..15]),
            Err(DecodeError::Truncated { needed: 16, got: 15 })
        );
        assert_eq!(
            ConnectRequest::decode(&hex!("0000041727101980 00000001 ad7e85d6")),
            Err(DecodeError::WrongAction { expected: 0, got: 1 })
        );
        assert_eq!(
            ConnectRequest::new(TransactionId(1)).encode(&mut [0; 15]),
            Err(BufferTooSmall { needed: 16, got: 15 })
        );
    }
}
