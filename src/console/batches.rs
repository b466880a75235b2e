//! Conversions of many organizations that the console runs: looked at first, then done, stopped, gone on with. They are kept in this
//! process; one that it loses is begun again with the same list, and what was done is found to be so.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::Console;
use crate::visitor::Visitor;
use domain::account::{Currency, Mode};
use domain::command::Metadata;
use domain::ids::AccountId;
use domain::time::UnixMillis;
use service::conversions::{ConvertedAccount, Cursor, Limit, Plan, Selection};
use service::error::Error;

/// How many are kept at most.
const MOST: usize = 20;

/// How many organizations one is of at most: what became of each is kept in memory. The command line has no such bound.
pub const MOST_CONVERTED: usize = 10_000;

/// How many organizations are converted before the run checks again that the user who began it is still signed in.
const LOOKED_AFTER: usize = 100;

/// Which organizations.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// These, each with a limit of its own if it has one.
    List(Vec<(AccountId, Option<Limit>)>),
    /// All whose names begin so, in the currency if one is given.
    Filter(String, Option<Currency>),
}

/// The conversion of each.
#[derive(Clone, Debug)]
pub struct BatchPlan {
    /// Which organizations.
    pub chosen: Chosen,
    /// The mode to convert to.
    pub mode: Mode,
    /// The limit of those that have none of their own.
    pub limit: Option<Limit>,
    /// Whether the limit is the suggested one.
    pub is_suggested: bool,
    /// Whether an account may be left without usable credit.
    pub allow_unusable: bool,
    /// Why.
    pub reason: String,
}

/// A conversion of many.
pub struct Batch {
    /// The name of which the request ids are made.
    pub id: String,
    /// Who began it: nobody else sees it.
    pub user: String,
    /// When.
    pub began_at: UnixMillis,
    /// What is to be done.
    pub plan: BatchPlan,
    progress: Mutex<Progress>,
}

/// How far it is.
#[derive(Default)]
pub struct Progress {
    /// Whether nothing is changed.
    pub is_dry: bool,
    /// Whether it is under way.
    pub is_running: bool,
    /// Whether all were looked at.
    pub is_over: bool,
    /// Whether there are more organizations than one conversion may be of.
    pub is_too_large: bool,
    /// The error that ended it before that, if one did.
    pub problem: Option<Error>,
    /// The results so far.
    pub done: Vec<ConvertedAccount>,
    /// How many were looked at before.
    looked_at: usize,
    cursor: Cursor,
    stop: CancellationToken,
}

impl Progress {
    /// Takes what became of one more, and returns how many there are. Beyond the most, none begins any more.
    fn take(&mut self, converted: ConvertedAccount, most: usize) -> usize {
        self.cursor = converted.cursor.clone();
        self.done.push(converted);
        if self.done.len() > most {
            self.is_too_large = true;
            self.stop.cancel();
        }
        self.done.len()
    }
}

/// All batches of this process.
#[derive(Default)]
pub struct Batches(Mutex<BTreeMap<String, Arc<Batch>>>);

impl Batches {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Batch>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of a user.
    #[must_use]
    pub fn find(&self, id: &str, user: &str) -> Option<Arc<Batch>> {
        self.all().get(id).filter(|batch| batch.user == user).cloned()
    }

    /// Those of a user, the newest first.
    #[must_use]
    pub fn of(&self, user: &str) -> Vec<Arc<Batch>> {
        // Ids begin with the time.
        self.all().values().rev().filter(|batch| batch.user == user).cloned().collect()
    }

    /// Stores one, and forgets the oldest that is not under way; `None` if all are. Of one that is there already, that one is returned.
    pub fn keep(&self, batch: Batch) -> Option<Arc<Batch>> {
        let mut all = self.all();
        if let Some(known) = all.get(&batch.id) {
            return Some(Arc::clone(known)).filter(|known| known.user == batch.user);
        }
        if all.len() >= MOST {
            let oldest = all.iter().find(|(_, batch)| !batch.progress().is_running).map(|(id, _)| id.clone())?;
            all.remove(&oldest);
        }
        let batch = Arc::new(batch);
        all.insert(batch.id.clone(), Arc::clone(&batch));
        Some(batch)
    }
}

