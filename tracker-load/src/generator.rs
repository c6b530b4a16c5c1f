//! Decides which requests to send, and when a phase ends.

use std::fmt;
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use rand::rngs::SmallRng;

use crate::engine::{Engine, nanos};
use crate::error::LoadError;
use crate::pending::{Kind, Waiting};
use crate::population::{self, All, Peer, Population};
use crate::report::{Report, Tally};
use crate::request::{Mix, Request};
use crate::settings::{Pace, Settings};

/// The most time for the first connects: a tracker that was just started may still read its access lists.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Connection_ids are renewed after this time; clients may use them for a minute (BEP 15).
const RENEW: Duration = Duration::from_secs(45);
/// How often a fill sends the same request without an answer before it fails.
const MOST_TRIES: u8 = 20;
/// The most requests made at once, so that answers are read in between.
const AT_ONCE: usize = 512;
/// How often the progress callback is called.
const SHOW: Duration = Duration::from_millis(100);

/// A generator with its sockets, and a connection_id for each of its addresses.
pub struct Generator {
    engine: Engine,
    pace: Pace,
    /// Nanoseconds.
    timeout: u64,
    /// When connection_ids are renewed, in nanoseconds since the engine's start.
    renew_at: u64,
    /// Lost requests to send again.
    again: Vec<Waiting>,
    /// For mixes.
    rng: SmallRng,
}

/// A task of the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Every peer announces once, and again if that was lost.
    Fill,
    /// After a fill: all torrents are scraped once, and their counts must match all peers.
    Verify,
    /// Random requests for some time; lost ones are not sent again. A mix continues the random sequence of the previous
    /// one.
    Mix {
        /// The proportion of each kind.
        mix: Mix,
        /// The duration.
        time: Duration,
    },
}

/// The progress of a phase.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    tally: &'a Tally,
    elapsed: Duration,
}

impl Progress<'_> {
    /// Time since the phase began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Answers to all requests.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.tally.answers()
    }

    /// Requests that were not answered in time.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.tally.lost + self.tally.resent
    }

    /// The latency that a share of the answers, from 0 to 1, does not exceed.
    #[must_use]
    pub fn latency(&self, quantile: f64) -> Duration {
        self.tally.latency(quantile)
    }
}

impl Generator {
    /// Opens the sockets, and gets a connection_id for each source address.
    ///
    /// # Errors
    /// Wrong settings, addresses that aren't this machine's, a tracker that does not answer within 10 seconds or gives
    /// a wrong answer.
    pub fn start(settings: &Settings) -> Result<Self, LoadError> {
        let mut engine = Engine::new(settings)?;
        engine.connect(CONNECT_PATIENCE)?;
        let renew_at = engine.now() + nanos(RENEW);
        let again = Vec::with_capacity(engine.ledger().pending.room());
        let rng = population::rng(settings.seed);
        Ok(Self { engine, pace: settings.pace, timeout: nanos(settings.timeout), renew_at, again, rng })
    }

