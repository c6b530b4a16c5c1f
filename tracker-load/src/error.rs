//! Why a run ends early.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::check::WrongAnswer;
use crate::settings_error::SettingsError;

/// Why a run ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A wrong answer.
    #[error(transparent)]
    Wrong(#[from] Box<WrongAnswer>),
    /// A socket cannot be opened.
    #[error("cannot send from {from}: {source}")]
    Socket {
        /// The source address.
        from: IpAddr,
        /// The system's error.
        source: io::Error,
    },
    /// A request cannot be sent.
    #[error("cannot send: {0}")]
    Send(io::Error),
    /// Answers cannot be received.
    #[error("cannot receive: {0}")]
    Receive(io::Error),
    /// The tracker does not answer.
    #[error("{0} does not answer")]
    Silent(SocketAddr),
}
