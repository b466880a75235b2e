//! Who waits for changes of which account, in this process.
//!
//! An announcement is a hint: a watcher that receives it reads the account. Announcements that nobody picked up in time are one. An account is read
//! once for all who watch it, at most once in [`PAUSE`], and only after an announcement or when the watcher asks for it. Accounts that change
//! all the time are read in turn, one each [`TURN`]. So neither many watchers nor many changes cost others much.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Ledger, LedgerError};
use domain::account::Account;
use domain::ids::AccountId;
use domain::money::Units;
use domain::outcome::Refusal;
use domain::time::UnixMillis;

/// How long an account that was read is not read again, however often it changes.
pub const PAUSE: Duration = Duration::from_millis(20);

/// How long after one account another is read again, of those that were read before. An account that is alone in changing waits for none.
pub const TURN: Duration = Duration::from_millis(1);

/// For how long other processes are listened to after the last watch has ended: the next one may come soon.
const LINGER: Duration = Duration::from_secs(5);

/// For how long nothing is announced to other processes where none was there to hear it.
pub const UNHEARD: Duration = Duration::from_millis(200);

/// All watchers in this process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Watchers {
    by_account: Arc<Mutex<HashMap<AccountId, Watched>>>,
    /// Whether there are any.
    is_any: Arc<watch::Sender<bool>>,
    /// When the next account may be read again.
    next_turn: Arc<Mutex<Option<Instant>>>,
    /// Of each partition that anything was announced of.
    others: Arc<Mutex<HashMap<u16, RemoteListeners>>>,
}

/// Listeners to a partition in other processes. Each partition is its own case: it may be at a server that they
/// cannot hear, while they hear all others.
#[derive(Debug, Default)]
struct RemoteListeners {
    /// This process hears what it announces, too.
    is_listening: bool,
    /// There was nobody else; after this it is tried again.
    unheard_until: Option<Instant>,
}

/// An account that somebody watches.
#[derive(Debug)]
struct Watched {
    /// Counts announcements.
    changes: watch::Sender<u64>,
    last: Arc<tokio::sync::Mutex<Option<AccountReading>>>,
}

/// What a watched account was read as.
#[derive(Clone, Copy, Debug)]
pub struct AccountReading {
    /// The account, due events applied.
    pub account: Account,
    /// Below which usable credit counts as low.
    pub low_credit_threshold: Option<Units>,
    /// The instant that it is shown as of: the ledger's.
    pub now: UnixMillis,
    /// When the reading began.
    pub at: Instant,
    /// How many changes had been announced by then.
    changes: u64,
}

/// A place to wait for changes of one account.
#[derive(Debug)]
pub struct Watch {
    account: AccountId,
    changes: watch::Receiver<u64>,
    last: Arc<tokio::sync::Mutex<Option<AccountReading>>>,
    watchers: Watchers,
}

impl Watchers {
    /// Starts to wait for changes of an account.
    #[must_use]
    pub fn watch(&self, account: &AccountId) -> Watch {
        let mut by_account = self.by_account.lock().unwrap_or_else(PoisonError::into_inner);
        let watched =
            by_account.entry(account.to_owned()).or_insert_with(|| Watched { changes: watch::channel(0).0, last: Arc::default() });
        let (changes, last) = (watched.changes.subscribe(), Arc::clone(&watched.last));
        self.is_any.send_if_modified(|is_any| !std::mem::replace(is_any, true));
        Watch { account: account.to_owned(), changes, last, watchers: self.clone() }
    }

    /// Whether nobody waits for anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_account.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Waits until somebody watches.
    pub async fn begun(&self) {
        let _ = self.is_any.subscribe().wait_for(|is_any| *is_any).await;
    }

    /// Waits until nobody has watched for a while.
    pub async fn ended(&self) {
        let mut is_any = self.is_any.subscribe();
        loop {
            let _ = is_any.wait_for(|is_any| !is_any).await;
            if timeout(LINGER, is_any.wait_for(|is_any| *is_any)).await.is_err() {
                return;
            }
        }
    }

    /// Waits until an account may be read again.
    async fn turn(&self) {
        let turn = {
            let mut next = self.next_turn.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = next.unwrap_or_else(Instant::now).max(Instant::now());
            *next = Some(turn + TURN);
            turn
        };
        sleep_until(turn).await;
    }

    /// Whether another process may be there to hear an announcement of a partition: to announce every change to nobody costs as much as to
    /// many.
    #[must_use]
    pub fn may_be_heard(&self, partition: u16) -> bool {
        self.others_of(partition, |others| others.unheard_until.is_none_or(|until| Instant::now() >= until))
    }

    /// Notes how many connections heard an announcement of a partition, that of this process included.
    pub fn heard_by(&self, partition: u16, receivers: i64) {
        self.others_of(partition, |others| {
            let is_unheard = receivers <= i64::from(others.is_listening);
            others.unheard_until = is_unheard.then(|| Instant::now() + UNHEARD);
        });
    }