impl Batch {
    /// One that has not begun.
    #[must_use]
    pub fn new(id: String, user: String, began_at: UnixMillis, plan: BatchPlan) -> Self {
        Self { id, user, began_at, plan, progress: Mutex::default() }
    }

    /// How far it is.
    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are; 0 of a filter, until they are counted.
    #[must_use]
    pub fn total(&self, progress: &Progress) -> usize {
        match &self.plan.chosen {
            Chosen::List(list) => list.len(),
            Chosen::Filter(..) => progress.looked_at,
        }
    }

    /// Stops it after what is under way.
    pub fn stop(&self) {
        self.progress().stop.cancel();
    }

    /// Begins it, or goes on behind the last organization, unless it is under way. What was looked at only is begun anew to be done.
    pub fn run(self: &Arc<Self>, console: &Console, visitor: &Visitor, is_dry: bool) {
        {
            let mut progress = self.progress();
            // A form that is sent again looks at what was done already, and does not throw its report away.
            let was_done = !progress.is_dry && (progress.is_over || !progress.done.is_empty());
            let is_ended = progress.is_too_large || (progress.is_over && progress.is_dry == is_dry);
            if progress.is_running || is_ended || (is_dry && was_done) {
                return;
            }
            if progress.is_dry != is_dry {
                *progress = Progress { is_dry, looked_at: progress.done.len(), ..Progress::default() };
            }
            (progress.is_running, progress.problem, progress.stop) = (true, None, CancellationToken::new());
        }
        let (batch, console, visitor) = (Arc::clone(self), console.clone(), visitor.clone());
        tokio::spawn(async move {
            let problem = batch.work(&console, &visitor, is_dry).await.err();
            let mut progress = batch.progress();
            (progress.is_running, progress.problem) = (false, problem);
        });
    }

    async fn work(&self, console: &Console, visitor: &Visitor, is_dry: bool) -> Result<(), Error> {
        let (cursor, stop) = {
            let progress = self.progress();
            (progress.cursor.clone(), progress.stop.clone())
        };
        let BatchPlan { chosen, mode, limit, is_suggested, allow_unusable, reason } = self.plan.clone();
        let selection = match chosen {
            Chosen::List(list) => Selection::List(list),
            Chosen::Filter(prefix, currency) => Selection::Filter { prefix, currency },
        };
        let plan = Plan {
            batch_id: self.id.clone(),
            mode,
            limit,
            is_suggested,
            limit_if_unchanged: false,
            allow_unusable,
            is_dry_run: is_dry,
            metadata: Metadata { reason, ..Metadata::default() },
        };
        let converting = console.use_cases.convert_accounts(visitor.lasting_context(), plan, selection, cursor, stop.clone()).await?;
        let mut converting = pin!(converting);
        while let Some(converted) = converting.next().await {
            let count = self.progress().take(converted?, MOST_CONVERTED);
            if count.is_multiple_of(LOOKED_AFTER) && !visitor.is_still_signed_in(console).await {
                return Err(Error::credentials_ended());
            }
        }
        // What was under way when it was stopped is in the report, too.
        self.progress().is_over = !stop.is_cancelled();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversion_of_too_many_organizations_ends_and_says_so() {
        let mut progress = Progress::default();
        let converted = |number: u64| {
            let cursor = Cursor { done: number, after: None };
            let conversion = service::conversions::Conversion::Refused(Error::no_history("x"));
            ConvertedAccount { id: format!("org-{number}").into(), conversion, cursor, total: 0 }
        };
        assert_eq!([1, 2].map(|number| progress.take(converted(number), 2)), [1, 2]);
        assert!(!progress.is_too_large && !progress.stop.is_cancelled());
        // One that was under way meanwhile is in the report, too.
        assert_eq!([3, 4].map(|number| progress.take(converted(number), 2)), [3, 4]);
        assert!(progress.is_too_large && progress.stop.is_cancelled());
        assert_eq!(progress.cursor.done, 4);
    }
}
