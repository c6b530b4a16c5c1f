//! Valid and invalid configurations.

use std::collections::BTreeSet;

use super::access::AccessTable;
use super::file::{Admin as AdminTable, File, Livesync, RENAMED};
use super::*;
use udp_tracker::Access;

#[test]
fn the_documented_default_is_the_default() {
    let (documented, default) = (Config::parse(DEFAULT_TOML).unwrap(), Config::new().unwrap());
    assert_eq!(documented.settings, default.settings);
    assert_eq!(documented.settings, Settings::default());
    assert_eq!(documented.server.listen, Some(default.server.addresses()));
    let server = ServerSettings::default();
    assert_eq!(documented.server.workers, server.workers);
    assert_eq!(documented.server.receive_buffer_bytes, server.receive_buffer_bytes);
    assert_eq!(documented.server.gather_microseconds, server.gather_microseconds);
    assert!(documented.server.livesync.is_none() && documented.warnings.is_empty());
    assert_eq!((documented.access, documented.counters_interval), (AccessSettings::default(), 0));
    assert_eq!(documented.admin.listen, default.admin.listen);
    assert_eq!(documented.log_format, default.log_format);
    assert_eq!(
        (documented.state_dir, documented.snapshot_interval),
        (default.state_dir, default.snapshot_interval)
    );
    assert_eq!((documented.user, documented.sandbox), (default.user, default.sandbox));
    let with_livesync = "[livesync]\nenabled = true\ninterface = \"192.0.2.1\"\nnodes = [\"192.0.2.2\"]\n";
    let default = Config::parse(with_livesync).unwrap().server.livesync.unwrap();
    let documented = DEFAULT_TOML.replace("enabled = false", "enabled = true");
    let documented =
        documented.replace("\n#interface", "\ninterface").replace("nodes = []", "nodes = [\"192.0.2.2\"]");
    let documented = Config::parse(&documented).unwrap().server.livesync.unwrap();
    assert_eq!(
        (documented.group, documented.port, documented.ttl, documented.unicast),
        (default.group, default.port, default.ttl, default.unicast)
    );
}

#[test]
fn without_a_ceiling_the_store_gets_half_of_the_memory() {
    let ceiling = |text: &str| {
        let config = Config::parse(text).unwrap();
        config.service(AccessRules::all()).unwrap().settings().max_store_bytes
    };
    let half = memory::half(&memory::allowed().unwrap());
    assert_eq!([ceiling(""), ceiling("max_store_bytes = 0")], [half, 0]);
    assert_eq!(ceiling("max_store_bytes = 50000000"), 50_000_000);
}

#[test]
fn every_key_is_documented() {
    // Commented-out keys count too.
    let all = DEFAULT_TOML.replace("\n#connection_key_file", "\nconnection_key_file");
    let all = all.replace("\n#max_store_bytes", "\nmax_store_bytes");
    let all = all.replace("\n#interface", "\ninterface").replace("\n#key_file", "\nkey_file");
    Config::parse(&all).unwrap();
    let table = toml::from_str::<toml::Table>(&all).unwrap();
    let keys = |table: &toml::Table| table.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&table), fields::<File>());
    assert_eq!(keys(table["livesync"].as_table().unwrap()), fields::<Livesync>());
    assert_eq!(keys(table["admin"].as_table().unwrap()), fields::<AdminTable>());
    assert_eq!(keys(table["access"].as_table().unwrap()), fields::<AccessTable>());
}

/// The keys of a table, without old names.
fn fields<'de, T: serde::Deserialize<'de>>() -> BTreeSet<String> {
    let mut fields: &[&str] = &[];
    let _ = T::deserialize(Fields(&mut fields));
    let is_old = |field: &str| RENAMED.iter().any(|(old, _)| *old == field);
    fields.iter().filter(|field| !is_old(field)).map(|field| (*field).to_owned()).collect()
}

