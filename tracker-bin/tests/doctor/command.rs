//! Arguments, output, exit codes, and the configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::report::Report;
use crate::running::PROGRAM;
use crate::tracker::{Tracker, config};

fn doctor(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(PROGRAM).arg("doctor").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["--listing"][..],
        &["--host", "tracker.example"],
        &["--dns", "127.0.0.1:53"],
        &["--listing", "--host", "tracker.example:0"],
        &["--listing", "--host", "two words"],
        &["--listing", "--host", "tracker.example", "--dns", "localhost"],
        &["extra"],
    ] {
        let (code, stdout, stderr) = doctor(arguments);
        assert_eq!((code, &*stdout), (Some(2), ""), "{arguments:?}: {stderr}");
    }
    assert_eq!(doctor(&["--help"]).0, Some(0));
}

#[test]
fn a_broken_configuration_is_the_only_finding() {
    let file = config("workers = 1\npeer_livetime = 5\n");
    let (code, stdout, _) = doctor(&["--config", file.path().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(stdout.starts_with("problem  configuration: "), "{stdout}");
    assert!(stdout.contains("peer_livetime") && stdout.contains("line 2"), "{stdout}");
    assert!(stdout.ends_with("\nproblems: 1, warnings: 0, ok: 0\n"), "{stdout}");
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
}

#[test]
fn a_missing_key_file_is_found_and_the_rest_is_checked() {
    let file = config("listen = [\"127.0.0.1:0\"]\nconnection_key_file = \"/nonexistent\"\n");
    let report = Report::of(&["--config", file.path().to_str().unwrap()]);
    assert_eq!(report.code, Some(1));
    let configuration = report.one("configuration");
    assert!(
        configuration.starts_with("problem: ") && configuration.contains("/nonexistent"),
        "{configuration}"
    );
    assert!(report.one("answers").contains("not running"), "{report:?}");
    assert!(report.one("open_files").starts_with("ok: "), "{report:?}");
}

#[test]
fn a_key_file_that_all_users_can_read_is_a_problem() {
    let key = config("0123456789abcdef0123456789abcdef");
    let path = key.path().to_str().unwrap();
    let file = config(&format!("listen = [\"127.0.0.1:0\"]\nconnection_key_file = {path:?}\n"));
    let with_mode = |mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        Report::of(&["--config", file.path().to_str().unwrap()])
    };
    let report = with_mode(0o644);
    assert_eq!(report.code, Some(1));
    assert!(report.one("secret_file").starts_with("problem: connection_key_file: "), "{report:?}");
    let fix = report.fix("secret_file");
    let chmod = fix.split_once(',').unwrap().0;
    assert!(Command::new("sh").args(["-c", chmod]).status().unwrap().success(), "{chmod}");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o640);
    let report = Report::of(&["--config", file.path().to_str().unwrap()]);
    assert!(report.one("secret_file").starts_with("ok: "), "{report:?}");
}

#[test]
fn too_few_open_files_are_a_problem() {
    let file = config("listen = [\"127.0.0.1:0\", \"[::1]:0\"]\nworkers = 30\n");
    let with_limit = |limit: u32| {
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", PROGRAM, "doctor", "--json", "--config"]).arg(file.path());
        Report::by(&mut command)
    };
    let report = with_limit(120);
    assert_eq!(report.code, Some(1));
    let found = report.one("open_files");
    assert!(found.starts_with("problem: only 120 open files are allowed, but 30 workers"), "{found}");
    assert!(with_limit(400).one("open_files").starts_with("ok: "));
}

#[test]
fn prints_one_line_for_each_finding_the_worst_first() {
    let key = config("0123456789abcdef0123456789abcdef");
    fs::set_permissions(key.path(), fs::Permissions::from_mode(0o666)).unwrap();
    let file = config(&format!("listen = [\"127.0.0.1:0\"]\nconnection_key_file = {:?}\n", key.path()));
    let (code, stdout, _) = doctor(&["--config", file.path().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    let lines: Vec<_> = stdout.lines().collect();
    let (sum, findings) = lines.split_last().unwrap();
    let words: Vec<_> = findings.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(
        words.is_sorted_by_key(|word| ["problem", "warning", "ok"].iter().position(|known| known == word))
    );
    let count = |severity| words.iter().filter(|word| **word == severity).count();
    let expected =
        format!("problems: {}, warnings: {}, ok: {}", count("problem"), count("warning"), count("ok"));
    assert_eq!(*sum, expected);
    assert!(count("problem") > 0 && count("ok") > 0, "{stdout}");
}

#[test]
fn a_tracker_that_answers_is_found() {
    let tracker = Tracker::start("listen = [\"127.0.0.1:0\", \"127.0.0.2:0\"]\nworkers = 2\n", 2);
    let [first, second] = tracker.addresses[..] else { panic!("{:?}", tracker.addresses) };
    let file = config(&format!("listen = [\"{first}\", \"{second}\"]\nworkers = 2\n"));
    let report = Report::of(&["--config", file.path().to_str().unwrap()]);
    let answers = report.one("answers");
    assert!(answers.starts_with("ok: ") && answers.contains(&first.to_string()), "{answers}");
    assert!(answers.contains(&second.to_string()), "{answers}");
    assert_eq!(report.all("silent_address"), [""; 0]);
    assert!(report.one("socket_drops").starts_with("ok: "), "{report:?}");
}

#[test]
fn a_tracker_that_serves_listed_torrents_only_answers_too() {
    let list = config("");
    let access = format!("access = \"listed\"\naccess_list = {:?}\n", list.path());
    let tracker = Tracker::start(&format!("listen = [\"127.0.0.1:0\"]\nworkers = 1\n{access}"), 1);
    let file = config(&format!("listen = [\"{}\"]\nworkers = 1\n{access}", tracker.addresses[0]));
    let report = Report::of(&["--config", file.path().to_str().unwrap()]);
    assert!(report.one("answers").starts_with("ok: "), "{report:?}");
}
