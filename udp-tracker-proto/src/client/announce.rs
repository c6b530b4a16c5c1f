//! The announce that a caller passes to the client.

use core::net::Ipv4Addr;

use crate::{
    AnnounceRequest, BufferTooSmall, ConnectionId, Dialect, Event, InfoHash, Options, PeerId, TransactionId,
    url_data_len, write_url_data,
};

/// The content of an announce: the fields of [`AnnounceRequest`] without the ids of connection and transaction, which
/// the client adds.
///
/// ```
/// use udp_tracker_proto::client::Announce;
/// use udp_tracker_proto::Event;
///
/// let announce = Announce {
///     event: Event::Started,
///     path_and_query: "/announce?passkey=1",
///     ..Announce::new([0xe5; 20], *b"-XX0001-abcdefghijkl", 6881, 3_000_000)
/// };
/// # assert_eq!(announce.num_want, -1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce<'a> {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The id that the peer chose for itself.
    pub peer_id: PeerId,
    /// The port that the peer listens on; not 0.
    pub port: u16,
    /// Bytes downloaded since `started`.
    pub downloaded: u64,
    /// Bytes that are still missing; 0 for a seeder.
    pub left: u64,
    /// Bytes uploaded since `started`.
    pub uploaded: u64,
    /// Why the peer announces.
    pub event: Event,
    /// The peer's address, if it differs from the source address of the request; else 0.0.0.0. Most trackers ignore it.
    pub ip: Ipv4Addr,
    /// A random number by which the tracker recognises the peer after its address has changed. Use the same in all
    /// announces of a program run, over IPv4 and over IPv6. 0 by default.
    pub key: u32,
    /// Number of peers wanted; if negative, the tracker chooses.
    pub num_want: i32,
    /// From the tracker's URL ([`TrackerUrl::path_and_query`](crate::TrackerUrl::path_and_query)); sent as the URLData
    /// option of BEP 41. If it is empty, no option is sent.
    pub path_and_query: &'a str,
    /// The layout of the request.
    pub dialect: Dialect,
}

impl<'a> Announce<'a> {
    /// An announce at a regular interval, of a peer that listens on `port` and still needs `left` bytes (0 for a
    /// seeder). The tracker chooses the number of peers. All fields can be changed afterwards.
    #[must_use]
    pub fn new(info_hash: impl Into<InfoHash>, peer_id: impl Into<PeerId>, port: u16, left: u64) -> Self {
        Self {
            info_hash: info_hash.into(),
            peer_id: peer_id.into(),
            port,
            downloaded: 0,
            left,
            uploaded: 0,
            event: Event::None,
            ip: Ipv4Addr::UNSPECIFIED,
            key: 0,
            num_want: -1,
            path_and_query: "",
            dialect: Dialect::Bep15,
        }
    }

    /// The same announce, for a tracker with another URL.
    #[must_use]
    pub const fn with_path_and_query<'b>(&self, path_and_query: &'b str) -> Announce<'b> {
        let Self {
            info_hash,
            peer_id,
            port,
            downloaded,
            left,
            uploaded,
            event,
            ip,
            key,
            num_want,
            dialect,
            ..
        } = *self;
        Announce {
            info_hash,
            peer_id,
            port,
            downloaded,
            left,
            uploaded,
            event,
            ip,
            key,
            num_want,
            path_and_query,
            dialect,
        }
    }

    /// Length of the request in bytes.
    pub(super) fn encoded_len(&self) -> usize {
        match self.dialect {
            Dialect::Draft2004 => AnnounceRequest::LEN_2004,
            Dialect::Bep15 if self.path_and_query.is_empty() => AnnounceRequest::LEN,
            Dialect::Bep15 => AnnounceRequest::LEN + url_data_len(self.path_and_query),
        }
    }

    /// Writes the request; returns its length in bytes.
    pub(super) fn encode(
        &self,
        connection_id: ConnectionId,
        transaction_id: TransactionId,
        out: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        let request = AnnounceRequest {
            dialect: self.dialect,
            connection_id,
            transaction_id,
            info_hash: self.info_hash,
            peer_id: self.peer_id,
            downloaded: self.downloaded,
            left: self.left,
            uploaded: self.uploaded,
            event: self.event,
            ip: self.ip,
            key: self.key,
            num_want: self.num_want,
            port: self.port,
            options: Options::NONE,
        };
        let len = request.encode(out)?;
        if self.path_and_query.is_empty() || self.dialect == Dialect::Draft2004 {
            return Ok(len);
        }
        Ok(len + write_url_data(self.path_and_query, &mut out[len..])?)
    }
}
