//! What lists of trackers check before they list one, seen from this machine.

mod dns;
mod preferences;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::ask::{Reply, ask_all};
use super::finding::Finding;
use super::global::not_global;
use super::machine::Machine;
use dns::{DnsError, Resolver, system_server};
use preferences::Preferences;
use udp_tracker_proto::blocking::Error;

/// The seconds between announces that lists accept.
const INTERVAL: RangeInclusive<u32> = 300..=10_800;

/// How long a list waits for an address.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most addresses of a name that are asked.
const MAX_ASKED: usize = 16;

/// The tracker as a list names it: `udp://host:port/announce`.
#[derive(Clone, Debug)]
pub(crate) struct Listed<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// The DNS server to ask; `None` is the system's.
    pub(crate) dns: Option<SocketAddr>,
}

/// All checks of lists. `interval`: the configured seconds between announces.
pub(super) fn check(machine: &Machine, listed: &Listed<'_>, interval: u32) -> Vec<Finding> {
    let host = listed.host;
    let mut findings = vec![configured_interval(interval)];
    if host.parse::<IpAddr>().is_ok() {
        let what = format!("lists want a host name instead of the address {host}");
        findings.push(Finding::problem(
            "listing_name",
            what,
            "give the tracker a name: --host tracker.example.org",
        ));
        return findings;
    }
    let system = || system_server(&machine.text("etc/resolv.conf")?);
    let Some(server) = listed.dns.or_else(system) else {
        let what = "no DNS server in /etc/resolv.conf";
        findings.push(Finding::problem("listing_name", what, "name one: --dns ADDRESS:PORT"));
        return findings;
    };
    let resolver = Resolver::new(server);
    match resolver.addresses(host) {
        Ok(addresses) => {
            findings.push(record(listed, resolver.texts(host)));
            findings.extend(addresses_of(listed, &addresses));
        }
        Err(error) => {
            let fix = match error {
                DnsError::NoSuchName => format!("add A and AAAA records for {host}"),
                _ => "name another DNS server: --dns ADDRESS:PORT".into(),
            };
            findings.push(Finding::problem("listing_name", format!("{host}: {error}"), fix));
        }
    }
    findings
}

/// Each client gets up to a tenth more than the configured interval.
fn configured_interval(interval: u32) -> Finding {
    const ID: &str = "listing_interval";
    let (least, most) = (INTERVAL.start(), INTERVAL.end());
    let longest = interval.saturating_add(interval / 10);
    if interval >= *least && longest <= *most {
        return Finding::ok(ID, format!("announce_interval: {interval} to {longest} s, as lists accept it"));
    }
    let what =
        format!("announce_interval: clients get {interval} to {longest} s; lists accept {least} to {most} s");
    Finding::problem(ID, what, "announce_interval = 1800 in the configuration")
}

/// The TXT record of BEP 34.
fn record(listed: &Listed<'_>, texts: Result<Vec<String>, DnsError>) -> Finding {
    const ID: &str = "listing_record";
    let Listed { host, port, .. } = listed;
    let fix = format!("publish the record: {host}. IN TXT \"BITTORRENT UDP:{port}\"");
    let texts = match texts {
        Ok(texts) => texts,
        Err(error) => {
            return Finding::problem(ID, format!("{host}: the TXT record can't be read: {error}"), fix);
        }
    };
    let records: Vec<_> = texts.iter().filter_map(|text| Some((text, Preferences::parse(text)?))).collect();
    let problem = |what: String| Finding::problem(ID, what, &*fix);
    match &records[..] {
        [] => {
            let what = format!("{host} has no TXT record that begins with BITTORRENT (BEP 34)");
            Finding::warning(ID, what, fix)
        }
        [(text, record)] if record.udp.contains(port) => {
            Finding::ok(ID, format!("{host}: the TXT record \"{}\" has the port", text.escape_debug()))
        }
        [(text, record)] if record.deny_all() => problem(format!(
            "{host}: the TXT record \"{}\" says that there is no tracker",
            text.escape_debug()
        )),
        [(text, _)] => {
            problem(format!("{host}: the TXT record \"{}\" lacks UDP:{port}", text.escape_debug()))
        }
        several => problem(format!("{host} has {} TXT records that begin with BITTORRENT", several.len())),
    }
}

