//! Completions and manual pages.

use std::fs;
use std::process::{Command, Stdio};

use crate::running::{run, text};

/// Runs a program of the system. Standard input is `input`.
fn system(program: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, input).unwrap();
    let stdin = Stdio::from(file.reopen().unwrap());
    let output = Command::new(program).args(arguments).stdin(stdin).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(printed).unwrap())
}

fn completions(shell: &str) -> String {
    let printed = run(&["completions", shell]);
    assert_eq!((printed.status.code(), text(&printed.stderr)), (Some(0), ""));
    text(&printed.stdout).to_owned()
}

/// The subcommands in the program's help.
fn subcommands() -> Vec<String> {
    let help = run(&["--help"]);
    let lines = text(&help.stdout).lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    // The explanation of a command may have lines of its own, which begin further right.
    let named = lines.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let names: Vec<_> = named.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert!(names.len() >= 4, "{names:?}");
    names
}

#[test]
fn bash_completes_subcommands_and_flags() {
    let script = completions("bash");
    let (correct, errors) = system("bash", &["-n"], &script);
    assert!(correct, "{errors}");
    let complete = |words: &str, last: usize| {
        let words = format!("COMP_WORDS=(tracker-bin {words}); COMP_CWORD={last}");
        // The function that `complete -F FUNCTION .. tracker-bin` names.
        let call = "set -- $(complete -p tracker-bin); while [ \"$1\" != -F ]; do shift; done; \"$2\" tracker-bin \"${COMP_WORDS[-1]}\" \"${COMP_WORDS[-2]}\"";
        let (ran, found) =
            system("bash", &[], &format!("{script}\n{words}\n{call}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""));
        assert!(ran, "{found}");
        found.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let offered = complete("''", 1);
    for subcommand in subcommands() {
        assert!(offered.contains(&subcommand), "{subcommand}: {offered:?}");
    }
    assert_eq!(complete("--lis", 1), ["--listen"]);
    assert_eq!(complete("completions z", 2), ["zsh"]);
}

#[test]
fn completes_for_other_shells_and_rejects_unknown_ones() {
    assert!(completions("zsh").starts_with("#compdef tracker-bin\n"));
    assert!(completions("fish").contains("complete -c tracker-bin "));
    let refused = run(&["completions", "cobol"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("zsh"), "{}", text(&refused.stderr));
}

#[test]
#[ignore = "needs zsh, fish: run scripts/test"]
fn zsh_and_fish_accept_their_completions() {
    for (shell, arguments) in [("zsh", ["-n", "/dev/stdin"]), ("fish", ["--no-execute", "/dev/stdin"])] {
        let (correct, errors) = system(shell, &arguments, &completions(shell));
        assert!(correct && errors.is_empty(), "{shell}: {errors}");
    }
}

#[test]
fn writes_a_manual_page_for_the_program_and_each_subcommand() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("new/man1");
    let written = run(&["man", pages.to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    let page =
        |name: &str| fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(page("tracker-bin.1").contains("/etc/tracker\\-bin/tracker.toml"));
    for subcommand in subcommands().iter().filter(|name| *name != "help") {
        assert!(page(&format!("tracker-bin-{subcommand}.1")).contains(".SH SYNOPSIS"));
    }
}

#[test]
fn reports_a_directory_that_it_cannot_write_manual_pages_to() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let written = run(&["man", file.path().to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(1));
    let error = text(&written.stderr);
    assert!(error.contains(&format!("cannot write manual pages into {}", file.path().display())), "{error}");
}

#[test]
#[ignore = "needs mandoc: run scripts/test"]
fn manual_pages_have_no_errors() {
    let dir = tempfile::tempdir().unwrap();
    assert!(run(&["man", dir.path().to_str().unwrap()]).status.success());
    for page in fs::read_dir(dir.path()).unwrap() {
        let page = page.unwrap().path();
        let (correct, problems) =
            system("mandoc", &["-T", "lint", "-W", "error", page.to_str().unwrap()], "");
        assert!(correct && problems.is_empty(), "{}: {problems}", page.display());
    }
}
