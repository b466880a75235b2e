//! Which ledger is opened; opening is not creating.
//!
//! Where there is no ledger, one is created if that was asked for by name. The embedded engine creates its file unasked where neither it
//! nor the billing store's is there, and the billing store's only beside a ledger without entries. A billing store that knows a ledger
//! tells that one was lost, not that there never was one.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use access::StoredCallers;

use super::aggregation::{billing, settings};
use super::store::{Store, redis_options, settings as store_settings};
use crate::billing::{Billing, BillingError, partitions};
use crate::clock::Clock;
use crate::config::{BillingOptions, CreateOptions, Purpose, ServeOptions, StoreOptions, StoresOptions};
use crate::ledger::redis::opening;
use crate::ledger::{Identity, JournalSpan, Ledger, LedgerError, Opening};
use crate::service::callers;

/// How long a service waits for its billing store at the start. Charging does not need it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long after that it is asked again.
const LATER: Duration = Duration::from_secs(5);

/// Decides how a service, or a command that creates a ledger, opens the ledger of these options.
async fn decide(store: &StoreOptions, billing: &BillingOptions, create: &CreateOptions) -> anyhow::Result<Opening> {
    if is_there(store).await? {
        return Ok(Opening::Serving);
    }
    let place = place(store);
    let url = billing.url(store.embedded_path().as_deref());
    let billing_file = url.as_deref().and_then(|url| url.strip_prefix("sqlite://")).filter(|path| Path::new(path).exists());
    if !create.create {
        if store.redis.is_some() {
            bail!(
                "the store is empty: there is no ledger in {place}. If there never was one, create it by `tollgate init`, or `serve \
                 --create`; if it was lost, bring it back from its append-only file or a snapshot, or by `tollgate restore`"
            );
        }
        if let Some(path) = billing_file {
            bail!(
                "the ledger is gone: there is no {place}, but its billing store {path} is there. Bring the file back, or restore it by \
                 `tollgate restore`"
            );
        }
    }
    match known_ledger(url.as_deref(), billing_file.is_some(), store, billing).await? {
        Some(known) => bail!(
            "the ledger is gone: there is none in {place}, and the billing store {known}. Bring it back, or restore it by `tollgate \
             restore`; a new ledger needs a billing store of its own"
        ),
        None => Ok(Opening::Creating(create.purpose)),
    }
}

/// Opens the ledger of a service, or creates it. Refuses a billing store that is another ledger's; one that is away is looked at later.
pub async fn open(options: &ServeOptions, clock: Clock) -> anyhow::Result<Store> {
    let opening = decide(&options.store, &options.billing, &options.create).await?;
    let store = Store::open(&options.store, opening, clock).await?;
    let url = options.billing_url();
    let file = url.as_deref().and_then(|url| url.strip_prefix("sqlite://")).map(PathBuf::from);
    let missing = file.filter(|path| !path.exists());
    if let Some(path) = &missing {
        if !options.create.create && is_journaled(&ledger(&store).await?).await? {
            bail!(
                "the billing store is gone: there is no {}, but {} has entries. Bring the file back; if there never was one, or its documents \
                 are given up, have a new one made by --create",
                path.display(),
                store.identity()
            );
        }
        // At once: from the first entry on, it must be there.
        std::fs::File::create_new(path).with_context(|| format!("cannot create the billing store {}", path.display()))?;
    }
    if let Some(billing) = billing(url.filter(|_| missing.is_none()), &options.billing, options.store.billing_time_zone_name(), None)? {
        let ledger = ledger(&store).await?;
        let check = async {
            billing.store().check_new().await?;
            belongs(&billing, &ledger).await
        };
        let checked = timeout(PATIENCE, check).await;
        billing.store().close().await;
        if let Ok(Err(error @ (BillingError::Foreign(_) | BillingError::Invalid { .. }))) = checked {
            return Err(error.into());
        }
    }
    if options.billing_url().is_none() {
        refuse_unread(&store).await?;
    }
    Ok(store)
}

/// Refuses a billing store that is another ledger's, or that of this ledger as it was restored since.
async fn belongs(billing: &Billing, ledger: &Ledger) -> Result<(), BillingError> {
    billing.check_ledger(ledger.identity()).await?;
    partitions::check_number(billing.store(), ledger.partitions()).await?;
    billing.check_is_current(ledger).await
}

/// Does so once the billing store can be asked: at the start it may have been away. What is charged meanwhile by a ledger that is not its own would
/// never be billed, so that this ends the service, which is then not started again.
pub async fn refuse_foreign(billing: Option<&Billing>, ledger: &Ledger) -> anyhow::Result<()> {
    let Some(billing) = billing else { return pending().await };
    loop {
        match belongs(billing, ledger).await {
            Ok(()) => return pending().await,
            Err(error @ (BillingError::Foreign(_) | BillingError::Invalid { .. })) => return Err(error.into()),
            Err(_) => sleep(LATER).await,
        }
    }
}

/// Refuses to go without a billing store where one reads the journal: what that has not read yet would be deleted.
async fn refuse_unread(store: &Store) -> anyhow::Result<()> {
    if is_journal_read(&ledger(store).await?).await? {
        bail!(
            "a billing store reads the journal of {}, and with --billing off what it has not read would be deleted: give its URL by \
             --billing; or, if it is to read no more, say so by `tollgate release-journal`",
            store.identity()
        );
    }
    Ok(())
}

