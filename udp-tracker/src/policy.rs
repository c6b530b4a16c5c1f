//! What an embedder decides: which announces are admitted.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

use swarm_store::AnnounceOutcome;
use udp_tracker_proto::AnnounceRequest;

/// Decides about announces, and sees what became of those that were admitted.
///
/// Both methods are called by the threads that answer, between a request and its reply. So they should take no lock that
/// is held for long, and wait for nothing. Both have a default that does nothing.
pub trait Policy: Send + Sync {
    /// Whether an announce is admitted. It has a good connection_id, and the access list serves its torrent. `source` is
    /// where the datagram came from, an IPv4 address never in the form of IPv6.
    ///
    /// # Errors
    /// The reason, which the client gets in an error reply.
    fn admit(&self, request: &AnnounceRequest<'_>, source: SocketAddr) -> Result<(), Refusal> {
        let _ = (request, source);
        Ok(())
    }

    /// An announce was admitted and applied to the store as one of `peer`.
    fn announced(&self, request: &AnnounceRequest<'_>, peer: SocketAddr, outcome: &AnnounceOutcome) {
        let _ = (request, peer, outcome);
    }
}

/// Why an announce is not admitted, in words for the client's user. What does not fit into the reply is cut.
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
