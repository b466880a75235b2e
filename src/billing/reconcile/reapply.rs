//! Asks the ledger again for what only SQL had: the same changes, by the same request ids, as far as an entry tells what was asked.
//!
//! Each is done at most once, however often it is tried: the ledger remembers the request ids. What cannot be asked for again is said:
//! reservations (they have expired, or will be made again), and closes of periods (the ledger writes them on its own). A client that repeats
//! its request afterwards gets the decision: the ledger remembers the fingerprint of what was asked first.

use sqlx::{AssertSqlSafe, Row};

use super::ReconcileError;
use super::later_writes::LaterWrites;
use crate::Billing;
use crate::lookup::{LookedUp, look_up};
use crate::record::{COLUMNS, Record, number};
use domain::command::{Action, Command, Create, Debit, ExcessPolicy, LimitChange, RemainderPolicy, Reversal, TemporaryChange, Until};
use domain::entry::{Entry, EntryData, EntryKind, Fingerprint, Limits, Settings};
use domain::ids::AccountId;
use domain::money::{DecimalAmount, Units};
use domain::outcome::{Answer, Refusal, Verdict};
use domain::time::UnixMillis;
use ledger::{Ledger, LedgerError};

/// An entry, and whether it was applied again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reapplied {
    /// The entry.
    pub id: String,
    pub account: AccountId,
    /// What it was.
    pub kind: EntryKind,
    /// The outcome.
    pub outcome: Applied,
}

/// The result of applying an entry again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// For people.
    pub text: String,
    /// Whether nothing of it is left to be decided.
    pub is_settled: bool,
}

impl Applied {
    fn settled(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_settled: true }
    }

    fn left(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_settled: false }
    }

    fn refused(refusal: Refusal) -> Self {
        Self::left(format!("refused: {}", refusal.reason()))
    }

    /// Whether it was asked so long ago that a repetition of it may be forgotten.
    #[must_use]
    pub fn is_too_old(&self) -> bool {
        *self == Self::refused(Refusal::RequestTooOld)
    }
}

/// The commands to re-apply, and to which partition.
#[derive(Clone, Copy)]
pub struct ReapplyTarget<'a> {
    /// Looks up what refunds need, if it is there.
    pub billing: Option<&'a Billing>,
    /// Is asked.
    pub ledger: &'a Ledger,
    /// Also what was asked before the window in which request ids are remembered: what was repeated since is done twice, unless the
    /// journal still shows it.
    pub accept_repeats: bool,
}

impl std::fmt::Debug for ReapplyTarget<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ReapplyTarget").field("accept_repeats", &self.accept_repeats).finish_non_exhaustive()
    }
}

/// Applies again what waits for it. Stopped in the middle, it goes on where it was.
pub async fn reapply(billing: &Billing, ledger: &Ledger, accept_repeats: bool) -> Result<Vec<Reapplied>, ReconcileError> {
    let again = ReapplyTarget { billing: Some(billing), ledger, accept_repeats };
    let sql = format!(
        "SELECT reconciliation, {COLUMNS} FROM lost_entries WHERE outcome = 'WAITING' OR outcome = $1 ORDER BY reconciliation, partition, \
         sequence"
    );
    let also = if accept_repeats { Applied::refused(Refusal::RequestTooOld).text } else { "WAITING".to_owned() };
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(also).fetch_all(billing.store().pool()).await?;
    let mut waiting = Vec::with_capacity(rows.len());
    for row in &rows {
        waiting.push((row.try_get::<i64, _>("reconciliation")?, Record::from_row(row)?));
    }
    let mut done = Vec::new();
    for waiting in waiting.chunk_by(|(id, one), (next_id, next)| (id, one.partition) == (next_id, next.partition)) {
        let Some((_, Record { partition, .. })) = waiting.first() else { continue };
        let lost: Vec<_> = waiting.iter().map(|(_, record)| (record.sequence, &record.entry)).collect();
        let mut since = LaterWrites::read(ledger, *partition, &lost).await?;
        let mut waiting = waiting.iter().peekable();
        while let Some((reconciliation, record)) = waiting.next() {
            let limit = waiting.next_if(|(_, next)| is_limit_of(&record.entry, &next.entry)).map(|(_, next)| next);
            let outcome = again.apply(&record.entry, limit.map(|next| &next.entry), &mut since).await?;
            let sql = "UPDATE lost_entries SET outcome = $1 WHERE reconciliation = $2 AND partition = $3 AND sequence BETWEEN $4 AND $5";
            sqlx::query(sql)
                .bind(outcome.text.clone())
                .bind(*reconciliation)
                .bind(i64::from(record.partition))
                .bind(number(record.sequence))
                .bind(number(limit.unwrap_or(record).sequence))
                .execute(billing.store().pool())
                .await?;
            for record in [Some(record), limit].into_iter().flatten() {
                let (account, kind) = (record.entry.account.clone(), record.entry.kind());
                done.push(Reapplied { id: record.id(), account, kind, outcome: outcome.clone() });
            }
        }
    }
    Ok(done)
}