/// A deserializer that gives no values, but records the fields that a structure has.
struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> serde::Deserializer<'de> for Fields<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("no values"))
    }

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[test]
fn old_names_of_keys_work_with_a_warning() {
    let config = Config::parse("max_reply_octets = 500\nreceive_buffer_octets = 1000\n").unwrap();
    assert_eq!((config.settings.max_reply_bytes, config.server.receive_buffer_bytes), (500, 1000));
    assert_eq!(
        config.warnings,
        [
            "max_reply_octets is called max_reply_bytes now; the old name still works",
            "receive_buffer_octets is called receive_buffer_bytes now; the old name still works"
        ]
    );
    let error = refused("workers = 1\nmax_reply_octets = 37");
    assert!(error.starts_with("line 2: max_reply_bytes: 37"), "{error}");
    let error = refused("max_reply_octets = 500\nmax_reply_bytes = 500");
    assert!(error.contains("duplicate"), "{error}");
}

#[test]
fn the_old_keys_of_access_work_with_a_warning() {
    let list = Some(PathBuf::from("/a/list"));
    for (text, mode, warnings) in [
        ("access = \"listed\"\naccess_list = \"/a/list\"", Access::Listed, 2),
        ("access = \"unlisted\"\naccess_list = \"/a/list\"", Access::Unlisted, 2),
        ("access_list = \"/a/list\"\n[access]\ntorrents = \"listed\"", Access::Listed, 1),
        ("[access]\ntorrents = \"listed\"\ntorrent_list = \"/a/list\"", Access::Listed, 0),
    ] {
        let config = Config::parse(text).unwrap();
        let expected = AccessSettings { mode, torrent_list: list.clone(), ..AccessSettings::default() };
        assert_eq!((config.access, config.warnings.len()), (expected, warnings), "{text}");
    }
    let config = Config::parse("access = \"all\"\naccess_list = \"/a/list\"").unwrap();
    assert_eq!(config.access.mode, Access::All);
    assert_eq!(
        config.warnings,
        [
            "access_list is called access.torrent_list now; the old name still works",
            "access = \"all\" is torrents = \"all\" in the table [access] now; the old form still works",
        ]
    );
}

