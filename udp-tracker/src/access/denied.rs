//! Why a request is refused, in one sentence for the client's user.

use std::fmt;

use crate::count::Count;

/// Why a request is refused. Its text form is the error in the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied<'a> {
    Torrent {
        reason: Option<&'a str>,
    },
    Client {
        reason: Option<&'a str>,
    },
    NoPasskey,
    BadPasskey,
    /// A scrape, of a tracker with passkeys.
    ScrapeWithoutPasskey,
}

impl Denied<'_> {
    pub(crate) fn count(self) -> Count {
        match self {
            Self::Torrent { .. } => Count::NotServed,
            Self::Client { .. } => Count::DeniedClient,
            Self::NoPasskey | Self::BadPasskey | Self::ScrapeWithoutPasskey => Count::BadPasskey,
        }
    }
}

impl fmt::Display for Denied<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torrent { reason: None } => f.write_str("this tracker does not serve this torrent"),
            Self::Torrent { reason: Some(reason) } => write!(f, "this torrent is not served: {reason}"),
            Self::Client { reason: None } => f.write_str("this tracker does not serve this client"),
            Self::Client { reason: Some(reason) } => write!(f, "this client is not served: {reason}"),
            Self::NoPasskey => {
                f.write_str("a passkey is needed: /announce/KEY at the end of the tracker's URL")
            }
            Self::BadPasskey => f.write_str("the passkey in the tracker's URL is unknown or has ended"),
            Self::ScrapeWithoutPasskey => {
                f.write_str("a passkey is needed, and a scrape can't have one: announces return the counts")
            }
        }
    }
}
