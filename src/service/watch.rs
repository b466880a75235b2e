//! A watch: an account's credit now, then each change, for as long as someone reads.
//!
//! A change is shown only when the reader takes it, so a slow reader misses steps in between, never the last one. Announcements are
//! hints: the account is read again after each, when its temporary limit or its billing period ends, and at least every
//! [`RENEWAL`], which also renews the store's lease on announcing. It is read once for all who watch it. Nothing is shown twice.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use super::UseCases;
use super::admission::StreamPermit;
use super::commands::observation;
use super::context::RequestContext;
use super::credit::Credit;
use super::error::Error;
use access::Permission;
use domain::account::Account;
use domain::ids::AccountId;
use domain::time::UnixMillis;
use ledger::watch::Watch;

/// How long nothing is read at most.
pub const RENEWAL: Duration = Duration::from_secs(15);

/// An account's credit, and what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditChange {
    pub credit: Credit,
    /// Whether usable credit is below the account's threshold.
    pub is_low: bool,
    /// How usable credit crossed the threshold since what was shown before, if it did.
    pub crossing: Option<Crossing>,
}

/// How usable credit crossed the threshold below which it counts as low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// It is below now.
    FellBelow,
    /// It is not below any more.
    RoseAbove,
}

/// A watch under way.
struct Watcher {
    use_cases: UseCases,
    changes: Watch,
    last: CreditChange,
    begun: Instant,
    /// When it must be read again, whatever is announced.
    holds_until: Instant,
    _permit: StreamPermit,
}

impl UseCases {
    /// Watches an account. Fails at once if there is no such account.
    pub async fn watch(
        &self,
        context: RequestContext,
        account: AccountId,
    ) -> Result<impl Stream<Item = Result<CreditChange, Error>> + Send + use<>, Error> {
        self.telling(&context, context.require(Permission::ReadCredit, &account))?;
        let permit = self.admission.watch(&context)?;
        let access = self.stream_access(context)?;
        // Waiting begins before the first look, so that no change falls between the two.
        let changes = self.ledger.watch(&account);
        let begun = Instant::now();
        let (first, holds_until) = self.look(&changes, begun).await?;
        let watcher = Watcher { use_cases: self.clone(), changes, begun, last: first, holds_until, _permit: permit };
        let later = stream::unfold(Some(watcher), |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(change) => Some((Ok(change), Some(watcher))),
                Err(error) => Some((Err(error), None)),
            }
        });
        let changes = stream::iter([Ok(first)]).chain(later);
        Ok(access.hold(changes, move |context| context.require(Permission::ReadCredit, &account)))
    }

    /// Reads the account, without a crossing. Returns also until when that may be taken to hold.
    async fn look(&self, watch: &Watch, not_before: Instant) -> Result<(CreditChange, Instant), Error> {
        let found = self.ledger.look(watch, not_before).await?;
        let found = found.map_err(|refusal| Error::refused(refusal, &observation(watch.account().clone())))?;
        // The partition's time may be ahead of this process's.
        let now = found.now;
        let credit = Credit::at(&found.account, now);
        let is_low = found.low_credit_threshold.is_some_and(|threshold| credit.usable < threshold);
        Ok((CreditChange { credit, is_low, crossing: None }, found.at + holds_for(&found.account, now)))
    }
}

impl Watcher {
    /// Waits for the next change.
    async fn next(&mut self) -> Result<CreditChange, Error> {
        loop {
            let not_before = tokio::select! {
                biased;
                () = self.use_cases.stopping.cancelled() => return Err(Error::stopping()),
                () = self.changes.changed() => None,
                () = sleep_until(self.holds_until) => Some(self.holds_until),
            };
            let (mut change, holds_until) = self.use_cases.look(&self.changes, not_before.unwrap_or(self.begun)).await?;
            self.holds_until = holds_until;
            if change == self.last {
                continue;
            }
            let before = std::mem::replace(&mut self.last, change);
            change.crossing = Crossing::between(before.is_low, change.is_low);
            return Ok(change);
        }
    }
}

impl Crossing {
    fn between(was_low: bool, is_low: bool) -> Option<Self> {
        match (was_low, is_low) {
            (false, true) => Some(Self::FellBelow),
            (true, false) => Some(Self::RoseAbove),
            _ => None,
        }
    }
}

/// How long the credit holds: until it changes without a command, at most until the next renewal.
fn holds_for(account: &Account, now: UnixMillis) -> Duration {
    [account.temporary_until, account.period_end]
        .into_iter()
        .filter(|end| *end > now)
        .filter_map(|end| u64::try_from(end - now).ok())
        .map(Duration::from_millis)
        .fold(RENEWAL, Duration::min)
}
