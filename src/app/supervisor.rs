//! Notifies systemd (`Type=notify`) that the process serves, that it stops, and at intervals that it is alive. Without
//! systemd, nothing.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Tells systemd.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told of the service");
    }
}

/// It serves, or does its work.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// It was asked to stop.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The sign of life that systemd waits for, if the unit has a watchdog.
pub struct Watchdog {
    every: Option<Duration>,
    told: Option<Instant>,
}

impl Watchdog {
    /// The unit's watchdog.
    pub fn of_unit() -> Self {
        // Half of what the unit allows, as systemd recommends.
        Self { every: sd_notify::watchdog_enabled().map(|limit| limit / 2), told: None }
    }

    /// The caller is alive: tells so, if it is time to.
    pub fn alive(&mut self) {
        let Some(every) = self.every else { return };
        if self.told.is_none_or(|at| at.elapsed() >= every) {
            self.told = Some(Instant::now());
            notify(&[NotifyState::Watchdog]);
        }
    }
}
