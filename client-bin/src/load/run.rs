//! What is asked when, and until when.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rand::rngs::SmallRng;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::engine::{Engine, Failure, nanos};
use super::pending::{Asked, Kind};
use super::population::{self, All, Peer, Population};
use super::question::{Mix, Question};
use super::report::{Report, Tally};

/// Connection ids are renewed after this time; clients may use them for a minute (BEP 15).
const RENEW: Duration = Duration::from_secs(45);
/// How often a fill asks for the same peer, in vain.
const MOST_TRIES: u8 = 20;
/// Requests made at once, so that answers are looked for in between.
const AT_ONCE: usize = 512;
/// How often the live line changes.
const LIVE: Duration = Duration::from_millis(500);

/// How fast requests are made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// As many as are answered: this many wait.
    Window(u32),
    /// This many a second.
    Rate(u32),
}

impl Pace {
    /// Slots for requests: all that may wait at once, and as many again or more, so that a slot rests for some time, in
    /// which a late answer is known.
    pub(super) fn room(self, timeout: Duration) -> usize {
        let waiting = match self {
            Self::Window(window) => 4 * u128::from(window),
            Self::Rate(rate) => u128::from(rate) * timeout.as_millis() / 1000,
        };
        usize::try_from(2 * waiting).unwrap_or(usize::MAX).clamp(1024, 1 << 20)
    }
}

/// What to ask.
pub(super) enum Script {
    /// Anything, at random, without an end.
    Mix(Mix, SmallRng),
    /// Every peer announces once.
    Fill(All),
    /// Every torrent is scraped once; counts must be complete.
    Verify { next: u32 },
}

impl Script {
    pub(super) fn mix(mix: Mix, seed: u64) -> Self {
        Self::Mix(mix, population::rng(seed))
    }

    pub(super) fn fill() -> Self {
        Self::Fill(All::default())
    }

    pub(super) fn verify() -> Self {
        Self::Verify { next: 0 }
    }

    fn next(&mut self, population: &Population, scrape_torrents: u32) -> Option<Question> {
        match self {
            Self::Mix(mix, rng) => Some(Question { kind: mix.pick(rng), peer: population.pick(rng) }),
            Self::Fill(all) => all.next(population).map(|peer| Question { kind: Kind::Announce, peer }),
            Self::Verify { next } => {
                let torrent = *next;
                *next = torrent.saturating_add(scrape_torrents);
                let peer = Peer { torrent, nth: 0 };
                (torrent < population.torrents()).then_some(Question { kind: Kind::Scrape, peer })
            }
        }
    }

    /// Whether each question needs an answer.
    fn insists(&self) -> bool {
        !matches!(self, Self::Mix(..))
    }
}

/// A generator at work.
pub(super) struct Run {
    engine: Engine,
    pace: Pace,
    timeout: u64,
    renew_at: u64,
    /// Lost, and to be asked again.
    again: Vec<Asked>,
    live: ProgressBar,
    stop: Arc<AtomicBool>,
}

