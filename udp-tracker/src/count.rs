//! What is counted, and the name of each counter in logs and metrics.
//!
//! Every received datagram is answered, rejected, ignored, or its reply is not sent, exactly once:
//! `received = connects + announces + scrapes + rejected{reason} + ignored{reason} + not_sent`. This holds whenever the
//! counters are read.

/// The name of a counter as a metric, by the conventions of Prometheus. Each also has the label `family`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Such as `tracker_rejected_total`.
    pub name: &'static str,
    /// Names and values, such as `reason` and `not_served`.
    pub labels: &'static [(&'static str, &'static str)],
}

/// An enum of counters.
pub trait Counted: Copy + Eq + 'static {
    /// All of them, in the order of the log.
    const ALL: &'static [Self];

    /// Its place in [`ALL`](Self::ALL).
    fn index(self) -> usize;

    /// Its name in the log.
    fn name(self) -> &'static str;

    /// Its name as a metric.
    fn metric(self) -> Metric;
}

/// Defines an enum of counters from a table: documentation, variant, name in the log, metric with its labels.
macro_rules! counts {
    (
        $(#[$of_enum:meta])*
        pub enum $counts:ident {
            $($(#[$of_variant:meta])* $variant:ident = $name:literal, $metric:literal {$($label:ident: $value:literal),*};)*
        }
    ) => {
        $(#[$of_enum])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $counts {
            $($(#[$of_variant])* $variant,)*
        }

        impl Counted for $counts {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn index(self) -> usize {
                self as usize
            }

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn metric(self) -> Metric {
                match self {
                    $(Self::$variant => Metric { name: $metric, labels: &[$((stringify!($label), $value)),*] },)*
                }
            }
        }
    };
}

counts! {
    /// What a tracker counts about its clients' requests.
    pub enum Count {
        /// Datagrams received.
        Received = "received", "tracker_datagrams_received_total" {};
        /// Connect requests answered.
        Connects = "connects", "tracker_answered_total" { action: "connect" };
        /// Announces answered.
        Announces = "announces", "tracker_answered_total" { action: "announce" };
        /// Scrapes answered.
        Scrapes = "scrapes", "tracker_answered_total" { action: "scrape" };
        /// Replies that the system did not accept. They are not counted as answered or rejected.
        NotSent = "not_sent", "tracker_not_sent_total" {};
        /// Answered with an error: the connection_id is unknown or has expired.
        BadConnectionId = "bad_connection_id", "tracker_rejected_total" { reason: "bad_connection_id" };
        /// Answered with an error: malformed, with a valid connection_id.
        Malformed = "malformed", "tracker_rejected_total" { reason: "malformed" };
        /// Answered with an error: the access rules do not serve the torrent.
        NotServed = "not_served", "tracker_rejected_total" { reason: "not_served" };
        /// Answered with an error: the access rules do not serve clients with such a peer_id.
        DeniedClient = "denied_client", "tracker_rejected_total" { reason: "denied_client" };
        /// Answered with an error: a passkey is needed, and there is none, or an unknown one, or one that has ended.
        BadPasskey = "bad_passkey", "tracker_rejected_total" { reason: "bad_passkey" };
        /// Answered with an error: the [`Policy`](crate::Policy) refused the announce.
        Refused = "refused", "tracker_rejected_total" { reason: "refused" };
        /// Answered with an error: the network has sent more requests than are answered in a second.
        RateLimited = "rate_limited", "tracker_rejected_total" { reason: "rate_limited" };
        /// Ignored: the same, after some errors.
        RateLimitedSilently = "rate_limited_silently", "tracker_ignored_total" { reason: "rate_limited" };
        /// Ignored: more datagrams arrive than can be answered, and this network sends most.
        Shed = "shed", "tracker_ignored_total" { reason: "overload" };
        /// Ignored: shorter than any request, or longer than any.
        BadLength = "bad_length", "tracker_ignored_total" { reason: "bad_length" };
        /// Ignored: an unknown action, or action 0 in a datagram that is no connect request.
        NoRequest = "no_request", "tracker_ignored_total" { reason: "no_request" };
        /// Ignored: a tracker's reply, sent here by mistake or with a forged source address.
        LooksLikeReply = "looks_like_reply", "tracker_ignored_total" { reason: "looks_like_reply" };
        /// Ignored before parsing: from a network that the access rules deny.
        DeniedNetwork = "denied_network", "tracker_ignored_total" { reason: "denied_network" };
        /// Ignored: from port 0, to which nothing can be sent.
        SourcePortZero = "source_port_zero", "tracker_ignored_total" { reason: "source_port_zero" };
        /// Ignored: a proxy's datagram that begins like a header, but has no valid one.
        BadProxyHeader = "bad_proxy_header", "tracker_ignored_total" { reason: "bad_proxy_header" };
        /// Ignored: the reply buffer is too short for any reply.
        NoRoomForReply = "no_room_for_reply", "tracker_ignored_total" { reason: "no_room_for_reply" };
        /// Well-formed connect requests that begin with the protocol id.
        ConnectRequests = "connect_requests", "tracker_requests_total" { action: "connect", dialect: "bep15" };
        /// Connect requests without the protocol id, as in the dialect of 2004.
        ConnectRequests2004 = "connect_requests_2004", "tracker_requests_total" { action: "connect", dialect: "2004" };
        /// Well-formed announces of BEP 15, whether their connection_id is valid or not.
        AnnounceRequests = "announce_requests", "tracker_requests_total" { action: "announce", dialect: "bep15" };
        /// Well-formed announces of the dialect of 2004, whether their connection_id is valid or not.
        AnnounceRequests2004 = "announce_requests_2004", "tracker_requests_total" { action: "announce", dialect: "2004" };
        /// Well-formed scrapes, whether their connection_id is valid or not. They are the same in both dialects.
        ScrapeRequests = "scrape_requests", "tracker_requests_total" { action: "scrape", dialect: "bep15" };
        /// Downloads completed.
        Completed = "completed", "tracker_completed_total" {};
        /// Announces that were answered but not stored, because the store was full.
        StoreFull = "store_full", "tracker_store_full_total" {};
        /// Announces that were answered but not stored: their network holds as many torrents as one may.
        TooManyTorrentsOfNetwork = "too_many_torrents_of_network", "tracker_not_stored_total" { reason: "torrents_of_network" };
        /// Announces that were answered but not stored: their network has as many peers of the torrent as one may.
        TooManyPeersOfNetwork = "too_many_peers_of_network", "tracker_not_stored_total" { reason: "peers_of_network" };
        /// Announces that were answered but not stored: no peer can have that address.
        BadPeerAddress = "bad_peer_address", "tracker_not_stored_total" { reason: "bad_address" };
        /// Announces that were answered but not stored: the port is below the lowest one that peers may have.
        LowPeerPort = "low_peer_port", "tracker_not_stored_total" { reason: "low_port" };
        /// Stored peers that were removed because the store was full, to make room for others.
        Evicted = "evicted", "tracker_evicted_total" {};
        /// Errors on receiving.
        NotReceived = "not_received", "tracker_receive_errors_total" {};
        /// Datagrams that the kernel dropped because a socket's receive buffer was full.
        DroppedByKernel = "dropped_by_kernel", "tracker_kernel_dropped_total" {};
        /// Datagrams that the kernel dropped while the tracker had told it to drop a part of some networks', because more
        /// arrived than could be answered.
        ShedByKernel = "shed_by_kernel", "tracker_kernel_shed_total" {};
        /// Announces that were queued for livesync to send to other trackers.
        LivesyncQueued = "livesync_queued", "tracker_livesync_queued_total" {};
        /// Announces that were not queued for livesync, because its queue was full.
        LivesyncQueueFull = "livesync_queue_full", "tracker_livesync_queue_full_total" {};
    }
}

impl Count {
    /// Whether there is a reply to a datagram that this counts.
    pub(crate) fn makes_reply(self) -> bool {
        matches!(self.metric().name, "tracker_answered_total" | "tracker_rejected_total")
    }
}

counts! {
    /// What livesync counts about packets to and from other trackers.
    pub enum LivesyncCount {
        /// Packets made. A packet counts once, however many destinations it has.
        PacketsSent = "livesync_packets_sent", "tracker_livesync_packets_sent_total" {};
        /// Records in them.
        RecordsSent = "livesync_records_sent", "tracker_livesync_records_sent_total" {};
        /// Packets that the system did not accept, counted for each destination.
        NotSent = "livesync_not_sent", "tracker_livesync_not_sent_total" {};
        /// Packets received, without this node's own, which multicast returns.
        PacketsReceived = "livesync_packets_received", "tracker_livesync_packets_received_total" {};
        /// Records in the packets that were accepted.
        RecordsReceived = "livesync_records_received", "tracker_livesync_records_received_total" {};
        /// Records applied.
        Applied = "livesync_applied", "tracker_livesync_applied_total" {};
        /// Packets dropped: from an address that is not a node's, or from this node's own address with another id.
        UnknownNode = "livesync_unknown_node", "tracker_livesync_dropped_total" { reason: "unknown_node" };
        /// Packets dropped: without records, or longer than any packet.
        BadLength = "livesync_bad_length", "tracker_livesync_dropped_total" { reason: "bad_length" };
        /// Packets dropped: of an unknown type.
        UnknownType = "livesync_unknown_type", "tracker_livesync_dropped_total" { reason: "unknown_type" };
        /// Packets dropped: without a MAC, while this node has a key.
        Unauthenticated = "livesync_unauthenticated", "tracker_livesync_dropped_total" { reason: "unauthenticated" };
        /// Packets dropped: the MAC does not match this node's key.
        BadMac = "livesync_bad_mac", "tracker_livesync_dropped_total" { reason: "bad_mac" };
        /// Packets dropped: sent too long ago, in the future, or before this node started.
        BadTime = "livesync_bad_time", "tracker_livesync_dropped_total" { reason: "bad_time" };
        /// Packets dropped: accepted before.
        Replayed = "livesync_replayed", "tracker_livesync_dropped_total" { reason: "replayed" };
        /// Packets dropped: from more senders than can be remembered.
        TooManySenders = "livesync_too_many_senders", "tracker_livesync_dropped_total" { reason: "too_many_senders" };
        /// Packets dropped: they have this node's id.
        OwnId = "livesync_own_id", "tracker_livesync_dropped_total" { reason: "own_id" };
        /// Records dropped: of a peer with an address that no peer can have, without a port, or with one that is too low.
        BadPeer = "livesync_bad_peer", "tracker_livesync_records_dropped_total" { reason: "bad_peer" };
        /// Records dropped: of a torrent that is not served.
        NotServed = "livesync_not_served", "tracker_livesync_records_dropped_total" { reason: "not_served" };
        /// Records dropped: of a peer in a network that the access rules deny.
        DeniedNetwork = "livesync_denied_network", "tracker_livesync_records_dropped_total" { reason: "denied_network" };
        /// Records dropped: the store is full, or the network of the peer holds as much as one may.
        StoreFull = "livesync_store_full", "tracker_livesync_records_dropped_total" { reason: "store_full" };
        /// Errors on receiving.
        NotReceived = "livesync_not_received", "tracker_livesync_receive_errors_total" {};
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn is_consistent<C: Counted>() {
        let names: BTreeSet<_> = C::ALL.iter().map(|count| count.name()).collect();
        let metric = |count: &C| (count.metric().name, count.metric().labels);
        let metrics: BTreeSet<_> = C::ALL.iter().map(metric).collect();
        assert_eq!((names.len(), metrics.len()), (C::ALL.len(), C::ALL.len()));
        for (at, count) in C::ALL.iter().enumerate() {
            assert_eq!(count.index(), at);
            let metric = count.metric().name;
            assert!(metric.starts_with("tracker_") && metric.ends_with("_total"), "{metric}");
        }
    }

    #[test]
    fn each_count_has_a_name_and_a_metric_of_its_own() {
        is_consistent::<Count>();
        is_consistent::<LivesyncCount>();
    }
}