#[test]
fn rejects_errors_in_access_with_key_and_line() {
    for (text, expected) in [
        ("[access]\n\ntorrents = \"listed\"", "line 3: access.torrents: needs torrent_list, a file"),
        (
            "access_list = \"a\"\n[access]\ntorrent_list = \"b\"",
            "line 1: access_list: access.torrent_list, which",
        ),
    ] {
        let error = refused(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    for (text, line, words) in [
        ("workers = 1\naccess = \"some\"", "line 2", ["some", "`listed`"]),
        ("workers = 1\naccess = 5", "line 2", ["integer `5`", "a table [access]"]),
        ("\n[access]\ntorrents = \"some\"", "line 3", ["some", "`unlisted`"]),
        ("[access]\ntorrent_lists = \"a\"", "line 2", ["access.torrent_lists", "is it access.torrent_list?"]),
        ("[access]\nkey_list = 7", "line 2", ["key_list", "string"]),
    ] {
        let error = refused(text);
        assert!(error.contains(line) && words.iter().all(|word| error.contains(word)), "{text}: {error}");
    }
}

fn refused(text: &str) -> String {
    Config::parse(text).unwrap_err().to_string()
}

#[test]
fn rejects_unknown_keys_and_types_with_key_and_line() {
    let error = refused("workers = 1\nanounce_interval = 5\n");
    assert_eq!(error, "line 2, column 1: there is no key anounce_interval; is it announce_interval?");
    let error = refused("workers = \"two\"");
    assert!(error.contains("line 1") && error.contains("workers"), "{error}");
    let error = refused("listen = [\"localhost\"]");
    assert!(error.contains("line 1") && error.contains("listen"), "{error}");
    let error = refused("\ntrusted_ip_sources = [\"10.0.0.0/33\"]");
    assert!(error.contains("line 2") && error.contains("trusted_ip_sources"), "{error}");
    let error = refused("access = \"some\"");
    assert!(error.contains("`listed`"), "{error}");
    let error = refused("workers = -1");
    assert!(error.contains("line 1"), "{error}");
    let error = refused("\n[livesync]\nnode = []");
    assert!(error.contains("line 3") && error.contains("is it livesync.nodes?"), "{error}");
    let error = refused("[livesync]\nnodes = [\"192.0.2.1\", \"tracker.example\"]");
    assert!(error.contains("line 2") && error.contains("IP address"), "{error}");
    let error = refused("[livesync]\ngroup = \"ff02::1\"");
    assert!(error.contains("line 2") && error.contains("an IPv4 multicast group, such as"), "{error}");
}

#[test]
fn rejects_values_of_a_wrong_form_with_an_example_of_the_right_one() {
    let number = "a whole number, 0 or more, such as 60";
    let listen = "an IP address and a port, such as \"0.0.0.0:6969\" or \"[::]:6969\"";
    let address = "an IP address, such as \"192.0.2.1\"";
    for (text, expected) in [
        ("workers = \"two\"", number),
        ("workers = -1", number),
        ("max_peers = 1.5", number),
        ("announce_interval = 4294967296", number),
        ("listen = [\"localhost\"]", listen),
        ("listen = [\"127.0.0.1\"]", listen),
        ("listen = [6969]", listen),
        ("trusted_ip_sources = [\"10.0.0.0/33\"]", "a network, such as \"192.0.2.0/24\""),
        ("livesync.port = 65536", "a port, 1 to 65535, such as 9696"),
        ("livesync.interface = \"eth0\"", address),
        ("livesync.nodes = [\"tracker.example\"]", address),
        ("livesync.group = \"all\"", "an IPv4 multicast group, such as \"224.0.42.5\""),
    ] {
        let error = refused(text);
        assert!(error.contains(&format!("expected {expected}")), "{text}: {error}");
        assert!(!error.contains("usize") && !error.contains("syntax"), "{text}: {error}");
    }
}

#[test]
fn accepts_the_example_with_two_nodes() {
    let example = DEFAULT_TOML.split_once("# Two nodes").unwrap().1;
    let lines = |text: &str| -> String {
        text.lines().filter_map(|line| line.strip_prefix("#   ")).map(|line| format!("{line}\n")).collect()
    };
    let (one_network, two_networks) = example.split_once("# and on").unwrap();
    let first = lines(one_network);
    let config = Config::parse(&first).unwrap().server.livesync.unwrap();
    assert!(config.group.is_some() && config.nodes.len() == 2, "{config:?}");
    let config = Config::parse(&(first + &lines(two_networks))).unwrap();
    assert!(config.livesync_key_file.is_some());
    let config = config.server.livesync.unwrap();
    assert!(config.group.is_none() && config.unicast.len() == 2, "{config:?}");
}

#[test]
fn accepts_the_configurations_of_the_readme() {
    let blocks = include_str!("../../README.md").split("```toml\n").skip(1);
    let blocks = blocks.map(|block| block.split_once("```").unwrap().0);
    let (livesync, others): (Vec<_>, Vec<_>) =
        blocks.partition(|block| block.starts_with("[livesync]") || block.starts_with("group = "));
    for text in others {
        Config::parse(text).unwrap();
    }
    let [one_network, two_networks, opentracker] = livesync[..] else { panic!("{livesync:?}") };
    for text in [one_network, &format!("{one_network}{two_networks}"), opentracker] {
        assert!(Config::parse(text).unwrap().server.livesync.is_some(), "{text}");
    }
}

#[test]
fn rejects_livesync_without_required_keys() {
    let with = |lines: &str| {
        let text = format!("[livesync]\nenabled = true\n{lines}");
        Config::parse(&text).map_or_else(|error| error.to_string(), |_| String::new())
    };
    let good = "interface = \"192.0.2.1\"\nnodes = [\"192.0.2.2\"]\n";
    assert_eq!(with(good), "");
    for (lines, expected) in [
        ("", "line 1: livesync.interface: the address of this machine expected, as in"),
        ("interface = \"0.0.0.0\"", "line 3: livesync.interface: 0.0.0.0 is not the address of one"),
        ("interface = \"192.0.2.1\"", "line 1: livesync.nodes: the addresses of the other nodes expected"),
        ("interface = \"2001:db8::1\"", "line 1: livesync.group: an IPv6 interface cannot join"),
        ("interface = \"192.0.2.1\"\ngroup = \"\"", "line 1: livesync.unicast: without a group"),
    ] {
        let error = with(lines);
        assert!(error.starts_with(expected), "{lines}: {error}");
    }
    for (line, expected) in [
        ("port = 0", "line 5: livesync.port: 0 is out of range: 1 to 65535"),
        ("ttl = 256", "line 5: livesync.ttl: 256 is out of range: 1 to 255"),
        ("group = \"192.0.2.9\"", "line 5: livesync.group: 192.0.2.9 is not a multicast group"),
        ("unicast = [\"there\"]", "line 5: livesync.unicast: \"there\": host:port expected"),
        ("unicast = [\"a:1\", \"b:0\"]", "line 5: livesync.unicast: \"b:0\": host:port expected"),
        ("unicast = [\":1\"]", "line 5: livesync.unicast: \":1\": host:port expected"),
        ("unicast = [\"[::1]:9\"]", "line 5: livesync.unicast: \"[::1]:9\": an address of the same family"),
    ] {
        let error = with(&format!("{good}{line}"));
        assert!(error.starts_with(expected), "{line}: {error}");
    }
    let short = "announce_interval = 30\npeer_lifetime = 59\n[livesync]\nenabled = true\n";
    let error = refused(&format!("{short}{good}"));
    assert!(
        error.starts_with("line 2: peer_lifetime: peers of other trackers arrive up to 15 s late"),
        "{error}"
    );
    assert!(error.ends_with("at least 60 expected with livesync"), "{error}");
    // The table written in another form.
    let error = refused("workers = 1\nlivesync.ttl = 0");
    assert!(error.starts_with("line 2: livesync.ttl: 0 is out of range"), "{error}");
    let error = refused("\nlivesync = { port = 1, ttl = 0 }");
    assert!(error.starts_with("line 2: livesync.ttl: 0 is out of range"), "{error}");
}

#[test]
fn rejects_invalid_values_with_key_line_and_expectation() {
    for (text, expected) in [
        ("listen = []", "line 1: listen: at least one"),
        ("\nworkers = 5000", "line 2: workers: 5000 is out of range: 0 to 1024"),
        ("announce_interval = 2", "line 1: announce_interval: 2 is out of range: 3"),
        ("# x\npeer_lifetime = 1980", "line 2: peer_lifetime: peers would expire"),
        ("\n\n  announce_interval = 2700", "line 3: peer_lifetime: peers would expire"),
        ("listen = [\"127.0.0.1:5\", \"127.0.0.1:5\"]", "line 1: listen: 127.0.0.1:5 is listed twice"),
        ("connection_id_lifetime = 0", "line 1: connection_id_lifetime: 0 is out of range"),
        (
            "connection_id_ipv6_prefix = 24",
            "line 1: connection_id_ipv6_prefix: 24 is out of range: 32 to 128 expected",
        ),
        ("max_peers = 0", "line 1: max_peers: 0"),
        ("max_peers = 10", "line 1: default_peers: 50 is out of range: at most max_peers = 10"),
        ("max_reply_bytes = 37", "line 1: max_reply_bytes: 37"),
        ("gather_microseconds = 100001", "line 1: gather_microseconds: 100001 is out of range: 0 to 100000"),
        ("access = \"listed\"", "line 1: access: needs access_list"),
        ("max_stored_peers = 0", "line 1: max_stored_peers: 0"),
        ("max_store_bytes = 5", "line 1: max_store_bytes: 5 is out of range: 16777216"),
        ("\nsnapshot_interval = 86401", "line 2: snapshot_interval: 86401 is out of range: 0 to 86400"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}
