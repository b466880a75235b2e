//! Who waits for changes of which account, in this process.
//!
//! An announcement is a hint: whoever hears it reads the account. Announcements that nobody picked up in time are one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// All that watch, in this process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Watchers {
    by_account: Arc<Mutex<HashMap<String, watch::Sender<()>>>>,
}

/// A place to wait for changes of one account.
#[derive(Debug)]
pub struct Watch {
    account: String,
    changes: watch::Receiver<()>,
    watchers: Watchers,
}

impl Watchers {
    /// Starts to wait for changes of an account.
    #[must_use]
    pub fn watch(&self, account: &str) -> Watch {
        let mut by_account = self.by_account.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = by_account.entry(account.to_owned()).or_insert_with(|| watch::channel(()).0);
        Watch { account: account.to_owned(), changes: sender.subscribe(), watchers: self.clone() }
    }

    /// Whether nobody waits for anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_account.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Says that an account has changed.
    pub fn announce(&self, account: &str) {
        if let Some(sender) = self.by_account.lock().unwrap_or_else(PoisonError::into_inner).get(account) {
            sender.send_replace(());
        }
    }

    /// Says that anything may have changed: announcements may have been lost.
    pub fn announce_all(&self) {
        for sender in self.by_account.lock().unwrap_or_else(PoisonError::into_inner).values() {
            sender.send_replace(());
        }
    }
}

impl Watch {
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
        if by_account.get(&self.account).is_some_and(|sender| sender.receiver_count() <= 1) {
            by_account.remove(&self.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_watches_an_account_hears_of_it_and_is_forgotten_afterwards() {
        let watchers = Watchers::default();
        let mut watch = watchers.watch("acme");
        watchers.announce("other");
        watchers.announce("acme");
        watch.changed().await;
        drop(watch);
        assert!(watchers.is_empty());
    }
}