impl ReapplyTarget<'_> {
    /// Applies an entry again, with the limit that a conversion set besides.
    pub(super) async fn apply(&self, entry: &Entry, limit: Option<&Entry>, since: &mut LaterWrites) -> Result<Applied, ReconcileError> {
        let Some(decimals) = decimals(self.ledger, entry).await? else { return Ok(Applied::refused(Refusal::AccountNotFound)) };
        let mut command = match command(entry, limit, decimals) {
            Err(reason) => return Ok(Applied::settled(reason)),
            Ok(command) => command,
        };
        if let Some(objection) = since.objection(entry) {
            return Ok(Applied::left(objection));
        }
        // What was repeated since may be forgotten by now, but for what the journal shows.
        if self.accept_repeats && !since.has(entry) {
            command.first_sent_at = None;
        }
        Ok(match self.decide(command, entry.fingerprint).await? {
            Ok(outcome) => match outcome.decision.map(|decision| decision.verdict) {
                Some(Verdict::Declined) if outcome.replayed => Applied::left("not applied: it was declined meanwhile"),
                Some(Verdict::Declined) => Applied::left("not applied: it is declined"),
                Some(Verdict::Unchanged) => Applied::settled("not applied: it is so already"),
                _ if outcome.replayed => Applied::settled("applied already"),
                _ => Applied::settled("applied"),
            },
            // It is in the journal, and no longer among the remembered ids.
            Err(Refusal::RequestTooOld) if since.has(entry) => Applied::settled("applied already"),
            Err(refusal) => Applied::refused(refusal),
        })
    }

    /// Executes a command, with what the step asks for.
    async fn decide(&self, mut command: Command, fingerprint: Fingerprint) -> Result<Answer, ReconcileError> {
        loop {
            let answer = self.ledger.submit_again(command.clone(), fingerprint).await?;
            let Err(needed @ (Refusal::OriginalNeeded | Refusal::BillNeeded)) = answer else { return Ok(answer) };
            command = match look_up(self.ledger, self.billing, command, needed).await? {
                LookedUp::Completed(command) => *command,
                LookedUp::NeverWas | LookedUp::NoLongerKnown => return Ok(Err(Refusal::ChargeNotFound)),
            };
        }
    }
}

/// Whether an entry is the limit that came with a conversion: one command, which has left two entries.
pub(super) fn is_limit_of(entry: &Entry, limit: &Entry) -> bool {
    (entry.kind(), limit.kind()) == (EntryKind::Converted, EntryKind::LimitSet)
        && (&entry.account, &entry.request_id) == (&limit.account, &limit.request_id)
}

/// How many decimals the account's amounts have; `None` if the ledger does not have the account. Its creation says so itself.
async fn decimals(ledger: &Ledger, entry: &Entry) -> Result<Option<u8>, LedgerError> {
    if let Some((_, decimals, _)) = entry.data.settings().and_then(|settings| settings.denomination) {
        return Ok(Some(decimals));
    }
    let found = ledger.engine().load(ledger.partition_of(&entry.account), vec![entry.account.clone()]).await?;
    Ok(found.into_iter().next().flatten().map(|(account, _)| account.decimals))
}

