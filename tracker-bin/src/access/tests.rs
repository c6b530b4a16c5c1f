//! The files of the access rules, read and changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use udp_tracker::{Access, InfoHash, RuleDetails};

use super::*;

const HASH: &str = "e5d5fdac66b48270c93842b333061ea4dd7233e9";
const UNIX: u64 = 1_800_000_000;

/// Four empty lists in a directory.
struct Lists {
    dir: TempDir,
    files: AccessFiles,
}

impl Lists {
    fn new(mode: Access) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(mode, dir.path());
        for path in
            [&settings.torrent_list, &settings.network_list, &settings.client_list, &settings.key_list]
        {
            fs::write(path.as_ref().unwrap(), "").unwrap();
        }
        let mut files = AccessFiles::new(settings);
        files.load().unwrap();
        Self { dir, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn put(&mut self, entry: &str) -> Result<AccessRules, AccessError> {
        self.files.put(&entry.parse().unwrap(), &RuleDetails::default())
    }

    fn remove(&mut self, entry: &str) -> Result<AccessRules, AccessError> {
        self.files.remove(&entry.parse().unwrap())
    }
}

fn settings(mode: Access, dir: &Path) -> AccessSettings {
    let path = |name| Some(dir.join(name));
    AccessSettings {
        mode,
        torrent_list: path("torrents"),
        network_list: path("networks"),
        client_list: path("clients"),
        key_list: path("keys"),
    }
}

fn details(reason: &str) -> RuleDetails {
    let mut details = RuleDetails::default();
    details.reason = Some(reason.into());
    details
}

fn entries(rules: &AccessRules) -> BTreeMap<String, Option<String>> {
    list(rules, 0).map(|listed| (listed.entry.to_string(), listed.reason.map(str::to_owned))).collect()
}

#[test]
fn an_edit_is_in_the_file_and_in_the_rules() {
    let mut lists = Lists::new(Access::Unlisted);
    lists.write("networks", "# floods\n198.51.100.0/24 # one\n");
    lists.files.load().unwrap();
    let mut given = details("flood");
    (given.until, given.by) = (Some(1_798_761_600), Some("J. Doe".into()));
    lists.files.put(&"192.0.2.7/24".parse().unwrap(), &given).unwrap();
    lists.files.put(&HASH.parse().unwrap(), &details("gone")).unwrap();
    lists.put("client:-XX").unwrap();
    let rules = lists.put("key:s3cret").unwrap();
    assert_eq!(
        lists.text("networks"),
        "# floods\n198.51.100.0/24 # one\n192.0.2.0/24 until=2026-12-31 by=\"J. Doe\" # flood\n"
    );
    assert_eq!(lists.text("torrents"), format!("{HASH} # gone\n"));
    assert_eq!((lists.text("clients"), lists.text("keys")), ("-XX\n".into(), "s3cret\n".into()));
    assert_eq!(
        entries(&rules),
        entries(&AccessFiles::new(settings(Access::Unlisted, lists.dir.path())).load().unwrap())
    );
    assert_eq!(entries(&rules).len(), 5);
    for skipped in 0..7 {
        assert!(list(&rules, skipped).eq(list(&rules, 0).skip(skipped)), "{skipped}");
    }
    assert_eq!(summary(&rules), "1 torrent, 2 networks, 1 client, 1 passkey");

    for (entry, name) in
        [("192.0.2.0/24", "networks"), (HASH, "torrents"), ("client:-XX", "clients"), ("key:s3cret", "keys")]
    {
        let rules = lists.remove(entry).unwrap();
        assert!(!entries(&rules).contains_key(entry));
        assert!(!lists.text(name).contains(entry.rsplit(':').next().unwrap()));
    }
    assert_eq!(lists.text("networks"), "# floods\n198.51.100.0/24 # one\n");
}

#[test]
fn an_edit_keeps_what_a_person_has_edited_since() {
    let mut lists = Lists::new(Access::Unlisted);
    lists.put("192.0.2.0/24").unwrap();
    lists.write("networks", "# mine\n2001:db8::/32 # by hand\n");
    let rules = lists.put("198.51.100.0/24").unwrap();
    assert_eq!(lists.text("networks"), "# mine\n2001:db8::/32 # by hand\n198.51.100.0/24\n");
    let networks: Vec<_> = entries(&rules).into_keys().collect();
    assert_eq!(networks, ["198.51.100.0/24", "2001:db8::/32"]);
    // Other lists are not read again.
    lists.write("clients", "rubbish is here\n");
    lists.put("203.0.113.0/24").unwrap();
}

#[test]
fn a_broken_file_changes_nothing() {
    let mut lists = Lists::new(Access::Unlisted);
    let before = entries(&lists.put("192.0.2.0/24").unwrap());
    let broken = "198.51.100.0/24\nrubbish\n";
    lists.write("networks", broken);
    lists.write("torrents", &format!("{HASH}\n"));
    for error in [lists.files.load().unwrap_err(), lists.put("203.0.113.0/24").unwrap_err()] {
        let expected =
            format!("{}, line 2: \"rubbish\": a network such as", lists.path("networks").display());
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    assert_eq!(lists.text("networks"), broken);
    lists.write("networks", "192.0.2.0/24\n");
    lists.write("torrents", "");
    assert_eq!(entries(&lists.files.load().unwrap()), before);
}

#[test]
fn edits_and_reloads_keep_hits() {
    let mut lists = Lists::new(Access::Unlisted);
    let address: std::net::IpAddr = "192.0.2.1".parse().unwrap();
    let rules = lists.put("192.0.2.0/24").unwrap();
    let service = udp_tracker::Service::new(udp_tracker::Settings::default()).unwrap().with_access(rules);
    let service = std::sync::Arc::new(service);
    let mut handler = udp_tracker::Handler::new(std::sync::Arc::clone(&service));
    let mut hit = || assert_eq!(handler.handle(UNIX, (address, 1).into(), &[], &mut [0; 1232]), 0);
    let hits = |rules: &AccessRules| {
        let entry = list(rules, 0).find(|listed| listed.entry.to_string() == "192.0.2.0/24").unwrap();
        (entry.hits, entry.last_hit)
    };
    hit();
    service.set_access(lists.put("198.51.100.0/24").unwrap());
    hit();
    service.set_access(lists.files.load().unwrap());
    hit();
    assert_eq!(hits(&service.access()), (3, Some(UNIX)));
    service.set_access(lists.files.put(&"192.0.2.0/24".parse().unwrap(), &details("flood")).unwrap());
    hit();
    assert_eq!(hits(&service.access()), (4, Some(UNIX)));
}

#[test]
fn deny_and_allow_mean_the_same_in_each_mode() {
    let torrent: InfoHash = HASH.parse().unwrap();
    for mode in [Access::Listed, Access::Unlisted] {
        let mut lists = Lists::new(mode);
        let entry = Entry::Torrent(torrent);
        let (first, second): (bool, bool) = match mode {
            Access::Listed => (true, false),
            _ => (false, true),
        };
        let mut change = |allow: bool| {
            let files = &mut lists.files;
            let none = RuleDetails::default();
            let rules = if allow { files.allow(&entry, &none) } else { files.deny(&entry, &none) };
            rules.unwrap().serves(&torrent, UNIX)
        };
        assert_eq!((change(first), change(second)), (first, second), "{mode:?}");
    }
    let mut lists = Lists::new(Access::All);
    for entry in ["192.0.2.0/24", "client:-XX"] {
        let entry = entry.parse().unwrap();
        assert!(entries(&lists.files.deny(&entry, &details("x")).unwrap()).contains_key(&entry.to_string()));
        assert!(entries(&lists.files.allow(&entry, &details("x")).unwrap()).is_empty());
    }
    let key = "key:k".parse().unwrap();
    assert_eq!(entries(&lists.files.allow(&key, &RuleDetails::default()).unwrap()).len(), 1);
    let rules = lists.files.deny(&key, &RuleDetails::default()).unwrap();
    assert!(rules.keys.is_some_and(|keys| keys.is_empty()), "a list without passkeys lets nobody in");
}

#[test]
fn an_edit_that_is_not_possible_says_what_to_do() {
    let mut lists = Lists::new(Access::All);
    let error = lists.put(HASH).unwrap_err().to_string();
    assert!(error.contains("set access.torrents to \"unlisted\" to deny some"), "{error}");
    let mut without = AccessFiles::new(AccessSettings::default());
    let error = without.put(&"192.0.2.0/24".parse().unwrap(), &details("")).unwrap_err().to_string();
    assert!(error.contains("set access.network_list to the path of a file"), "{error}");
    lists.put("192.0.0.0/16").unwrap();
    lists.put("192.0.2.0/24").unwrap();
    let error = lists.remove("192.0.2.7").unwrap_err().to_string();
    assert!(error.starts_with("192.0.2.7/32 is not in "), "{error}");
    assert!(error.ends_with("networks, but 192.0.2.0/24, which contains it, is"), "{error}");
    let error = lists.files.put(&"client:-".parse().unwrap(), &details(&"x".repeat(401))).unwrap_err();
    assert_eq!(error.to_string(), "the reason has 401 bytes: at most 400 expected");
    let missing =
        AccessSettings { client_list: Some("/nonexistent/list".into()), ..AccessSettings::default() };
    let error = AccessFiles::new(missing).load().unwrap_err().to_string();
    assert!(error.starts_with("cannot read the access list /nonexistent/list: "), "{error}");
}

#[test]
fn a_new_configuration_is_taken_as_a_whole_or_not_at_all() {
    let mut lists = Lists::new(Access::Unlisted);
    lists.put(HASH).unwrap();
    let missing = AccessSettings {
        client_list: Some("/nonexistent/list".into()),
        ..settings(Access::Listed, lists.dir.path())
    };
    lists.files.load_with(missing).unwrap_err();
    let torrent = HASH.parse().unwrap();
    assert!(!lists.put("192.0.2.0/24").unwrap().serves(&torrent, UNIX), "unlisted, as before");
    let rules = lists.files.load_with(settings(Access::Listed, lists.dir.path())).unwrap();
    assert!(rules.serves(&torrent, UNIX) && rules.networks.len() == 1);
}

#[test]
fn a_list_of_a_million_loads_and_takes_an_edit() {
    const MANY: u32 = 1_000_000;
    let mut lists = Lists::new(Access::Unlisted);
    let mut text = String::new();
    for number in 0..MANY {
        writeln!(text, "{number:040x}").unwrap();
    }
    lists.write("torrents", &text);
    let rules = lists.files.load().unwrap();
    assert_eq!((rules.torrents.len(), list(&rules, 0).count()), (1_000_000, 1_000_000));
    let rules = lists.put(HASH).unwrap();
    assert_eq!(rules.torrents.len(), 1_000_001);
    assert_eq!(lists.text("torrents").lines().count(), 1_000_001);
}

const KILL_TEST_DIR: &str = "ACCESS_KILL_TEST_DIR";

/// Starts itself as the process that edits and is killed.
#[test]
fn kill_9_in_the_midst_of_edits_leaves_every_reported_edit_and_no_half_one() {
    if let Some(dir) = std::env::var_os(KILL_TEST_DIR) {
        return edit_without_end(Path::new(&dir));
    }
    let lists = Lists::new(Access::Unlisted);
    let mut number = 0;
    for round in 1..=20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "access::tests::kill_9_in_the_midst_of_edits_leaves_every_reported_edit_and_no_half_one",
            ])
            .env(KILL_TEST_DIR, lists.dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let reports = lines
            .by_ref()
            .filter_map(|line| line.strip_prefix("put ").map(|number| number.parse::<u32>().unwrap()));
        number = reports.take(round).last().expect("it reports edits");
        child.kill().unwrap();
        child.wait().unwrap();
        // What it has reported before it ended.
        let rest =
            lines.filter_map(|line| line.strip_prefix("put ").and_then(|number| number.parse::<u32>().ok()));
        number = rest.last().unwrap_or(number);

        let text = lists.text("networks");
        let written: Vec<_> = text.lines().collect();
        let expected: Vec<_> = (1..=number + 1).map(numbered_line).collect();
        let len = written.len();
        assert!(len == number as usize || len == number as usize + 1, "{len} lines after put {number}");
        assert_eq!(written, expected[..len]);
        assert!(text.ends_with('\n'));
        number = u32::try_from(len).unwrap();
    }
    assert!(number >= 210);
}

fn numbered(number: u32) -> Entry {
    format!("2001:db8:{number:x}::/48").parse().unwrap()
}

fn numbered_line(number: u32) -> String {
    format!("{} # edit {number}", numbered(number))
}

/// Adds numbered entries to the list, from the first that is missing.
fn edit_without_end(dir: &Path) {
    let mut files = AccessFiles::new(settings(Access::Unlisted, dir));
    let mut number = u32::try_from(files.load().unwrap().networks.len()).unwrap();
    loop {
        number += 1;
        files.put(&numbered(number), &details(&format!("edit {number}"))).unwrap();
        println!("put {number}");
    }
}
