//! SECURITY.md's table of promises: each has a test.

use std::fs;
use std::path::{Path, PathBuf};

/// All Rust files of the repository, but for what is built.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder").map(|entry| entry.expect("an entry")) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The words in backticks that can be names of functions.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    let words = cell.split('`').skip(1).step_by(2);
    // `admin_http` and the other fuzz targets are functions too.
    words.filter(|word| word.chars().all(|character| character.is_ascii_alphanumeric() || character == '_'))
}

#[test]
fn every_promise_has_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let mut files = Vec::new();
    sources(root, &mut files);
    let code: String = files.iter().map(|path| fs::read_to_string(path).expect("UTF-8")).collect();
    let security = fs::read_to_string(root.join("SECURITY.md")).expect("SECURITY.md");
    let (_, table) = security.split_once("| promise | test |\n|---|---|\n").expect("the table");
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 30, "{} rows", rows.len());
    for row in rows {
        let [promise, tests] = row.trim_matches('|').split('|').collect::<Vec<_>>()[..] else {
            panic!("not two cells: {row}")
        };
        let named: Vec<_> = names(tests).collect();
        assert!(!named.is_empty(), "no test:{promise}");
        for name in named {
            assert!(code.contains(&format!("fn {name}(")), "no function {name}:{promise}");
        }
    }
}
