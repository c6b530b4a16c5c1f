//! A load generator for BitTorrent UDP trackers (BEP 15): it sends requests as fast as a tracker answers, or at a fixed
//! rate, and checks every answer.
//!
//! A [`Generator`] has a population of torrents and peers that is computed from a seed. A [`Phase`] announces all of
//! them to a tracker, verifies its counts, or sends random requests for some time; each returns a [`Report`]. The first
//! wrong answer ends a phase with an error that shows the answer.
//!
//! ```
//! use std::ops::ControlFlow;
//! use std::time::Duration;
//!
//! use tracker_load::{Generator, Kind, Pace, Phase, Settings};
//! # let service = std::sync::Arc::new(udp_tracker::Service::new(udp_tracker::Settings::default())?);
//! # let mut server = udp_tracker::ServerSettings::default();
//! # server.listen = Some(vec!["127.0.0.1:0".parse()?]);
//! # server.workers = 1;
//! # let tracker = udp_tracker::Tracker::start(service, &server)?;
//! # let address = tracker.addresses()[0];
//!
//! let mut settings = Settings::new(address);
//! settings.torrents = 100;
//! settings.peers = 500;
//! settings.pace = Pace::Window(16);
//! let mut generator = Generator::start(&settings)?;
//! let filled = generator.run(&Phase::Fill, &mut |_| ControlFlow::Continue(()))?;
//! assert_eq!(filled.answered(Kind::Announce), 500);
//!
//! let mix = Phase::Mix { mix: "50:50:1".parse()?, time: Duration::from_millis(100) };
//! let report = generator.run(&mix, &mut |_| ControlFlow::Continue(()))?;
//! println!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # One thread that never sleeps
//! If the generator slept, each answer of the tracker would cost a wake-up, and the wake-up would be measured. So a
//! phase keeps one core busy all the time. Nothing is allocated while it runs.
//!
//! # What a tracker controls
//! The bytes of its answers. An answer is decoded without allocating and compared with its request; waiting requests
//! have a fixed number of slots. If a tracker does not answer, the phase ends with an error.

mod check;
mod engine;
mod error;
mod generator;
mod pending;
mod population;
mod ports;
mod report;
mod request;
mod settings;
mod settings_error;

pub use check::{Wrong, WrongAnswer};
pub use error::LoadError;
pub use generator::{Generator, Phase, Progress};
pub use pending::Kind;
pub use report::{Gaps, Report};
pub use request::{Mix, ParseMixError};
pub use settings::{Pace, ParseSourcesError, Settings, Sources};
pub use settings_error::SettingsError;
pub use udp_tracker_proto::{DecodeError, InfoHash};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
