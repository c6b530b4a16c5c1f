//! Rules of the firewall that exempt a port from connection tracking.

use std::process::{Command, Stdio};

use serde_json::Value;

/// The rules of nftables, and those of iptables, which nft prints only in part.
pub(super) struct Rules {
    /// The JSON that `nft -j list ruleset` prints.
    nft: Option<Value>,
    /// What `iptables-save` and `ip6tables-save` print.
    iptables: [Option<String>; 2],
}

/// What rules exempt of the datagrams of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exempt {
    pub(super) requests: bool,
    pub(super) replies: bool,
}

/// A way of datagrams through the kernel, with the names that it has in rules.
#[derive(Clone, Copy)]
struct Way {
    hook: &'static str,
    /// The field with the tracker's port, and those with the client's port and address.
    ours: &'static str,
    theirs: &'static str,
    client: &'static str,
    /// The client's address in rules of iptables.
    client_flag: &'static str,
}

const REQUESTS: Way =
    Way { hook: "prerouting", ours: "dport", theirs: "sport", client: "saddr", client_flag: "-s" };
const REPLIES: Way =
    Way { hook: "output", ours: "sport", theirs: "dport", client: "daddr", client_flag: "-d" };

impl Rules {
    /// Asks nft and iptables-save. `None` if neither is there, or if this user may not.
    pub(super) fn read() -> Option<Self> {
        let nft = output("nft", &["--json", "list", "ruleset"]);
        let nft = nft.and_then(|text| serde_json::from_str(&text).ok());
        let save = |program| output(program, &["-t", "raw"]);
        let rules = Self { nft, iptables: [save("iptables-save"), save("ip6tables-save")] };
        (rules.nft.is_some() || rules.iptables.iter().any(Option::is_some)).then_some(rules)
    }

    pub(super) fn exempt(&self, port: u16, is_ipv4: bool) -> Exempt {
        let exempts = |way| {
            let [v4, v6] = &self.iptables;
            let iptables = if is_ipv4 { v4 } else { v6 };
            self.nft.as_ref().is_some_and(|rules| nft_exempts(rules, port, is_ipv4, way))
                || iptables.as_ref().is_some_and(|rules| iptables_exempts(rules, port, way))
        };
        Exempt { requests: exempts(REQUESTS), replies: exempts(REPLIES) }
    }
}

/// What a program prints, if it exists and succeeds. Administrators' programs may be outside of a user's path.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let folders = ["", "/usr/sbin/", "/sbin/"].iter();
    let mut runs = folders.map(|folder| {
        Command::new(format!("{folder}{program}")).args(arguments).stderr(Stdio::null()).output()
    });
    let output = runs.find_map(Result::ok)?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Looks for a rule with `notrack` in a chain of the hook. Rules in chains that others jump to are not found.
fn nft_exempts(rules: &Value, port: u16, is_ipv4: bool, way: Way) -> bool {
    let objects = || rules["nftables"].as_array().into_iter().flatten();
    let families = if is_ipv4 { ["inet", "ip"] } else { ["inet", "ip6"] };
    let of_family =
        |object: &Value| object["family"].as_str().is_some_and(|family| families.contains(&family));
    let chains = || objects().map(|object| &object["chain"]).filter(|chain| chain["hook"] == way.hook);
    objects().map(|object| &object["rule"]).filter(|rule| of_family(rule)).any(|rule| {
        let in_hook = chains().any(|chain| {
            chain["family"] == rule["family"]
                && chain["table"] == rule["table"]
                && chain["name"] == rule["chain"]
        });
        let parts = || rule["expr"].as_array().into_iter().flatten();
        let has_notrack = parts().any(|part| part.get("notrack").is_some());
        in_hook && has_notrack && parts().all(|part| !excludes(part, port, way))
    })
}