    /// Sets whether this process hears announcements of a partition.
    pub fn set_listening(&self, partition: u16, is_listening: bool) {
        self.others_of(partition, |others| others.is_listening = is_listening);
    }

    fn others_of<T>(&self, partition: u16, act: impl FnOnce(&mut RemoteListeners) -> T) -> T {
        act(self.others.lock().unwrap_or_else(PoisonError::into_inner).entry(partition).or_default())
    }

    /// Announces that an account has changed.
    pub fn announce(&self, account: &str) {
        if let Some(watched) = self.by_account.lock().unwrap_or_else(PoisonError::into_inner).get(account) {
            watched.announce();
        }
    }

    /// Announces that some accounts have changed.
    pub fn announce_each<'a>(&self, accounts: impl Iterator<Item = &'a str>) {
        let by_account = self.by_account.lock().unwrap_or_else(PoisonError::into_inner);
        if !by_account.is_empty() {
            accounts.filter_map(|account| by_account.get(account)).for_each(Watched::announce);
        }
    }

    /// Announces that anything may have changed: announcements may have been lost.
    pub fn announce_all(&self) {
        for watched in self.by_account.lock().unwrap_or_else(PoisonError::into_inner).values() {
            watched.announce();
        }
    }
}

impl Watched {
    fn announce(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Ledger {
    /// Reads a watched account as it is now, or at least as it was at that instant and after all changes that are known of. All its watchers
    /// share the result.
    pub async fn look(&self, watch: &Watch, not_before: Instant) -> Result<Result<AccountReading, Refusal>, LedgerError> {
        let known = *watch.changes.borrow();
        let mut last = watch.last.lock().await;
        if let Some(look) = *last {
            if look.changes >= known && look.at >= not_before {
                return Ok(Ok(look));
            }
            sleep_until(look.at + PAUSE).await;
            watch.watchers.turn().await;
        }
        let (changes, at) = (*watch.changes.borrow(), Instant::now());
        let (outcome, profile) = join(self.observe(&watch.account, true), self.profile(&watch.account)).await;
        let (account, now) = match outcome? {
            Ok(outcome) => (outcome.account, outcome.now),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let low_credit_threshold = profile?.and_then(|profile| profile.low_credit_threshold);
        let look = AccountReading { account, low_credit_threshold, now, at, changes };
        *last = Some(look);
        Ok(Ok(look))
    }
}

impl Watch {
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// Waits for the next change since the last wait.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut by_account = self.watchers.by_account.lock().unwrap_or_else(PoisonError::into_inner);
        // This receiver is still counted.
        if by_account.get(&self.account).is_some_and(|watched| watched.changes.receiver_count() <= 1) {
            by_account.remove(&self.account);
            self.watchers.is_any.send_if_modified(|is_any| by_account.is_empty() && std::mem::replace(is_any, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_else_hears_is_not_announced_for_a_moment() {
        let watchers = Watchers::default();
        assert!(watchers.may_be_heard(1));
        watchers.heard_by(1, 1);
        assert!(watchers.may_be_heard(1), "it was somebody else");
        watchers.set_listening(1, true);
        watchers.heard_by(1, 1);
        assert!(!watchers.may_be_heard(1));
        assert!(watchers.may_be_heard(0) && watchers.may_be_heard(2), "others may be heard");
        tokio::time::sleep(UNHEARD).await;
        assert!(watchers.may_be_heard(1));
        watchers.heard_by(1, 2);
        assert!(watchers.may_be_heard(1));
    }

    #[tokio::test]
    async fn accounts_that_change_all_the_time_are_read_in_turn() {
        let watchers = Watchers::default();
        let begun = Instant::now();
        futures_util::future::join_all((0..64).map(|_| watchers.turn())).await;
        assert!(begun.elapsed() >= 63 * TURN);
    }

    #[tokio::test]
    async fn others_are_listened_to_from_the_first_watch_until_a_while_after_the_last() {
        const SOON: Duration = Duration::from_millis(20);
        let watchers = Watchers::default();
        timeout(SOON, watchers.begun()).await.unwrap_err();
        let first = watchers.watch(&"acme".into());
        watchers.begun().await;
        let second = watchers.watch(&"other".into());
        drop(first);
        assert!(*watchers.is_any.borrow());
        drop(second);
        assert!(!*watchers.is_any.borrow());
        timeout(SOON, watchers.ended()).await.unwrap_err();
    }

    #[tokio::test]
    async fn who_watches_an_account_hears_of_it_and_is_forgotten_afterwards() {
        let watchers = Watchers::default();
        let mut watch = watchers.watch(&"acme".into());
        watchers.announce("other");
        watchers.announce("acme");
        watch.changed().await;
        drop(watch);
        assert!(watchers.is_empty());
    }
}
