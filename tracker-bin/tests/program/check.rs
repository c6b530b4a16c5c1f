//! `tracker-bin check` and `config`.

use std::io::Write;

use crate::running::{run, text};

#[test]
fn check_accepts_the_printed_configuration() {
    let printed = run(&["config"]);
    assert_eq!(printed.status.code(), Some(0));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&printed.stdout).unwrap();
    let checked = run(&["check", file.path().to_str().unwrap()]);
    assert_eq!((checked.status.code(), text(&checked.stderr)), (Some(0), ""));
    assert!(text(&checked.stdout).ends_with("nothing wrong\n"));
}

#[test]
fn check_reports_the_file_line_and_key() {
    let check = |content: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        assert_eq!(run(&["--config", &path]).status.code(), Some(1));
        let checked = run(&["check", &path]);
        assert_eq!(checked.status.code(), Some(1));
        assert!(text(&checked.stderr).contains(&path));
        text(&checked.stderr).to_owned()
    };
    let error = check("workers = 1\npeer_livetime = 5\n");
    assert!(error.contains("line 2") && error.contains("peer_livetime"), "{error}");
    let error = check("\n\nmax_peers = 0\n");
    assert!(error.contains("line 3: max_peers: 0 is out of range: 1 to 10000 expected"), "{error}");
    let error = check("access = \"listed\"\naccess_list = \"/nonexistent\"");
    assert!(error.contains("cannot read the access list /nonexistent"), "{error}");
    let missing = run(&["check", "/nonexistent.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("cannot read /nonexistent.toml"));
}

#[test]
fn check_rejects_a_livesync_interface_of_another_machine() {
    let check = |interface: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let nodes = "nodes = [\"127.0.0.2\"]";
        write!(file, "[livesync]\nenabled = true\ninterface = \"{interface}\"\n{nodes}\n").unwrap();
        run(&["check", file.path().to_str().unwrap()])
    };
    assert_eq!(check("127.0.0.1").status.code(), Some(0));
    let checked = check("192.0.2.1");
    let error = text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(1), "{error}");
    let expected = "line 3: livesync.interface: 192.0.2.1: an address of this machine expected";
    assert!(error.contains(expected), "{error}");
}