/// Who may call by the billing store, as the ledger's store has it; `None` if that is not known. The billing store is waited for only a
/// moment.
pub async fn callers(options: &ServeOptions, store: &Store) -> anyhow::Result<Option<StoredCallers>> {
    let ledger = ledger(store).await?;
    let mut is_known = options.billing_url().is_none();
    if let Some(billing) = billing(options.billing_url(), &options.billing, options.store.billing_time_zone_name(), None)? {
        let copied = timeout(PATIENCE, callers::copy(&billing, &ledger)).await;
        billing.store().close().await;
        match copied {
            Ok(Err(error)) => tracing::debug!("who may call is what was copied last: {error:#}"),
            Ok(Ok(())) => is_known = true,
            Err(_) => {}
        }
    }
    match ledger.engine().callers(None).await? {
        Some(copied) => Ok(Some(serde_json::from_str(&copied.content).context("the copy of who may call cannot be read")?)),
        None => Ok(is_known.then(StoredCallers::nobody)),
    }
}

/// Whether a ledger has entries.
async fn is_journaled(ledger: &Ledger) -> anyhow::Result<bool> {
    let spans = spans(ledger).await;
    let is_journaled = spans.iter().flatten().any(|span| span.next > 1);
    Ok(is_journaled || spans.into_iter().collect::<Result<Vec<_>, _>>().map(|_| false)?)
}

/// Whether a billing store reads the journal. Of partitions that are away nothing is known: the store refuses to delete what has a reader.
async fn is_journal_read(ledger: &Ledger) -> anyhow::Result<bool> {
    let spans = spans(ledger).await;
    let is_read = spans.iter().flatten().any(|span| span.is_read);
    match spans.iter().any(Result::is_ok) {
        true => Ok(is_read),
        false => Ok(spans.into_iter().collect::<Result<Vec<_>, _>>().map(|_| false)?),
    }
}

async fn spans(ledger: &Ledger) -> Vec<Result<JournalSpan, LedgerError>> {
    join_all((0..ledger.partitions()).map(|partition| ledger.engine().journal_span(partition))).await
}

/// Says that nobody reads the journal any more: from now on it may be deleted unread. Returns the ledger, if there was a reader.
pub async fn release_journal(options: &StoreOptions) -> anyhow::Result<Option<Identity>> {
    let store = Store::open(options, Opening::Existing, Clock::running(options.billing_time_zone.clone())).await?;
    let ledger = ledger(&store).await?;
    let was_read = is_journal_read(&ledger).await?;
    for partition in 0..ledger.partitions() {
        ledger.engine().note_reader(partition, false).await?;
    }
    Ok(was_read.then(|| store.identity().clone()))
}

/// The ledger that was opened.
async fn ledger(store: &Store) -> anyhow::Result<Ledger> {
    Ok(Ledger::start(store.engine().await?, store.watchers.clone(), store.clock.clone()))
}

/// Creates a ledger, and returns it. Refused where there is one.
pub async fn create(options: &StoresOptions, purpose: Purpose) -> anyhow::Result<Identity> {
    let create = CreateOptions { create: true, purpose };
    let opening = decide(&options.store, &options.billing, &create).await?;
    let store = Store::open(&options.store, opening, Clock::running(options.store.billing_time_zone.clone())).await?;
    anyhow::ensure!(opening == Opening::Creating(purpose), "there is a ledger already: {}", store.identity());
    Ok(store.identity().clone())
}

async fn is_there(store: &StoreOptions) -> anyhow::Result<bool> {
    match &store.redis {
        Some(url) => {
            let partitions = store_settings(store).await?.partitions;
            let found = opening::find(&redis_options(store, url), partitions).await;
            Ok(found.with_context(|| format!("cannot use the store in the {url}"))?.is_some())
        }
        None => Ok(store.path().exists()),
    }
}

/// Where the ledger would be, for people.
fn place(store: &StoreOptions) -> String {
    match &store.redis {
        Some(url) => redis_options(store, url).place().to_string(),
        None => store.path().display().to_string(),
    }
}

/// The ledger that the billing store knows, if it knows one.
async fn known_ledger(
    url: Option<&str>,
    is_file_there: bool,
    store: &StoreOptions,
    options: &BillingOptions,
) -> anyhow::Result<Option<String>> {
    let Some(url) = url else { return Ok(None) };
    if url.starts_with("sqlite://") && !is_file_there {
        return Ok(None);
    }
    let settings = settings(&options.documents, store.billing_time_zone_name())?;
    match Billing::open_existing(url, settings).await {
        Ok(known) => {
            let ledger = known.known_ledger().await?.unwrap_or_default();
            let known_by = format!("in {} knows {ledger}", known.place());
            known.store().close().await;
            Ok(Some(known_by))
        }
        Err(BillingError::Foreign(_)) => Ok(None),
        Err(error @ BillingError::Invalid { .. }) => Err(error.into()),
        Err(error) => Err(error).context("a ledger is only created when its billing store can be asked whether it knows one that was lost"),
    }
}
