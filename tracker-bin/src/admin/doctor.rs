//! What the doctor finds on this machine, looked at once a minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task;
use tokio::time::{self, MissedTickBehavior};

use super::Context;
use crate::doctor::{self, Finding, Severity};

const PAUSE: Duration = Duration::from_secs(60);

/// The last findings, without those that say that all is well.
#[derive(Default)]
pub(super) struct Doctor(Mutex<Vec<Finding>>);

impl Doctor {
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks at the machine again and again.
pub(super) async fn look(context: Arc<Context>) {
    let mut ticks = time::interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let context = Arc::clone(&context);
        // It reads files, and may wait for the disk. If it panics, the panic is logged and the next look is tried.
        let _ = task::spawn_blocking(move || {
            let config = context.operations.config();
            let mut found = doctor::quick(&config, context.monitor.addresses());
            found.retain(|finding| finding.severity != Severity::Ok);
            *context.doctor.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
        })
        .await;
    }
}
