//! How the sending goes, as this process sees it: for health and metrics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use billing::sending::MailState;
use billing::sending::queue::QueueCounts;
use domain::time::UnixMillis;
use platform::telemetry::metrics;
use platform::telemetry::metrics::MailCounts;

/// For how long the server must be in trouble until that is a problem: it is restarted now and then.
const TROUBLE: Duration = Duration::from_mins(5);

#[derive(Debug, Default)]
struct State {
    trouble: Option<(Instant, String)>,
    is_held: bool,
    unknown: i64,
    failed: i64,
}

/// How the sending goes. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<State>>);

impl Status {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an operator should do something about.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let state = self.state();
        let mut warnings = Vec::new();
        if let Some((since, reason)) = &state.trouble
            && since.elapsed() >= TROUBLE
        {
            warnings.push(format!("mail has not been sent for {} minutes: {reason}", since.elapsed().as_secs() / 60));
        }
        if state.is_held {
            warnings.push("no mail is sent, because the billing store may be a copy: tollgate sending go-on".to_owned());
        }
        if state.unknown > 0 {
            warnings.push(format!("{} mails may have been sent or not: tollgate mail list --state unknown", state.unknown));
        }
        if state.failed > 0 {
            warnings.push(format!("{} mails failed for good: tollgate mail list --state failed", state.failed));
        }
        warnings
    }

    /// Nothing is sent because of that, or all goes on. Logged when that changes.
    pub(crate) fn set_trouble(&self, trouble: Option<&str>) {
        let mut state = self.state();
        match (&state.trouble, trouble) {
            (None, Some(reason)) => {
                tracing::warn!(reason, "the mail server is in trouble: mail is tried again later");
                state.trouble = Some((Instant::now(), reason.to_owned()));
            }
            (Some((since, _)), Some(reason)) => state.trouble = Some((*since, reason.to_owned())),
            (Some(_), None) => {
                tracing::info!("the mail server takes mail again");
                state.trouble = None;
            }
            (None, None) => {}
        }
    }

    pub(crate) fn set_held(&self, is_held: bool) {
        metrics().mail.set_held(is_held);
        self.state().is_held = is_held;
    }

    pub(crate) fn set_tally(&self, tally: &QueueCounts, now: UnixMillis) {
        let waiting = [MailState::Waiting, MailState::Sending, MailState::Deferred].map(|state| tally.count(state)).iter().sum();
        let (unknown, failed) = (tally.count(MailState::Unknown), tally.count(MailState::Failed));
        let oldest_millis = if waiting > 0 { (now - tally.oldest()).max(0) } else { 0 };
        let bounced = tally.count(MailState::Bounced);
        metrics().mail.set_counts(MailCounts { waiting, failed, bounced, unknown, oldest_millis });
        let mut state = self.state();
        if unknown > state.unknown {
            tracing::error!(unknown, "it is unknown whether mails were sent: see tollgate mail list --state unknown");
        }
        (state.unknown, state.failed) = (unknown, failed);
    }
}
