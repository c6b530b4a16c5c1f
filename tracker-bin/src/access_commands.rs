//! `tracker-bin deny`, `allow`, `key` and `access`.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::Method;
use serde_json::{Value, json};

use crate::access::{AccessFiles, Entry, nft_table};
use crate::admin_client::AdminClient;
use crate::command::{AccessAction, Details, Edit, KeyAction, print};
use crate::config::Config;

type Outcome = Result<(), Box<dyn Error>>;

pub(crate) fn deny(edit: &Edit) -> Outcome {
    change(&edit.details, &edit.entry, "deny")?;
    print(&format!("{} is denied\n", edit.entry))
}

pub(crate) fn allow(edit: &Edit) -> Outcome {
    change(&edit.details, &edit.entry, "allow")?;
    print(&format!("{} is allowed\n", edit.entry))
}

pub(crate) fn key(action: &KeyAction) -> Outcome {
    let (edit, path, done) = match action {
        KeyAction::Add(edit) => (edit, "allow", "added"),
        KeyAction::Revoke(edit) => (edit, "deny", "revoked"),
    };
    let entry: Entry = format!("key:{}", edit.key)
        .parse()
        .map_err(|_| format!("{:?} is no passkey: 1 to 64 letters, digits, or - . _ ~ expected", edit.key))?;
    change(&edit.details, &entry, path)?;
    print(&format!("the passkey is {done}\n"))
}

fn change(details: &Details, entry: &Entry, what: &str) -> Outcome {
    let body = json!({
        "entry": entry.to_string(),
        "reason": details.reason,
        "until": details.until,
        "by": details.by,
    });
    details.running.writer()?.request(Method::POST, &format!("/api/access/{what}"), Some(&body))?;
    Ok(())
}

pub(crate) fn access(action: &AccessAction) -> Outcome {
    match action {
        AccessAction::List { running, json } => list(&running.writer()?, *json),
        AccessAction::Nft { config } => nft(config.as_deref()),
    }
}

fn list(client: &AdminClient, json: bool) -> Outcome {
    let mut offset = Some(0);
    while let Some(from) = offset {
        let answer = client.request(Method::GET, &format!("/api/access?offset={from}"), None)?;
        for entry in answer["entries"].as_array().into_iter().flatten() {
            print(&if json { format!("{entry}\n") } else { line(entry) })?;
        }
        offset = answer["next_offset"].as_u64();
    }
    Ok(())
}

/// An entry for people.
fn line(entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    let with = |before: &str, key: &str| match text(key) {
        "" => String::new(),
        value => format!("{before}{value}"),
    };
    let hits = entry["hits"].as_u64().unwrap_or(0);
    let last = with(", last ", "last_hit");
    format!(
        "{:<45} {hits} {}{last}{}{}{}\n",
        text("entry"),
        if hits == 1 { "hit" } else { "hits" },
        with(" until=", "until"),
        with(" by=", "by"),
        with(" # ", "reason")
    )
}

fn nft(config: Option<&Path>) -> Outcome {
    let config = config.map_or_else(Config::new, Config::read)?;
    let rules = AccessFiles::new(config.access.clone()).load()?;
    let ports: Vec<_> = config.server.addresses().iter().map(SocketAddr::port).collect();
    if ports.contains(&0) {
        return Err("listen: port 0 is any free port, so there is no port for the rules: set one".into());
    }
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    print(&nft_table(&rules.networks, &ports, unix))
}
