//! What the fuzz targets of the repository call: a parser of this program each, with what must hold for any input.

use crate::config::{Config, DEFAULT_TOML};

/// Any text as a configuration: it is accepted or refused with a text, and an accepted one is a complete one.
///
/// # Panics
/// If that does not hold.
pub fn configuration(text: &str) {
    match Config::parse(text) {
        Ok(config) => assert!(!config.keys.is_empty(), "a configuration without keys"),
        Err(error) => assert!(!error.to_string().is_empty(), "an error without a text"),
    }
}

/// The configuration that `tracker-bin config` prints.
#[must_use]
pub fn default_configuration() -> &'static str {
    DEFAULT_TOML
}