    /// Runs a phase, and waits for its last answers. `show` is called at the beginning and about ten times a second;
    /// the phase ends early when `show` returns [`ControlFlow::Break`].
    ///
    /// # Errors
    /// A wrong answer, a tracker that does not answer, or a socket that fails.
    pub fn run(
        &mut self,
        phase: &Phase,
        show: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Report, LoadError> {
        let mut script = Script::from(*phase);
        let ledger = self.engine.ledger();
        ledger.rules.complete = *phase == Phase::Verify;
        let from = ledger.measure();
        let end = match phase {
            Phase::Mix { time, .. } => from.saturating_add(nanos(*time)),
            Phase::Fill | Phase::Verify => u64::MAX,
        };
        self.again.clear();
        let (elapsed, in_time) = self.ask_until(end, from, &mut script, show)?;
        self.drain()?;
        let tally = std::mem::replace(&mut self.engine.ledger().tally, Tally::new());
        Ok(Report { tally, elapsed: Duration::from_nanos(elapsed), in_time })
    }

    /// Sends requests until a time or the end of the script. Returns the duration in nanoseconds, and the answers in
    /// that time.
    fn ask_until(
        &mut self,
        end: u64,
        from: u64,
        script: &mut Script,
        show: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>,
    ) -> Result<(u64, u64), LoadError> {
        let (mut paced, mut show_at, mut stopped) = (0, from, false);
        loop {
            let looked = self.engine.look()?;
            let now = self.engine.now();
            self.give_up(now, script.insists())?;
            if now >= self.renew_at {
                self.renew_at = now + nanos(RENEW);
                self.engine.reconnect(now)?;
            }
            if now >= show_at {
                show_at = now + nanos(SHOW);
                let elapsed = Duration::from_nanos(now - from);
                stopped |= show(&Progress { tally: &self.engine.ledger().tally, elapsed }).is_break();
            }
            let over = now >= end || stopped;
            let (asked, exhausted) = if over { (0, true) } else { self.ask(script, now, from, &mut paced)? };
            // A script ends with its last answer, a timed mix with its last request.
            let ledger = self.engine.ledger();
            if over || exhausted && self.again.is_empty() && ledger.pending.len() == 0 {
                return Ok((now.min(end).max(from + 1) - from, ledger.tally.answers()));
            }
            if looked == 0 && asked == 0 {
                thread::yield_now();
            }
        }
    }

    /// Sends as many requests as allowed now. Returns their number, and whether the script has ended. `paced` counts
    /// the requests sent at a rate since `from`.
    fn ask(
        &mut self,
        script: &mut Script,
        now: u64,
        from: u64,
        paced: &mut u64,
    ) -> Result<(usize, bool), LoadError> {
        let mut asked = 0;
        let mut exhausted = false;
        while asked < AT_ONCE && self.engine.ledger().pending.room() > 0 {
            let at = match self.pace {
                Pace::Window(window) if self.engine.ledger().pending.len() >= window as usize => break,
                Pace::Window(_) => now,
                Pace::Rate(rate) => from + time_for(*paced, rate),
            };
            if at > now {
                break;
            }
            if let Some(Waiting { kind, peer, tries, .. }) = self.again.pop() {
                self.engine.ask(Request { kind, peer }, tries + 1, now)?;
            } else {
                let ledger = self.engine.ledger();
                let next = script.next(&ledger.population, ledger.rules.scrape_torrents, &mut self.rng);
                let Some(request) = next else {
                    exhausted = true;
                    break;
                };
                self.engine.ask(request, 0, at)?;
            }
            asked += 1;
            *paced += 1;
        }
        self.engine.flush()?;
        Ok((asked, exhausted))
    }

    /// Counts requests that waited too long as lost, or stores them to be sent again.
    fn give_up(&mut self, now: u64, insist: bool) -> Result<(), LoadError> {
        let mut in_vain = false;
        let again = &mut self.again;
        let ledger = self.engine.ledger();
        ledger.give_up(now.saturating_sub(self.timeout), |request| {
            in_vain |= request.tries == MOST_TRIES;
            // A lost connect is not repeated here: connection_ids are renewed regularly.
            let insist = insist && request.kind != Kind::Connect;
            if insist {
                again.push(request);
            }
            insist
        });
        if in_vain { Err(LoadError::Silent(ledger.tracker())) } else { Ok(()) }
    }

    /// Waits for outstanding answers.
    fn drain(&mut self) -> Result<(), LoadError> {
        while self.engine.ledger().pending.len() > 0 {
            if self.engine.look()? == 0 {
                thread::yield_now();
            }
            self.give_up(self.engine.now(), false)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").field("pace", &self.pace).finish_non_exhaustive()
    }
}

impl fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answers, lost) = (self.answers(), self.lost());
        let mut text = f.debug_struct("Progress");
        text.field("elapsed", &self.elapsed).field("answers", &answers).field("lost", &lost).finish()
    }
}

/// The requests of a phase, in order.
enum Script {
    Mix(Mix),
    Fill(All),
    Verify { next: u32 },
}

impl From<Phase> for Script {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Fill => Self::Fill(All::default()),
            Phase::Verify => Self::Verify { next: 0 },
            Phase::Mix { mix, .. } => Self::Mix(mix),
        }
    }
}

impl Script {
    fn next(&mut self, population: &Population, scrape_torrents: u32, rng: &mut SmallRng) -> Option<Request> {
        match self {
            Self::Mix(mix) => Some(Request { kind: mix.pick(rng), peer: population.pick(rng) }),
            Self::Fill(all) => all.next(population).map(|peer| Request { kind: Kind::Announce, peer }),
            Self::Verify { next } => {
                let torrent = *next;
                *next = torrent.saturating_add(scrape_torrents);
                let peer = Peer { torrent, nth: 0 };
                (torrent < population.torrents()).then_some(Request { kind: Kind::Scrape, peer })
            }
        }
    }

    /// Whether every request needs an answer.
    fn insists(&self) -> bool {
        !matches!(self, Self::Mix(_))
    }
}

/// The nanoseconds that a number of requests takes at a rate.
fn time_for(requests: u64, rate: u32) -> u64 {
    let nanoseconds = u128::from(requests) * 1_000_000_000 / u128::from(rate.max(1));
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}