/// The command that asks for what an entry records, and the limit that it set besides; else why there is none.
fn command(entry: &Entry, set_limit: Option<&Entry>, decimals: u8) -> Result<Command, &'static str> {
    let decimal = |units: Units| DecimalAmount::new(units.get(), decimals);
    let undo = |units: Units| Reversal::of(entry.refers_to.clone(), Some(decimal(units)));
    let action = match &entry.data {
        EntryData::Charged { amount, .. } => {
            let category = entry.metadata.category.unwrap_or(domain::account::Category::Usage);
            Action::Debit(Debit {
                amount: decimal(*amount),
                category,
                reservation: None,
                then: RemainderPolicy::Settle,
                excess: ExcessPolicy::AlreadyConsumed,
            })
        }
        EntryData::ToppedUp { amount } => Action::TopUp { amount: decimal(*amount) },
        EntryData::PaymentRecorded { amount } => {
            Action::RecordPayment { amount: decimal(*amount), invoices: entry.metadata.invoices.clone() }
        }
        EntryData::Withdrawn { amount } => Action::Withdraw { amount: decimal(*amount), is_paid_out: true },
        EntryData::Adjusted { amount } => Action::Adjust { amount: decimal(*amount) },
        data @ EntryData::Refunded { .. } => Action::Refund(undo(data.taken_off())),
        EntryData::PaymentReversed { amount, .. } => Action::ReversePayment(undo(*amount)),
        EntryData::LimitSet { limits } => Action::SetCreditLimit { limit: limit(limits, entry.time, decimals), allow_unusable: true },
        EntryData::Converted { mode } => {
            let limits = set_limit.and_then(|set_limit| set_limit.data.limits());
            let limit = limits.map(|limits| limit(&limits, entry.time, decimals)).unwrap_or_default();
            Action::Convert { mode: *mode, limit, allow_unusable: true }
        }
        EntryData::Created { limits, settings } => match create(entry, limits, settings, decimals) {
            Some(create) => Action::Create(create),
            None => return Err("not applied: it does not say in which currency"),
        },
        EntryData::Updated { settings: Settings { name, low_credit_threshold, non_usage_billing, .. } } => {
            Action::Update { name: name.clone(), low_credit_threshold: *low_credit_threshold, non_usage_billing: *non_usage_billing }
        }
        EntryData::Suspended => Action::Suspend,
        EntryData::Resumed => Action::Resume,
        EntryData::Closed => Action::Close,
        EntryData::Reserved { .. } | EntryData::ReservationExtended { .. } | EntryData::Released { .. } => {
            return Err("not applied: reservations pass");
        }
        EntryData::WrittenOff { amount } => Action::WriteOff { amount: Some(decimal(*amount)) },
        EntryData::WriteOffReversed { amount, .. } => Action::ReverseWriteOff(undo(*amount)),
        EntryData::Reopened => Action::Reopen,
        EntryData::PeriodClosed { .. } | EntryData::FinalBilled { .. } | EntryData::Rounded { .. } | EntryData::AmountDueRounded { .. } => {
            return Err("not applied: the ledger closes bills on its own");
        }
        EntryData::NotItemized { .. } | EntryData::NotItemizedUnbilled { .. } => return Err("not applied: its content is unknown"),
    };
    let mut metadata = entry.metadata.clone();
    metadata.invoices = Vec::new();
    let (account, request_id) = (entry.account.clone(), entry.request_id.clone());
    // A repetition of it may be forgotten as soon as it may be itself.
    Ok(Command { account, request_id, first_sent_at: Some(entry.time), currency: None, action, metadata })
}

fn limit(limits: &Limits, time: UnixMillis, decimals: u8) -> LimitChange {
    let Limits { permanent, temporary, temporary_until } = *limits;
    LimitChange {
        permanent: Some(DecimalAmount::new(permanent.get(), decimals)),
        temporary: if temporary_until > time {
            TemporaryChange::Set { amount: DecimalAmount::new(temporary.get(), decimals), until: Until::Instant(temporary_until) }
        } else {
            TemporaryChange::Keep
        },
    }
}

fn create(entry: &Entry, limits: &Limits, settings: &Settings, decimals: u8) -> Option<Create> {
    let (currency, _, minor_digits) = settings.denomination?;
    Some(Create {
        name: settings.name.clone()?,
        currency,
        minor_digits,
        decimals,
        mode: entry.mode,
        limit: limit(limits, entry.time, decimals),
        low_credit_threshold: settings.low_credit_threshold.flatten(),
        non_usage_billing: settings.non_usage_billing?,
        allow_unusable: true,
    })
}
