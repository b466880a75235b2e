//! What an operator looks at first: how fast the journal grows, what was declined, how far the billing store is, and what waits for
//! somebody.

use std::sync::Arc;

use super::UseCases;
use super::aggregation::Aggregation;
use super::context::RequestContext;
use super::error::Error;
use super::sending::LATE_MAIL;
use access::Permission;
use billing::backlog::WaitsFor;
use billing::sending::MailState;
use domain::time::{Millis, UnixMillis};

/// How far back declines are counted.
pub const DECLINES: Millis = 3_600_000;

/// How many organizations that were declined are named.
const NAMED: usize = 5;

/// How things are.
#[derive(Clone, Debug)]
pub struct Overview {
    /// When.
    pub now: UnixMillis,
    /// How many entries the journal has had so far: what is charged, paid, reserved and set.
    pub entries: u64,
    /// How many of them the billing store lacks, and for how long the first of these has been waiting; `None` if there is none.
    pub lag: Option<(u64, Millis)>,
    /// How many partitions do not go on.
    pub stopped: usize,
    /// When the month ends.
    pub month_ends: UnixMillis,
    /// What this process declined or refused within the last hour, by reason, the most frequent first.
    pub declines: Vec<(&'static str, usize)>,
    /// The organizations that were declined most often because their credit did not suffice, and how often.
    pub without_credit: Vec<(Arc<str>, usize)>,
    /// What waits for somebody; `None` if there is no billing store, or it is away.
    pub waiting: Option<Waiting>,
}

/// Work that waits for an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Drafts to approve.
    pub to_approve: i64,
    /// Drafts that nobody can issue: an issuer or a rate of tax is missing.
    pub without_settings: i64,
    /// Documents that are held back.
    pub held: i64,
    /// Mails that wait, if the first of them has been waiting for longer than [`LATE_MAIL`].
    pub late_mails: i64,
    /// Mails of which it is unknown whether they were sent.
    pub unknown_mails: i64,
    /// Mails that failed or came back.
    pub failed_mails: i64,
    /// Acts above a figure, on accounts that the caller may look at.
    pub approvals: i64,
}

impl UseCases {
    /// How things are. Accounts are named to those who may read all.
    pub async fn overview(&self, context: &RequestContext) -> Result<Overview, Error> {
        let now = self.clock().now();
        let (mut entries, mut lag, mut stopped) = (0, None, 0);
        match self.aggregation(context).await? {
            Aggregation::Unread(journals) => {
                for journal in journals {
                    entries += journal.first + journal.entries;
                    stopped += usize::from(journal.torn.is_some());
                }
            }
            Aggregation::Followed(journals, ..) => {
                let mut whole = (0, 0);
                for journal in journals {
                    entries += journal.partition.position.next_sequence + journal.lag_entries;
                    whole = (whole.0 + journal.lag_entries, whole.1.max(journal.lag));
                    stopped += usize::from(journal.torn.is_some() || journal.partition.stopped.is_some());
                }
                lag = Some(whole);
            }
        }
        let summary = self.declines.summary(now - DECLINES);
        let named = if context.caller.may_everywhere(Permission::ReadAccounts) { NAMED } else { 0 };
        let (declines, without_credit) = (summary.by_reason.clone(), summary.without_credit.iter().take(named).cloned().collect());
        let [month_ends, _] = self.clock().period_ends(now);
        let waiting = match &self.billing {
            Some(_) => self.waiting(context, now).await.ok(),
            None => None,
        };
        Ok(Overview { now, entries, lag, stopped, month_ends, declines, without_credit, waiting })
    }

    async fn waiting(&self, context: &RequestContext, now: UnixMillis) -> Result<Waiting, Error> {
        let billing = self.billing(context).await?;
        let (backlog, tally) = (billing.backlog(now).await?, billing.mail_tally().await?);
        let waits = |of| backlog.queue(of).count;
        let approvals = if context.caller.may(Permission::ReadAccounts) { self.waiting_approvals(context).await? } else { 0 };
        Ok(Waiting {
            to_approve: waits(WaitsFor::Approval),
            without_settings: waits(WaitsFor::Issuer) + waits(WaitsFor::TaxRate),
            held: backlog.held.count,
            late_mails: tally.late(now - LATE_MAIL),
            unknown_mails: tally.count(MailState::Unknown),
            failed_mails: tally.count(MailState::Failed) + tally.count(MailState::Bounced),
            approvals,
        })
    }
}