/// All addresses must be global, and answer within the time.
fn addresses_of(listed: &Listed<'_>, addresses: &[IpAddr]) -> Vec<Finding> {
    const ID: &str = "listing_address";
    let host = listed.host;
    if addresses.is_empty() {
        let fix = format!("add A and AAAA records for {host}");
        return vec![Finding::problem(ID, format!("{host} has no address"), fix)];
    }
    let special = addresses.iter().filter_map(|address| {
        let what = format!("{host}: its address {address} {}", not_global(*address)?);
        Some(Finding::problem(ID, what, format!("remove the record with {address}")))
    });
    let global = addresses.iter().filter(|address| not_global(**address).is_none());
    let asked: Vec<_> = global.take(MAX_ASKED).map(|address| (*address, listed.port).into()).collect();
    let replies = ask_all(&asked, PATIENCE);
    special.chain(replies.into_iter().map(|(address, reply)| answer(host, address, &reply))).collect()
}

fn answer(host: &str, address: SocketAddr, reply: &Result<Reply, Error>) -> Finding {
    const ID: &str = "listing_answer";
    match reply {
        Ok(Reply { interval, took }) if INTERVAL.contains(interval) => {
            let milliseconds = took.as_millis();
            Finding::ok(ID, format!("{host}: {address} answers in {milliseconds} ms, interval {interval} s"))
        }
        Ok(Reply { interval, .. }) => {
            let what =
                format!("{host}: {address} replies with an interval of {interval} s, which lists refuse");
            Finding::problem(ID, what, "announce_interval = 1800 in the configuration of that tracker")
        }
        Err(error @ Error::Refused { .. }) => {
            let what = format!(
                "{host}: {address}: {error}, for a torrent that nobody has; lists count that as down"
            );
            Finding::problem(ID, what, "serve all torrents without a key")
        }
        Err(error) => {
            let what = format!("{host}: {address}: {error}; lists count that as down");
            let fix = format!("start the tracker at {address}, or remove the record with {}", address.ip());
            Finding::problem(ID, what, fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    const LISTED: Listed<'_> = Listed { host: "tracker.example", port: 6969, dns: None };

    #[test]
    fn lists_want_intervals_from_300_to_10800_seconds() {
        let severity = |interval| configured_interval(interval).severity;
        assert_eq!(severity(299), Severity::Problem);
        assert_eq!(severity(300), Severity::Ok);
        // With a tenth more, 9819 becomes 10,800, and 9820 becomes 10,802.
        assert_eq!(severity(9819), Severity::Ok);
        assert_eq!(severity(9820), Severity::Problem);
        let address = "1.2.3.4:6969".parse().unwrap();
        let of = |interval| {
            answer("tracker.example", address, &Ok(Reply { interval, took: Duration::ZERO })).severity
        };
        assert_eq!((of(299), of(300), of(10_800), of(10_801)), {
            use Severity::{Ok, Problem};
            (Problem, Ok, Ok, Problem)
        });
    }

    #[test]
    fn the_record_must_have_the_port_and_be_the_only_one() {
        let of = |texts: &[&str]| record(&LISTED, Ok(texts.iter().map(|text| (*text).into()).collect()));
        assert_eq!(of(&["v=spf1 -all", "BITTORRENT UDP:1337 UDP:6969"]).severity, Severity::Ok);
        let missing = of(&["v=spf1 -all"]);
        assert_eq!(missing.severity, Severity::Warning);
        let fix = "publish the record: tracker.example. IN TXT \"BITTORRENT UDP:6969\"";
        assert_eq!(missing.fix.as_deref(), Some(fix));
        for (texts, expected) in [
            (&["BITTORRENT DENY ALL"][..], "says that there is no tracker"),
            (&["BITTORRENT UDP:80 TCP:6969"], "lacks UDP:6969"),
            (&["BITTORRENT UDP:6969", "BITTORRENT UDP:80"], "has 2 TXT records"),
        ] {
            let finding = of(texts);
            assert_eq!(finding.severity, Severity::Problem);
            assert!(finding.what.contains(expected), "{finding}");
        }
        assert_eq!(record(&LISTED, Err(DnsError::NoSuchName)).severity, Severity::Problem);
    }

    #[test]
    fn addresses_that_are_not_global_are_not_asked() {
        let findings = addresses_of(&LISTED, &["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()]);
        let texts: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(findings.len(), 2, "{texts:?}");
        assert!(
            texts.iter().all(|text| text.starts_with("problem") && text.contains("is private")),
            "{texts:?}"
        );
        assert_eq!(addresses_of(&LISTED, &[])[0].severity, Severity::Problem);
    }
}
