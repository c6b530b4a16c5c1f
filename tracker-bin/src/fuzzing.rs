//! What the fuzz targets of the repository call. Each function takes any bytes, and panics if something that must hold
//! does not.

pub use crate::access::{access_lists, access_texts};
pub use crate::admin::admin_http;

use crate::config::Config;

/// Any text as a configuration.
///
/// # Panics
/// If an accepted configuration can't be used, or if a refusal says nothing.
pub fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Config::parse(text) {
        Ok(config) => {
            assert!(config.settings.check().is_ok(), "settings that the tracker refuses");
            let known = Config::new().expect("the default configuration").keys;
            assert!(known.keys().all(|key| config.keys.contains_key(key)), "a key without a value");
        }
        Err(error) => assert!(error.to_string().len() > 10, "a refusal without a reason"),
    }
}