/// Whether a part of a rule is a comparison that the way's datagrams can fail.
fn excludes(part: &Value, port: u16, way: Way) -> bool {
    let Some(comparison) = part.get("match") else { return false };
    let field = comparison["left"]["payload"]["field"].as_str();
    let right = &comparison["right"];
    match field {
        Some(field) if field == way.ours => !(comparison["op"] == "==" && contains(right, port)),
        Some(field) if field == way.theirs || field == way.client => true,
        // The protocol. Other comparisons, such as with an interface or with the machine's own address, are taken as
        // true for the tracker's datagrams.
        _ => comparison["left"]["meta"]["key"] == "l4proto" && right.is_string() && right != "udp",
    }
}

/// Whether a port is in a number, a range or a set of these.
fn contains(value: &Value, port: u16) -> bool {
    let range = value["range"].as_array().map(|ends| (ends.first(), ends.get(1)));
    if let Some((Some(first), Some(last))) = range {
        let bounds = (first.as_u64(), last.as_u64());
        return matches!(bounds, (Some(first), Some(last)) if (first..=last).contains(&port.into()));
    }
    match value["set"].as_array() {
        Some(set) => set.iter().any(|member| contains(member, port)),
        None => value.as_u64() == Some(port.into()),
    }
}

/// Looks for `-A PREROUTING .. --dport 6969 .. -j CT --notrack`.
fn iptables_exempts(rules: &str, port: u16, way: Way) -> bool {
    rules.lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let after = |flag: &str| words.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1]);
        let is_exempt = after("-j") == Some("NOTRACK") || words.contains(&"--notrack");
        let [one, several, other] =
            [format!("--{}", way.ours), format!("--{}s", way.ours), format!("--{}", way.theirs)];
        let ports = after(&one).or_else(|| after(&several));
        words.first() == Some(&"-A")
            && words.get(1).is_some_and(|chain| chain.eq_ignore_ascii_case(way.hook))
            && is_exempt
            && after("-p").is_none_or(|protocol| protocol == "udp")
            && !words.iter().any(|word| ["!", way.client_flag].contains(word) || word.starts_with(&other))
            && ports.is_none_or(|ports| ports.split(',').any(|range| in_range(range, port)))
    })
}

