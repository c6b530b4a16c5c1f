//! Serving, from the first socket to the signal that ends it.

mod running;
mod start;

use std::error::Error;
use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;
use std::time::Duration;

use tracing::warn;

use self::start::Opened;
use crate::command::Serve;
use crate::log;
use crate::output::{Output, Unwritten};

/// How long the program waits for its last lines to be written before it ends.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Standard output and standard error.
struct Streams {
    stdout: Output,
    stderr: Output,
    /// Until their threads are started.
    unwritten: Option<(Unwritten, Unwritten)>,
}

impl Streams {
    fn new() -> Self {
        let ((stdout, out), (stderr, err)) = (Output::queue(), Output::queue());
        Self { stdout, stderr, unwritten: Some((out, err)) }
    }

    /// Starts to write, in threads of their own.
    fn write(&mut self) -> io::Result<()> {
        let Some((stdout, stderr)) = self.unwritten.take() else { return Ok(()) };
        stdout.write_to("stdout", io::stdout())?;
        stderr.write_to("stderr", io::stderr())
    }
}

/// What was queued is written, also after an error or a panic at the start.
impl Drop for Streams {
    fn drop(&mut self) {
        if let Err(error) = self.write() {
            let _ = writeln!(io::stderr(), "tracker-bin: cannot start a thread for its output: {error}");
        }
        self.stdout.flush(FLUSH_PATIENCE);
        self.stderr.flush(FLUSH_PATIENCE);
    }
}

/// Serves until SIGINT or SIGTERM. Returns the exit code.
pub(crate) fn serve(arguments: Serve) -> ExitCode {
    let mut streams = Streams::new();
    match run(arguments, &mut streams) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            streams.stderr.line(format!("tracker-bin: {error}\n").into_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Panic messages go the way of the log: the default hook would write to standard error itself, which may block.
fn report_panics(stderr: &Output) {
    let stderr = stderr.clone();
    panic::set_hook(Box::new(move |what| {
        stderr.line(format!("{what}\n").into_bytes());
        stderr.flush(FLUSH_PATIENCE);
    }));
}

fn run(arguments: Serve, streams: &mut Streams) -> Result<(), Box<dyn Error>> {
    report_panics(&streams.stderr);
    let config = arguments.configuration()?;
    log::start(config.log_format, &streams.stderr);
    for warning in &config.warnings {
        warn!("configuration: {warning}");
    }
    let confined = Opened::open(arguments, config)?.confine()?;
    // No thread was started before, so all of them are in the sandbox.
    streams.write()?;
    let (running, lines) = confined.start()?;
    streams.stdout.line(lines.into_bytes());
    running.serve()
}
