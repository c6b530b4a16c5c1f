//! What a client says of a peer.

use core::net::Ipv4Addr;

use crate::{
    AnnounceRequest, BufferTooSmall, ConnectionId, Dialect, Event, InfoHash, Options, PeerId, TransactionId,
    write_url_data,
};

/// An announce as the caller means it: all of [`AnnounceRequest`] but what the client fills in.
///
/// ```
/// use udp_tracker_proto::client::Announce;
/// use udp_tracker_proto::{Event, InfoHash, PeerId};
///
/// let announce = Announce {
///     left: 3_000_000,
///     event: Event::Started,
///     path_and_query: "/announce?passkey=1",
///     ..Announce::new(InfoHash([0xe5; 20]), PeerId(*b"-XX0001-abcdefghijkl"), 6881)
/// };
/// # assert_eq!(announce.num_want, -1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce<'a> {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The peer's name for itself.
    pub peer_id: PeerId,
    /// Where the peer listens; not 0.
    pub port: u16,
    /// Octets downloaded since `started`.
    pub downloaded: u64,
    /// Octets still missing; 0 makes a seeder.
    pub left: u64,
    /// Octets uploaded since `started`.
    pub uploaded: u64,
    /// Why the peer announces.
    pub event: Event,
    /// The peer's address, if it isn't the one the request comes from; else 0.0.0.0. Most trackers ignore it.
    pub ip: Ipv4Addr,
    /// By which the tracker may recognise the peer under another address: the same in all announces of a run.
    pub key: u32,
    /// Peers wanted; negative leaves it to the tracker.
    pub num_want: i32,
    /// From the tracker's URL ([`TrackerUrl::path_and_query`](crate::TrackerUrl::path_and_query)); sent as BEP 41's
    /// URLData, or not at all when it is empty.
    pub path_and_query: &'a str,
    /// In which layout to ask.
    pub dialect: Dialect,
}

impl<'a> Announce<'a> {
    /// A **seeder's** announce at a regular interval (`left` is 0), which leaves the number of peers to the tracker; its other fields can
    /// be set.
    #[must_use]
    pub const fn new(info_hash: InfoHash, peer_id: PeerId, port: u16) -> Self {
        Self {
            info_hash,
            peer_id,
            port,
            downloaded: 0,
            left: 0,
            uploaded: 0,
            event: Event::None,
            ip: Ipv4Addr::UNSPECIFIED,
            key: 0,
            num_want: -1,
            path_and_query: "",
            dialect: Dialect::Bep15,
        }
    }

    /// The same, of a tracker with another URL.
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

    /// Writes the request; returns its octets.
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
