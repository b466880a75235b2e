//! An export of usage records: page by page, in the order of the journal, from any place on.

use std::collections::VecDeque;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::UseCases;
use super::admission::StreamPermit;
use super::context::RequestContext;
use super::error::Error;
use super::stream_access::StreamAccess;
use access::Permission;
use billing::usage::Span;
use billing::{Billing, BillingError, Places, UsageRecord};
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// How many records a page has at most, of one account; and of how many entries, of all. Two pages are what an export holds in memory.
const PAGE: usize = 2_000;
const SEQUENCES: i64 = 4_000;

/// What to export.
#[derive(Clone, Debug)]
pub struct ExportQuery {
    /// Of this account; `None` means of all.
    pub account: Option<AccountId>,
    /// Accepted at or after this.
    pub from: UnixMillis,
    /// Accepted before this.
    pub to: UnixMillis,
    /// What is behind this place: partition and sequence.
    pub after: Option<(u16, u64)>,
}

/// An export under way.
#[derive(Debug)]
pub struct UsageExport {
    pages: UsagePages,
    stopping: CancellationToken,
    access: StreamAccess,
    account: Option<AccountId>,
    _permit: StreamPermit,
}

/// A page, and what reads the pages behind it.
type Page = (Result<Vec<UsageRecord>, BillingError>, Reading);

/// The pages of an export. While its caller passes a page on, the next one is read.
#[derive(Debug)]
pub struct UsagePages {
    /// At most one; dropped, it is given up. It is no work of the queue for such: what waits for it holds a place there.
    ahead: JoinSet<Page>,
}

/// The pages that are left.
#[derive(Debug)]
struct Reading {
    billing: Billing,
    accepted: (UnixMillis, UnixMillis),
    rest: Rest,
}

/// Where the rest of the records are.
#[derive(Debug)]
enum Rest {
    Spans(VecDeque<Span>),
    Places(Places),
}

impl UseCases {
    /// Begins an export of usage records.
    pub async fn export_usage(&self, context: RequestContext, wanted: ExportQuery) -> Result<UsageExport, Error> {
        // What is exported of all is read along the journal, where accounts stand side by side.
        let account = wanted.account.clone();
        self.telling(&context, may_export(&context, account.as_ref()))?;
        let permit = self.admission.stream(&context)?;
        let pages = UsagePages::begin(self.billing(&context).await?.clone(), wanted).await?;
        Ok(UsageExport { pages, stopping: self.stopping.clone(), access: self.stream_access(context)?, account, _permit: permit })
    }
}

fn may_export(context: &RequestContext, account: Option<&AccountId>) -> Result<(), Error> {
    match account {
        Some(account) => context.require(Permission::ExportUsage, account),
        None => context.require_everywhere(Permission::ExportUsage),
    }
}

impl UsageExport {
    /// The next records; empty at the end.
    pub async fn next(&mut self) -> Result<Vec<UsageRecord>, Error> {
        if self.stopping.is_cancelled() {
            return Err(Error::stopping());
        }
        self.access.check()?;
        may_export(self.access.context(), self.account.as_ref())?;
        Ok(self.pages.next().await?)
    }
}

impl UsagePages {
    /// Finds where the records are.
    pub async fn begin(billing: Billing, wanted: ExportQuery) -> Result<Self, BillingError> {
        let ExportQuery { account, from, to, after } = wanted;
        let rest = match account {
            Some(account) => {
                let mut places = billing.usage_of(&account, from, to).await?;
                places.skip_to(after.unwrap_or_default());
                Rest::Places(places)
            }
            None => {
                let (partition, sequence) = after.unwrap_or_default();
                let mut spans: VecDeque<_> = billing.spans(from, to).await?.into();
                spans.retain(|span| span.partition >= partition);
                for span in spans.iter_mut().filter(|span| span.partition == partition) {
                    span.after = span.after.max(i64::try_from(sequence).unwrap_or(i64::MAX));
                }
                Rest::Spans(spans)
            }
        };
        let mut pages = Self { ahead: JoinSet::new() };
        pages.ahead.spawn(Reading { billing, accepted: (from, to), rest }.read());
        Ok(pages)
    }

    /// The next records; empty at the end.
    pub async fn next(&mut self) -> Result<Vec<UsageRecord>, BillingError> {
        let Some(read) = self.ahead.join_next().await else { return Ok(Vec::new()) };
        let (page, rest) = read.map_err(BillingError::unavailable)?;
        let page = page?;
        if !page.is_empty() {
            self.ahead.spawn(rest.read());
        }
        Ok(page)
    }
}

impl Reading {
    async fn read(mut self) -> Page {
        let page = self.next().await;
        (page, self)
    }

    async fn next(&mut self) -> Result<Vec<UsageRecord>, BillingError> {
        let spans = match &mut self.rest {
            Rest::Places(places) => return self.billing.usage_at(places, PAGE).await,
            Rest::Spans(spans) => spans,
        };
        while let Some(span) = spans.front_mut() {
            let Some(page) = span.take(SEQUENCES) else {
                spans.pop_front();
                continue;
            };
            let records = self.billing.usage(page, self.accepted).await?;
            if !records.is_empty() {
                return Ok(records);
            }
        }
        Ok(Vec::new())
    }
}
