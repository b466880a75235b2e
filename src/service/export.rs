//! An export of usage records: page by page, in the order of the journal, from any place on.

use std::collections::VecDeque;

use crate::billing::usage::Span;
use crate::billing::{Billing, BillingError, Places, UsageRecord};
use crate::domain::account::Millis;

/// How many records a page has at most, of one account; and of how many entries, of all. They are what an export holds in memory.
const PAGE: usize = 2_000;
const SEQUENCES: i64 = 4_000;

/// What to export.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Of this account; None: of all.
    pub account: Option<String>,
    /// Accepted at or after this.
    pub from: Millis,
    /// Accepted before this.
    pub to: Millis,
    /// What is behind this place: partition and sequence.
    pub after: Option<(u16, u64)>,
}

/// An export under way.
#[derive(Debug)]
pub struct UsageExport {
    billing: Billing,
    accepted: (Millis, Millis),
    rest: Rest,
}

/// Where the rest of the records are.
#[derive(Debug)]
enum Rest {
    Spans(VecDeque<Span>),
    Places(Places),
}

impl UsageExport {
    /// Finds where the records are.
    pub async fn begin(billing: Billing, wanted: Wanted) -> Result<Self, BillingError> {
        let Wanted { account, from, to, after } = wanted;
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
                if let Some(first) = spans.front_mut().filter(|span| span.partition == partition) {
                    first.after = first.after.max(i64::try_from(sequence).unwrap_or(i64::MAX));
                }
                Rest::Spans(spans)
            }
        };
        Ok(Self { billing, accepted: (from, to), rest })
    }

    /// The next records; none: that was all.
    pub async fn next(&mut self) -> Result<Vec<UsageRecord>, BillingError> {
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
