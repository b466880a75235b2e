//! How far the journal is read, and what becomes of one that nobody reads.

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::partitions::Partition;
use billing::reconcile::numbering::NextNumber;
use billing::retention::RetentionStatus;
use domain::time::Millis;

/// A partition's journal without a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadJournal {
    pub partition: u16,
    /// The first entry that is kept.
    pub first: u64,
    /// How many are kept.
    pub entries: u64,
    /// Why they are not read, for people.
    pub reason: &'static str,
    /// How far the partition's time is ahead of the clock.
    pub ahead: Millis,
    /// The entry at which a step was torn, if one was.
    pub torn: Option<u64>,
}

/// A partition whose journal the billing store follows.
#[derive(Clone, Debug)]
pub struct FollowedJournal {
    /// How far it has come.
    pub partition: Partition,
    /// How many entries it lacks.
    pub lag_entries: u64,
    /// For how long the first of them has been waiting.
    pub lag: Millis,
    /// How far the partition's time is ahead of the clock.
    pub ahead: Millis,
    /// The entry at which a step was torn, if one was.
    pub torn: Option<u64>,
}

/// How the journal is read.
#[derive(Clone, Debug)]
pub enum Aggregation {
    /// There is no billing store.
    Unread(Vec<UnreadJournal>),
    /// By the billing store; the series of document numbers that are held, with the last number of each; and how long things are kept.
    Followed(Vec<FollowedJournal>, Vec<NextNumber>, Vec<RetentionStatus>),
}

impl UseCases {
    /// How far the journal is read.
    pub async fn aggregation(&self, context: &RequestContext) -> Result<Aggregation, Error> {
        context.require_everywhere(Permission::ReadAggregation)?;
        if self.billing.is_none() {
            return Ok(Aggregation::Unread(self.unread_journals().await?));
        }
        let billing = self.billing(context).await?;
        let found = billing.partitions().await?;
        let now = self.clock().now();
        let mut journals = Vec::with_capacity(found.len());
        for partition in found {
            let number = partition.partition;
            let (lag_entries, since) = self.ledger.journal_after(number, partition.position.next_sequence).await?;
            let span = self.ledger.engine().journal_span(number).await?;
            let (lag, ahead) = (since.map_or(0, |since| now - since), span.now - now);
            journals.push(FollowedJournal { partition, lag_entries, lag, ahead, torn: span.torn() });
        }
        Ok(Aggregation::Followed(journals, billing.held_series().await?, billing.retention().await?))
    }

    /// How long things are kept, and what has gone.
    pub async fn retention(&self, context: &RequestContext) -> Result<Vec<RetentionStatus>, Error> {
        context.require_everywhere(Permission::ReadSettings)?;
        Ok(self.billing(context).await?.retention().await?)
    }

    async fn unread_journals(&self) -> Result<Vec<UnreadJournal>, Error> {
        let ledger = &self.ledger;
        let reason = match ledger.journal_bounds().unread_tail {
            Some(_) => "there is no billing store: usage records are discarded without billing; only the newest journal entries are kept",
            None => "there is no billing store: usage records are kept in the journal, and not read",
        };
        let mut journals = Vec::new();
        for partition in 0..ledger.partitions() {
            let span = ledger.engine().journal_span(partition).await?;
            let (entries, ahead) = (span.next.saturating_sub(span.first), span.now - ledger.clock().now());
            journals.push(UnreadJournal { partition, first: span.first, entries, reason, ahead, torn: span.torn() });
        }
        Ok(journals)
    }
}
