//! `tracker-bin doctor`: looks at the machine and at the configuration, and reports what is wrong or will be under
//! load, with the command that helps. `check` looks at the configuration file only.

mod addresses;
mod ask;
mod ceiling;
mod clock;
mod conntrack;
mod container;
mod files;
mod finding;
mod global;
mod kernel_buffers;
mod limits;
mod listing;
mod machine;
mod process;
mod running;
mod sockets;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use crate::command::{self, Doctor};
use crate::config::{Config, ConfigError};
use crate::memory;

pub(crate) use finding::{Finding, Severity};
pub(crate) use listing::Listed;

use kernel_buffers::ReceiveBuffer;
use machine::Machine;
use process::Process;
use running::Running;

/// Prints all findings. Exit code 1 if one of them is a problem.
pub(crate) fn run(arguments: &Doctor) -> ExitCode {
    let mut findings = find(arguments);
    findings.sort_by_key(|finding| finding.severity);
    let printed = if arguments.json { json(&findings) } else { Ok(text(&findings)) };
    if let Err(error) = printed.and_then(|text| command::print(&text)) {
        let _ = writeln!(io::stderr(), "tracker-bin: {error}");
        return ExitCode::FAILURE;
    }
    let is_well = findings.iter().all(|finding| finding.severity != Severity::Problem);
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn find(arguments: &Doctor) -> Vec<Finding> {
    let file = arguments.config.as_deref();
    let (config, mut findings) = match configuration(file) {
        Ok(found) => found,
        Err(finding) => return vec![finding],
    };
    let machine = Machine::here();
    let listening = config.server.addresses();
    let running = Running::find(&machine, &listening);
    // First, so that the checks after it see the kernel's state with this traffic.
    findings.extend(addresses::answers(&machine, &listening, running.as_ref()));
    if let Some(listed) = arguments.listed(&listening) {
        findings.extend(listing::check(&machine, &listed, config.settings.announce_interval));
    }
    findings.extend(conntrack::notrack(&machine, &listening));
    findings.extend(checks(&config, &listening, &machine));
    findings
}

/// The configuration, with what `check` finds in it. An error if it can't be read at all.
fn configuration(file: Option<&Path>) -> Result<(Config, Vec<Finding>), Finding> {
    const ID: &str = "configuration";
    const FIX: &str = "correct the file; tracker-bin config prints one that explains every key";
    let problem = |error: &ConfigError| {
        // Without the lines that show the place in the file.
        let error = error.to_string();
        let lines: Vec<_> = error.lines().filter(|line| !line.contains(" |")).map(str::trim).collect();
        Finding::problem(ID, format!("configuration: {}", lines.join(": ")), FIX)
    };
    let Some(file) = file else {
        return Config::new().map(|config| (config, Vec::new())).map_err(|error| problem(&error));
    };
    // A file that it names may be missing; then the rest can still be checked.
    let config = Config::read(file).map_err(|error| problem(&error))?;
    let name = file.display();
    let checked = match Config::check(file) {
        Err(error) => vec![problem(&error)],
        Ok(checked) if checked.warnings.is_empty() => {
            vec![Finding::ok(ID, format!("configuration: nothing wrong in {name}"))]
        }
        Ok(checked) => {
            let warnings = checked.warnings.iter();
            warnings
                .map(|warning| Finding::warning(ID, format!("{name}: {warning}"), "rename the key"))
                .collect()
        }
    };
    Ok((config, checked))
}

/// The checks that send nothing and take a few milliseconds, for the page and the API of a running tracker.
/// `listening`: the addresses that it listens on.
pub(crate) fn quick(config: &Config, listening: &[SocketAddr]) -> Vec<Finding> {
    let mut findings = checks(config, listening, &Machine::here());
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn checks(config: &Config, listening: &[SocketAddr], machine: &Machine) -> Vec<Finding> {
    let server = &config.server;
    let running = Running::find(machine, listening);
    let buffer = ReceiveBuffer::look(machine, running.as_ref(), server.receive_buffer_bytes);
    let own = Process::own(machine);
    let process = running.as_ref().and_then(|running| running.process.as_ref()).unwrap_or(&own);
    let workers = match server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        set => set,
    };
    let port = match running {
        None => limits::privileged_ports(machine, process, listening),
        Some(_) => None,
    };
    // Both can be keys that other machines have too.
    let shares_keys = server.livesync.is_some() || config.has_connection_key();
    let mut findings = conntrack::fill(machine);
    findings.extend(buffer.map(|buffer| buffer.finding()));
    findings.extend(running.as_ref().map(|running| kernel_buffers::socket_drops(running, buffer.as_ref())));
    findings.extend(kernel_buffers::backlog(machine));
    findings.extend(addresses::ipv6(machine, listening));
    findings.extend(limits::open_files(machine, process, workers, listening.len()));
    findings.extend(port);
    findings
        .extend(ceiling::finding(config.max_store_bytes(), memory::allowed_at(&machine.path("")).as_ref()));
    findings.extend(clock::finding(clock::is_synchronised(), shares_keys));
    findings.extend(container::address_translation(machine));
    findings.extend(config.secret_files().iter().filter_map(|(key, path)| files::secret(key, path)));
    findings.extend(config.state_dir.iter().map(|path| files::state_dir("state_dir", path)));
    findings
}

/// One line for each finding, and one with their numbers.
fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let _ = writeln!(text, "{finding}");
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (problems, warnings) = (count(Severity::Problem), count(Severity::Warning));
    let _ = writeln!(text, "problems: {problems}, warnings: {warnings}, ok: {}", count(Severity::Ok));
    text
}

fn json(findings: &[Finding]) -> Result<String, Box<dyn std::error::Error>> {
    Ok(serde_json::to_string(findings)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_checks_are_sorted_and_send_nothing() {
        // A socket that would receive what is sent to the tracker.
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let findings = quick(&Config::new().unwrap(), &[socket.local_addr().unwrap()]);
        assert!(findings.is_sorted_by_key(|finding| finding.severity), "{findings:?}");
        let ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
        assert!(ids.contains(&"receive_buffer") && ids.contains(&"socket_drops"), "{ids:?}");
        socket.set_nonblocking(true).unwrap();
        assert_eq!(socket.recv(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
