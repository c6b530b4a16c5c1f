//! Asks several trackers at once, and shows which ones have not answered.

use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use udp_tracker_proto::blocking::{Error, Tracker};

use crate::command::How;

/// A tracker's URL, and its answer or error.
pub(crate) type Answer<T> = (String, Result<T, Error>);

/// Asks all trackers, each on a thread of its own; the answers come in the order of the URLs.
pub(crate) fn ask<T: Send>(
    urls: &[String],
    how: &How,
    question: impl Fn(&mut Tracker) -> Result<T, Error> + Sync,
) -> Vec<Answer<T>> {
    let spinners = MultiProgress::with_draw_target(if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    });
    let question = &question;
    thread::scope(|scope| {
        let threads: Vec<_> = urls
            .iter()
            .map(|url| {
                let spinner = spinner(&spinners, url);
                scope.spawn(move || {
                    let answer = Tracker::connect(url).and_then(|tracker| {
                        question(&mut tracker.with_timeout(how.timeout()).with_policy(how.policy()))
                    });
                    spinner.finish_and_clear();
                    answer
                })
            })
            .collect();
        let answers = threads.into_iter().map(|thread| thread.join().unwrap_or(Err(Error::Cancelled)));
        urls.iter().cloned().zip(answers).collect()
    })
}

fn spinner(spinners: &MultiProgress, url: &str) -> ProgressBar {
    let spinner = spinners.add(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{spinner} waiting for {msg}, {elapsed}") {
        spinner.set_style(style);
    }
    spinner.set_message(url.to_owned());
    if !spinner.is_hidden() {
        spinner.enable_steady_tick(Duration::from_millis(100));
    }
    spinner
}
