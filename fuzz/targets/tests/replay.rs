//! Every input of the corpora, and every find, is a test of its target.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use fuzz_targets::TARGETS;

/// The most inputs of a committed corpus, and the most bytes of one.
const INPUTS: usize = 60;
const LENGTH: usize = 4096;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files in a folder, sorted; none if there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a folder to read").path()).collect();
    files.sort();
    files
}

fn names(folder: &str) -> BTreeSet<String> {
    let name = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    files(&fuzz().join(folder)).iter().map(name).collect()
}

#[test]
fn every_input_and_every_find_holds() {
    let mut failed = Vec::new();
    for (name, target) in TARGETS {
        let inputs = files(&fuzz().join("corpus").join(name)).into_iter();
        for path in inputs.chain(files(&fuzz().join("finds").join(name))) {
            let input = fs::read(&path).expect("a file to read");
            if catch_unwind(|| target(&input)).is_err() {
                failed.push(path);
            }
        }
    }
    assert!(failed.is_empty(), "inputs that fail: {failed:#?}");
}

#[test]
fn every_target_accepts_no_bytes_and_few() {
    for (_, target) in TARGETS {
        for input in [&b""[..], &[0], &[0xff], &[0; 100], &[0xff; 100]] {
            target(input);
        }
    }
}

#[test]
fn every_target_has_a_program_a_corpus_and_a_row_in_the_readme() {
    let expected: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), expected, "programs");
    assert_eq!(names("corpus"), expected, "corpora");
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("a manifest");
    let readme = fs::read_to_string(fuzz().join("README.md")).expect("a README");
    for name in &expected {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
        assert!(readme.contains(&format!("| `{name}` |")), "{name} is not in fuzz/README.md");
        let program = fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).expect("a program");
        assert!(
            program.contains(&format!("fuzz_targets::{name}(")),
            "fuzz_targets/{name}.rs calls another target"
        );
    }
    assert!(names("finds").is_subset(&expected), "finds of no target");
    assert!(names("dictionaries").is_subset(&expected), "a dictionary of no target");
}

#[test]
fn corpora_are_small() {
    for (name, _) in TARGETS {
        let inputs = files(&fuzz().join("corpus").join(name));
        assert!((1..=INPUTS).contains(&inputs.len()), "{name} has {} inputs", inputs.len());
        for path in inputs {
            let length = fs::metadata(&path).expect("a file").len();
            assert!(length <= LENGTH as u64, "{}: {length} bytes", path.display());
        }
    }
}
