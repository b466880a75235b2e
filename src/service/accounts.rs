//! Accounts: what there is of one, and lists of them, of their reservations and of their entries.

use std::time::Duration;

use super::UseCases;
use super::commands::Decided;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::suggestion::{Suggestion, suggest};
use domain::account::Account;
use domain::command::Command;
use domain::ids::AccountId;
use domain::outcome::Outcome;
use ledger::{
    AccountFilter, AccountPage, EntryFilter, EntryPage, EntryPosition, Identity, LedgerError, ListedAccount, NamePlace, ReservationPage,
    ReservationPlace,
};

/// How long the billing store may take to say how far it has come, before the journal is searched instead.
const BILLING_PATIENCE: Duration = Duration::from_millis(250);

/// How many entries a page with a filter looks at in the billing store.
const FILTERED_ENTRIES: usize = 2_000;

/// A page of an account's entries.
#[derive(Clone, Debug)]
pub struct AccountEntries {
    /// The account as it is now.
    pub account: Account,
    /// The entries, newest first.
    pub page: EntryPage,
}

impl UseCases {
    pub async fn ledger_identity(&self, context: &RequestContext) -> Result<&Identity, Error> {
        context.require_everywhere(Permission::ReadAccounts)?;
        Ok(self.ledger.identity())
    }

    /// An account with its settings. Credit and settings are two reads: one may be newer than the other.
    pub async fn account(&self, context: &RequestContext, id: AccountId) -> Result<ListedAccount, Error> {
        context.require(Permission::ReadAccounts, &id)?;
        let outcome = self.look_at(&id).await?;
        Ok(self.with_profile(id, &outcome).await?)
    }

    /// Creates an account, or changes its settings. That it was decided is known: if the account cannot be shown, a repetition shows it.
    pub async fn change_account(&self, context: &RequestContext, command: Command) -> Result<(Decided, ListedAccount), Error> {
        let decided = self.decide(context, command).await?;
        let shown = self.with_profile(decided.command.account.clone(), &decided.outcome).await;
        Ok((decided, shown.map_err(LedgerError::after_step)?))
    }

    async fn with_profile(&self, id: AccountId, outcome: &Outcome) -> Result<ListedAccount, LedgerError> {
        let profile = self.ledger.profile(&id).await?.ok_or_else(|| LedgerError::corrupt("an account has no profile"))?;
        Ok(ListedAccount { id, account: outcome.account, profile, now: outcome.now })
    }

    /// Accounts whose names begin so, in the order of their names.
    pub async fn list_accounts(
        &self,
        context: &RequestContext,
        prefix: &str,
        filter: &AccountFilter,
        after: Option<NamePlace>,
        count: usize,
    ) -> Result<AccountPage, Error> {
        // The ledger finds by names, of any account; a caller that is bound to accounts searches instead.
        context.require_everywhere(Permission::ReadAccounts)?;
        Ok(self.ledger.accounts(prefix, filter, after, count).await?)
    }

    /// An account, and its open reservations in the order in which they expire.
    pub async fn list_reservations(
        &self,
        context: &RequestContext,
        id: &AccountId,
        after: Option<ReservationPlace>,
        count: usize,
    ) -> Result<(Account, ReservationPage), Error> {
        context.require(Permission::ReadAccounts, id)?;
        let outcome = self.look_at(id).await?;
        Ok((outcome.account, self.ledger.reservations(id, outcome.now, after, count).await?))
    }

    /// An account's entries below a sequence, newest first: out of the billing store, which finds them by account, and out of the journal
    /// what the billing store does not have yet. Where that is away, the journal is searched as far as it reaches.
    pub async fn list_entries(
        &self,
        context: &RequestContext,
        id: &AccountId,
        filter: &EntryFilter,
        before: Option<u64>,
        count: usize,
    ) -> Result<AccountEntries, Error> {
        context.require(Permission::ReadAccounts, id)?;
        let account = self.look_at(id).await?.account;
        let page = self.entries(context, id, filter, before, count).await?;
        Ok(AccountEntries { account, page })
    }

    async fn entries(
        &self,
        context: &RequestContext,
        id: &AccountId,
        filter: &EntryFilter,
        before: Option<u64>,
        count: usize,
    ) -> Result<EntryPage, Error> {
        let Some(billing) = &self.billing else { return Ok(self.ledger.entries(id, filter, 0, before, count).await?) };
        let position = context.addition(BILLING_PATIENCE, billing.next_sequence(self.ledger.partition_of(id))).await;
        let down_to = position.and_then(Result::ok).unwrap_or_default();
        let mut page = self.ledger.entries(id, filter, down_to, before, count).await?;
        let is_all = page.is_over || page.searched_to.is_some_and(|searched_to| searched_to <= 1);
        if page.next_before.is_some() || is_all {
            return Ok(page);
        }
        if page.entries.len() == count {
            // The billing store may have more behind it.
            page.next_before = page.searched_to;
            return Ok(page);
        }
        // A filter may leave little of what it looks at.
        let looked_at = if filter.is_all() { count - page.entries.len() } else { FILTERED_ENTRIES };
        let found = billing.entries(id, page.searched_to, looked_at).await?;
        let is_last = found.len() < looked_at;
        page.next_before = None;
        for record in found {
            if filter.is_over(&record.entry) {
                return Ok(EntryPage { next_before: None, ..page });
            }
            if page.entries.len() == count {
                return Ok(page);
            }
            page.next_before = Some(record.sequence);
            if filter.accepts(&record.entry) {
                page.entries.push((EntryPosition { partition: record.partition, sequence: record.sequence }, record.entry));
            }
        }
        page.next_before = page.next_before.filter(|_| !is_last);
        Ok(page)
    }

    /// The credit limit that an account would need in postpaid, by its history.
    pub async fn suggest_limit(&self, context: &RequestContext, id: &AccountId) -> Result<(Outcome, Suggestion), Error> {
        context.require(Permission::ReadAccounts, id)?;
        let seen = self.look_at(id).await?;
        let suggestion = self.estimate(context, id, &seen.account).await?;
        Ok((seen, suggestion))
    }

    pub(super) async fn estimate(&self, context: &RequestContext, id: &AccountId, account: &Account) -> Result<Suggestion, Error> {
        let history = self.billing(context).await?.history(id).await?;
        Ok(suggest(history, account.non_usage_billing, account.decimals))
    }
}