impl Run {
    /// At most `room` requests wait at once. SIGINT and SIGTERM end the phase that they come in.
    pub(super) fn new(engine: Engine, pace: Pace, timeout: Duration, room: usize) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let terminal = io::stderr().is_terminal();
        let style = ProgressStyle::with_template("{spinner} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Ok(Self {
            renew_at: engine.now() + nanos(RENEW),
            engine,
            pace,
            timeout: nanos(timeout),
            again: Vec::with_capacity(room),
            live: ProgressBar::with_draw_target(None, target).with_style(style),
            stop,
        })
    }

    /// Asks what a script says, for some time or to its end, and waits for the last answers.
    pub(super) fn phase(&mut self, script: &mut Script, time: Option<Duration>) -> Result<Report, Failure> {
        self.engine.rules.complete = matches!(script, Script::Verify { .. });
        let from = self.engine.measure();
        let end = time.map_or(u64::MAX, |time| from + nanos(time));
        let mut live = Live { at: from, answers: 0 };
        let mut paced = 0;
        let (elapsed, in_time) = loop {
            let looked = self.engine.look()?;
            let now = self.engine.now();
            self.give_up(now, script.insists())?;
            if now >= self.renew_at {
                self.renew_at = now + nanos(RENEW);
                self.engine.reconnect(now)?;
            }
            let over = now >= end || self.stop.load(Relaxed);
            let (asked, exhausted) = if over { (0, true) } else { self.ask(script, now, from, &mut paced)? };
            // A fill is over with its last answer, anything else with its last question.
            if over || exhausted && self.again.is_empty() && self.engine.pending.len() == 0 {
                break (now.min(end).max(from + 1) - from, self.engine.tally.answers());
            }
            if now >= live.at + nanos(LIVE) {
                self.show(&mut live, now);
            }
            if looked == 0 && asked == 0 {
                thread::yield_now();
            }
        };
        self.drain()?;
        let tally = std::mem::replace(&mut self.engine.tally, Tally::new());
        Ok(Report { tally, elapsed: Duration::from_nanos(elapsed), in_time })
    }

    /// Asks as much as may be asked now; how much that was, and whether the script has come to its end. `paced` counts
    /// what was asked at a rate since the moment `from`.
    fn ask(
        &mut self,
        script: &mut Script,
        now: u64,
        from: u64,
        paced: &mut u64,
    ) -> Result<(usize, bool), Failure> {
        let mut asked = 0;
        let mut exhausted = false;
        while asked < AT_ONCE && self.engine.pending.room() > 0 {
            let at = match self.pace {
                Pace::Window(window) if self.engine.pending.len() >= window as usize => break,
                Pace::Window(_) => now,
                Pace::Rate(rate) => from + time_for(*paced, rate),
            };
            if at > now {
                break;
            }
            if let Some(lost) = self.again.pop() {
                self.engine.ask(Question { kind: lost.kind, peer: lost.peer }, lost.tries + 1, now)?;
            } else {
                let engine = &mut self.engine;
                let next = script.next(&engine.population, engine.rules.scrape_torrents);
                let Some(question) = next else {
                    exhausted = true;
                    break;
                };
                engine.ask(question, 0, at)?;
            }
            asked += 1;
            *paced += 1;
        }
        self.engine.flush()?;
        Ok((asked, exhausted))
    }

    /// Counts what has waited too long as lost, or notes it to be asked again.
    fn give_up(&mut self, now: u64, insist: bool) -> Result<(), Failure> {
        let mut in_vain = false;
        let again = &mut self.again;
        self.engine.give_up(now.saturating_sub(self.timeout), |asked| {
            in_vain |= asked.tries == MOST_TRIES;
            // Connection ids are renewed soon enough.
            let insist = insist && asked.kind != Kind::Connect;
            if insist {
                again.push(asked);
            }
            insist
        });
        if in_vain { Err(Failure::Silent(self.engine.tracker())) } else { Ok(()) }
    }

    /// Waits for the answers that are still to come.
    fn drain(&mut self) -> Result<(), Failure> {
        while self.engine.pending.len() > 0 {
            if self.engine.look()? == 0 {
                thread::yield_now();
            }
            self.give_up(self.engine.now(), false)?;
        }
        Ok(())
    }

    fn show(&self, live: &mut Live, now: u64) {
        let tally = &self.engine.tally;
        let answers = tally.answers();
        let per_second = (answers - live.answers) as f64 * 1e9 / (now - live.at) as f64;
        *live = Live { at: now, answers };
        if !self.live.is_hidden() {
            let (lost, p99) = (tally.lost + tally.resent, tally.latency_us(0.99));
            self.live.set_message(format!("{per_second:.0} answers/s, {lost} lost, p99 {p99:.0} us"));
            self.live.tick();
        }
    }

    /// Clears the live line.
    pub(super) fn finish(&self) {
        self.live.finish_and_clear();
    }
}

/// When the live line was last changed, and how many answers there were.
struct Live {
    at: u64,
    answers: u64,
}

/// Nanoseconds that a number of requests takes at a rate.
fn time_for(requests: u64, rate: u32) -> u64 {
    let nanoseconds = u128::from(requests) * 1_000_000_000 / u128::from(rate.max(1));
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}
