//! The embedder's decision which announces are admitted.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

use swarm_store::AnnounceOutcome;
use udp_tracker_proto::AnnounceRequest;

/// Decides about announces, and gets the outcome of those that were admitted.
///
/// The threads that answer requests call both methods between a request and its reply. So the methods should not wait
/// for anything, nor for a lock that is held for long. The default of both does nothing.
pub trait Policy: Send + Sync {
    /// Decides whether an announce is admitted. Its connection_id is valid, and the access rules let it in.
    /// `source` is the source address of the datagram, in which an IPv4 address is never mapped to IPv6.
    ///
    /// # Errors
    /// The reason, which is sent to the client in an error reply.
    fn admit(&self, request: &AnnounceRequest<'_>, source: SocketAddr) -> Result<(), Refusal> {
        let _ = (request, source);
        Ok(())
    }

    /// Called after an announce was admitted and applied to the store as an announce of `peer`.
    fn announced(&self, request: &AnnounceRequest<'_>, peer: SocketAddr, outcome: &AnnounceOutcome) {
        let _ = (request, peer, outcome);
    }
}

/// Why an announce is not admitted: a text for the client's user. It is cut if it does not fit into the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(Cow<'static, str>);

impl Refusal {
    /// A refusal with a text, such as `"this torrent was removed"`.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