/// `6969`, or `6969:6971`.
fn in_range(text: &str, port: u16) -> bool {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// One rule in the same form, with this value as the port.
    fn nft(family: &str, hook: &str, field: &str, port: &Value) -> Value {
        json!({"nftables": [
            {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
            {"table": {"family": family, "name": "t", "handle": 1}},
            {"chain": {"family": family, "table": "t", "name": "c", "handle": 1, "type": "filter", "hook": hook,
                       "prio": -300, "policy": "accept"}},
            {"rule": {"family": family, "table": "t", "chain": "c", "handle": 2, "expr": [
                {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": field}}, "right": port}},
                {"notrack": null}]}},
        ]})
    }

    /// Printed by nftables 1.0.6.
    const PRINTED: &str = r#"{"nftables": [
        {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": "tracker_notrack", "handle": 1}},
        {"chain": {"family": "inet", "table": "tracker_notrack", "name": "requests", "handle": 1, "type": "filter",
         "hook": "prerouting", "prio": -300, "policy": "accept"}},
        {"chain": {"family": "inet", "table": "tracker_notrack", "name": "replies", "handle": 2, "type": "filter",
         "hook": "output", "prio": -300, "policy": "accept"}},
        {"rule": {"family": "inet", "table": "tracker_notrack", "chain": "requests", "handle": 3, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 6969}},
            {"notrack": null}]}},
        {"rule": {"family": "inet", "table": "tracker_notrack", "chain": "requests", "handle": 6, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}},
             "right": {"range": [1, 7]}}},
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "1.2.3.4"}},
            {"notrack": null}]}},
        {"rule": {"family": "inet", "table": "tracker_notrack", "chain": "replies", "handle": 5, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "sport"}},
             "right": {"set": [80, {"range": [90, 99]}, 6969]}}},
            {"notrack": null}]}}]}"#;

    #[test]
    fn understands_what_nft_prints() {
        let rules = Rules { nft: Some(serde_json::from_str(PRINTED).unwrap()), iptables: [None, None] };
        let of = |port| {
            let Exempt { requests, replies } = rules.exempt(port, true);
            (requests, replies)
        };
        assert_eq!(of(6969), (true, true));
        assert_eq!((of(80), of(95)), ((false, true), (false, true)));
        // For one client only.
        assert_eq!(of(5), (false, false));
    }

    #[test]
    fn finds_ports_ranges_and_sets_in_nft_rules() {
        let exempts = |port: &Value| {
            let rules = Rules { nft: Some(nft("inet", "prerouting", "dport", port)), iptables: [None, None] };
            rules.exempt(6969, true).requests
        };
        assert!(exempts(&json!(6969)));
        assert!(exempts(&json!({"range": [6900, 7000]})));
        assert!(exempts(&json!({"set": [80, 6969]})));
        assert!(exempts(&json!({"set": [80, {"range": [6969, 6970]}]})));
        assert!(!exempts(&json!(80)));
        assert!(!exempts(&json!({"range": [1, 1000]})));
        assert!(!exempts(&json!("@ports")));
    }

    #[test]
    fn distinguishes_directions_and_families_in_nft_rules() {
        let exempt = |family, hook, field, is_ipv4| {
            let rules = Rules { nft: Some(nft(family, hook, field, &json!(6969))), iptables: [None, None] };
            let Exempt { requests, replies } = rules.exempt(6969, is_ipv4);
            (requests, replies)
        };
        assert_eq!(exempt("inet", "prerouting", "dport", false), (true, false));
        assert_eq!(exempt("inet", "output", "sport", true), (false, true));
        assert_eq!(exempt("ip", "prerouting", "dport", true), (true, false));
        assert_eq!(exempt("ip", "prerouting", "dport", false), (false, false));
        assert_eq!(exempt("ip6", "prerouting", "dport", true), (false, false));
        assert_eq!(exempt("inet", "prerouting", "sport", true), (false, false));
        assert_eq!(exempt("inet", "input", "dport", true), (false, false));
    }

    /// Printed by iptables-save 1.8.9.
    const SAVED: &str = "*raw\n\
        :PREROUTING ACCEPT [0:0]\n\
        :OUTPUT ACCEPT [0:0]\n\
        -A PREROUTING -p udp -m udp --dport 6969 -j CT --notrack\n\
        -A PREROUTING -p udp -m multiport --dports 80,1000:1010 -j CT --notrack\n\
        -A PREROUTING -s 1.2.3.4/32 -p udp -m udp --dport 7 -j CT --notrack\n\
        -A OUTPUT -p udp -m udp --sport 6969 -j NOTRACK\n\
        COMMIT\n";

    #[test]
    fn understands_what_iptables_save_prints() {
        let exempt = |text: &str, port| {
            let rules = Rules { nft: None, iptables: [Some(text.into()), None] };
            assert_eq!(rules.exempt(port, false), Exempt { requests: false, replies: false });
            let Exempt { requests, replies } = rules.exempt(port, true);
            (requests, replies)
        };
        assert_eq!(exempt(SAVED, 6969), (true, true));
        assert_eq!((exempt(SAVED, 80), exempt(SAVED, 1005)), ((true, false), (true, false)));
        assert_eq!(exempt(SAVED, 81), (false, false));
        // For one client only.
        assert_eq!(exempt(SAVED, 7), (false, false));
        assert_eq!(exempt("-A PREROUTING -p tcp -m tcp --dport 6969 -j CT --notrack", 6969), (false, false));
        assert_eq!(exempt("-A PREROUTING -p udp -m udp --dport 6969 -j ACCEPT", 6969), (false, false));
        assert_eq!(exempt("-A PREROUTING -p udp -m udp ! --dport 80 -j CT --notrack", 6969), (false, false));
        assert_eq!(exempt("-A PREROUTING -j CT --notrack", 6969), (true, false));
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_trouble(
            text in ".{0,200}",
            words in "(-A PREROUTING|-j|CT|--notrack|--dport|[0-9: \n]){0,40}",
        ) {
            iptables_exempts(&text, 6969, REQUESTS);
            iptables_exempts(&words, 6969, REPLIES);
        }
    }
}
