//! Files for packages, made from the definition of the command line.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::command::{Command, print};

/// What the page about the program has besides its options.
const MORE_SECTIONS: &str = include_str!("manual.roff");

/// Prints a script that completes the command line in a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), Box<dyn Error>> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Command::command(), "tracker-bin", &mut script);
    // clap_complete 4.6 writes the name of a program with a hyphen in two ways, so that nothing after a subcommand is
    // completed: https://github.com/clap-rs/clap/issues/6421
    print(&String::from_utf8(script)?.replace("tracker__subcmd__bin", "tracker__bin"))
}

/// Writes a manual page for the program and one for each subcommand.
pub(crate) fn man(directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut command = Command::command().disable_help_subcommand(true);
    command.build();
    let written = fs::create_dir_all(directory).and_then(|()| write_pages(&command, directory));
    written.map_err(|error| format!("cannot write manual pages into {}: {error}", directory.display()).into())
}

fn write_pages(command: &clap::Command, directory: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands() {
        write_pages(subcommand, directory)?;
    }
    // In the middle of the last line. An empty date would be left out, and the next field would take its place.
    let program = concat!("tracker-bin ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command.clone()).date(program).source("");
    let mut text = Vec::new();
    page.render(&mut text)?;
    if command.get_name() == "tracker-bin" {
        text.write_all(MORE_SECTIONS.as_bytes())?;
    }
    fs::write(directory.join(page.get_filename()), text)
}
