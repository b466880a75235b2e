//! Conversions and refunds, and what to consider after one, in the order of importance.
//!
//! What the account's history and its bills say is asked of the billing store, but not for longer than a person likes to wait: "unknown" is
//! an answer, and a conversion never fails for it.

use std::sync::Arc;
use std::time::Duration;

use super::UseCases;
use super::commands::Decided;
use super::context::RequestContext;
use super::credit::Unit;
use super::error::Error;
use billing::sending::mail_queries::DocumentSending;
use billing::suggestion::{Suggestion, suggest};
use billing::{Billing, MonthBill};
use domain::account::{Account, Mode};
use domain::command::{Action, Command};
use domain::entry::{Entry, EntryKind};
use domain::ids::AccountId;
use domain::money::Units;
use domain::outcome::Verdict;
use domain::time::UnixMillis;
use ledger::Ledger;
use platform::clock::Clock;

/// How long the billing store, and the journal, may take to answer about a conversion: a person waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same about a refund, which programs make, and many at once.
const PATIENCE_OF_REFUNDS: Duration = Duration::from_millis(100);

/// A decision, and what to consider after it.
#[derive(Clone, Debug)]
pub struct Advised {
    pub decided: Decided,
    /// The most important first.
    pub advice: Vec<Advice>,
    /// What a conversion's advice is made of.
    pub known: AdviceContext,
}

/// Something to consider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What it is about.
    pub topic: Topic,
    /// For people.
    pub text: String,
}

/// What an advice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The credit limit is low.
    LowLimit,
    /// When to convert.
    Timing,
    /// A limit that the account's charges suggest.
    EstimatedLimit,
    /// What is due lowers the usable credit.
    AmountDue,
    FinalBill,
    /// A limit that is still there.
    RemoveLimit,
    /// A limit that is whole again.
    RenewedLimit,
    /// What was written off and not reversed.
    WrittenOff,
}

/// Facts for advice on a conversion.
#[derive(Clone, Debug, Default)]
pub struct AdviceContext {
    /// Which day of the month it is, in the billing time zone.
    pub day: i8,
    /// How far the bill of the month before is; unknown, if the billing store does not say.
    pub last_month: Option<MonthBill>,
    /// The contact for questions whether an invoice was sent.
    pub contact: String,
    /// The limit that the account's history suggests.
    pub suggestion: Option<Suggestion>,
    /// The total of the final bill.
    pub final_bill: Option<Units>,
}

impl UseCases {
    /// Converts an account to the other payment mode.
    pub async fn convert(&self, context: &RequestContext, command: Command) -> Result<Advised, Error> {
        let decided = self.decide(context, command).await?;
        let known = self.ask_around(context, &decided).await;
        let advice = after_conversion(&decided, &known);
        Ok(Advised { decided, advice, known })
    }

    /// Refunds a charge. The advice is what was written off of the account's debts and not reversed, if the billing store says so at once.
    pub async fn refund(&self, context: &RequestContext, command: Command) -> Result<Advised, Error> {
        let decided = self.decide(context, command).await?;
        let advice = match &self.billing {
            Some(billing) => match context.addition(PATIENCE_OF_REFUNDS, billing.written_off(&decided.command.account)).await {
                Some(Ok(written_off @ 1..)) => {
                    let text = format!(
                        "{} of what the customer owed were written off. Reverse the write-off first, so that nobody is paid out what they \
                         never paid.",
                        Unit::of(&decided.outcome.account).show(Units::new(written_off))
                    );
                    vec![piece(Topic::WrittenOff, text)]
                }
                _ => Vec::new(),
            },
            None => Vec::new(),
        };
        Ok(Advised { decided, advice, known: AdviceContext::default() })
    }

    /// What converting an account would lead to, with its advice: decided by the rules, and written nowhere. It is of the instant: a charge
    /// may come before the conversion itself.
    pub async fn preview_conversion(&self, context: &RequestContext, mut command: Command) -> Result<Advised, Error> {
        self.permit(context, &mut command).await?;
        let seen = self.look_at(&command.account).await?;
        let (outcome, entries) = self.would_lead_to(Some(&seen.account), seen.now, &command)?;
        let decided = Decided::of(Arc::new(command), Ok(outcome))?;
        let mut known = self.ask_around(context, &decided).await;
        known.final_bill = final_bill_of(entries.iter());
        let advice = after_conversion(&decided, &known);
        Ok(Advised { decided, advice, known })
    }

    /// What can be learned at once.
    async fn ask_around(&self, context: &RequestContext, decided: &Decided) -> AdviceContext {
        let mut known = AdviceContext::of_day(self.clock(), decided.outcome.now);
        if decided.decision.verdict != Verdict::Done {
            return known;
        }
        let id = decided.command.account.clone();
        match &decided.command.action {
            Action::Convert { mode: Mode::Postpaid, .. } => {
                if let Some(billing) = &self.billing {
                    let asking = self.offload.run(ask(billing.clone(), id, decided.outcome.account, decided.outcome.now));
                    let asked = context.addition(PATIENCE, asking).await.and_then(Result::ok);
                    (known.last_month, known.suggestion, known.contact) = asked.unwrap_or_default();
                }
            }
            Action::Convert { mode: Mode::Prepaid, .. } => {
                let bill = final_bill(self.ledger.clone(), id, decided.decision.sequence);
                known.final_bill = context.addition(PATIENCE, self.offload.run(bill)).await.and_then(Result::ok).flatten();
            }
            _ => {}
        }
        known
    }
}

impl AdviceContext {
    /// What is known without asking anyone, at an instant.
    fn of_day(clock: &Clock, now: UnixMillis) -> Self {
        Self { day: clock.day_of_month(now), ..Self::default() }
    }
}

/// A conversion with the advice that needs nobody to be asked: on a stream, others would wait meanwhile.
pub(super) fn unasked(clock: &Clock, decided: Decided) -> Advised {
    let known = AdviceContext::of_day(clock, decided.outcome.now);
    let advice = after_conversion(&decided, &known);
    Advised { decided, advice, known }
}

async fn ask(billing: Billing, id: AccountId, account: Account, now: UnixMillis) -> (Option<MonthBill>, Option<Suggestion>, String) {
    let (month, history, sending) =
        futures_util::future::join3(billing.last_month(&id, now), billing.history(&id), billing.sending()).await;
    let suggestion = history.ok().map(|history| suggest(history, account.non_usage_billing, account.decimals));
    (month.ok(), suggestion, sending.map(|sending| sending.contact).unwrap_or_default())
}

/// What the final bill came to, rounding included; none, if there was nothing to bill. The step that converted wrote it, so one block is
/// read.
async fn final_bill(ledger: Ledger, account: AccountId, sequence: u64) -> Option<Units> {
    let block = ledger.engine().blocks_before(ledger.partition_of(&account), Some(sequence + 1), 1).await.ok()?.pop()?;
    let offset = usize::try_from(sequence.checked_sub(block.first_sequence)?).ok()?;
    let written = block.entries.get(offset..)?.iter().take_while(|entry| entry.account == account);
    final_bill_of(written)
}

/// What the final bill came to, by what a conversion writes.
fn final_bill_of<'a>(entries: impl Iterator<Item = &'a Entry> + Clone) -> Option<Units> {
    let written = entries.take_while(|entry| entry.kind() != EntryKind::Converted);
    let amount_of = |kind| written.clone().find(|entry| entry.kind() == kind).map(|entry| entry.amount());
    Some(amount_of(EntryKind::FinalBilled)? - amount_of(EntryKind::Rounded).unwrap_or_default())
}

/// The advice on a conversion; none if nothing was converted.
fn after_conversion(decided: &Decided, known: &AdviceContext) -> Vec<Advice> {
    match decided.command.action {
        _ if decided.decision.verdict != Verdict::Done => Vec::new(),
        Action::Convert { mode: Mode::Postpaid, .. } => to_postpaid(decided, known),
        Action::Convert { mode: Mode::Prepaid, .. } => to_prepaid(decided, known),
        _ => Vec::new(),
    }
}

fn to_postpaid(decided: &Decided, known: &AdviceContext) -> Vec<Advice> {
    let account = &decided.outcome.account;
    let unit = Unit::of(account);
    let mut advice = Vec::new();
    let limit = account.credit_limit(decided.outcome.now);
    let suggested = known.suggestion.as_ref().and_then(|suggestion| Some((suggestion.limit?, suggestion.months.len())));
    let code = account.currency.code();
    if let Some(text) = low_limit(account, limit, suggested.map(|(suggested, _)| suggested)) {
        advice.push(piece(Topic::LowLimit, text));
    }
    advice.push(piece(Topic::Timing, timing(known)));
    if let Some((suggested, months)) = suggested {
        let suggested = unit.amount(suggested);
        let text = format!(
            "A credit limit of {suggested} {code} is estimated from the account's own charges: the largest of its last closed months \
             ({months} of at most 3), rounded up."
        );
        advice.push(piece(Topic::EstimatedLimit, text));
    }
    advice
}

fn low_limit(account: &Account, limit: Units, suggested: Option<Units>) -> Option<String> {
    let code = account.currency.code();
    let unit = Unit::of(account);
    let shown = unit.amount(limit);
    if limit.is_zero() {
        return Some(
            "There is no credit limit, so the account can make no more transactions than an overpayment covers. Set a limit that covers \
             the charges of a month."
                .to_owned(),
        );
    }
    if let Some(suggested) = suggested.filter(|suggested| limit < (*suggested)) {
        let suggested = unit.amount(suggested);
        return Some(format!(
            "The credit limit of {shown} {code} is low beside recent charges, which suggest {suggested} {code}. Set a limit that covers \
             the charges of a month."
        ));
    }
    (suggested.is_none() && limit < account.balance.abs()).then(|| {
        let balance = unit.amount(account.balance);
        format!(
            "The credit limit of {shown} {code} is low beside the balance of {balance} {code} that the account came with. Set a limit \
             that covers the charges of a month."
        )
    })
}

fn timing(known: &AdviceContext) -> String {
    let best = "A conversion to postpaid is best done after the monthly invoice was generated and sent, normally within the first week of \
                the month";
    let is_first_week = known.day <= 7;
    let later = "the next invoice will hold both what was deducted as prepaid and the items to buy.";
    let today = match (known.last_month, is_first_week) {
        (Some(MonthBill::Generated(Some(DocumentSending::Sent))), true) => {
            "last month's was generated and sent, and today lies within that week.".to_owned()
        }
        (Some(MonthBill::Generated(sending)), true) => {
            format!("last month's was generated, and today lies within that week; {}.", not_sent(sending, &known.contact))
        }
        (Some(MonthBill::Generated(Some(DocumentSending::Sent))), false) => {
            format!("last month's was generated and sent, but that week is over: {later}")
        }
        (Some(MonthBill::Generated(sending)), false) => {
            let later = later.trim_end_matches('.');
            format!("last month's was generated, but that week is over: {later}; {}.", not_sent(sending, &known.contact))
        }
        (Some(MonthBill::NotYetGenerated), _) => "last month's has not been generated yet.".to_owned(),
        (Some(MonthBill::NothingToBill), true) => "there is none for last month: there was nothing to bill.".to_owned(),
        (Some(MonthBill::NothingToBill), false) => format!("there is none for last month, but that week is over: {later}"),
        (None, true) => "today lies within it: make sure that last month's invoice was generated and sent.".to_owned(),
        (None, false) => format!("today does not: {later}"),
    };
    format!("{best}; {today}")
}

/// The state of the mail of a document that is not known to have been sent.
fn not_sent(sending: Option<DocumentSending>, contact: &str) -> String {
    match sending {
        Some(DocumentSending::Sent) => "it was sent".to_owned(),
        Some(DocumentSending::Waiting) => "it has not been sent yet".to_owned(),
        Some(DocumentSending::Failed | DocumentSending::Bounced) => "it did not reach the customer by mail: see its mails".to_owned(),
        Some(DocumentSending::Unknown) => "it is unknown whether it was sent: see its mails".to_owned(),
        Some(DocumentSending::Off) | None => {
            let ask = if contact.is_empty() { "the people who send invoices" } else { contact };
            format!("it is not sent by this service, so it is unknown here whether it reached the customer: ask {ask} if you feel unsure")
        }
    }
}

fn to_prepaid(decided: &Decided, known: &AdviceContext) -> Vec<Advice> {
    let account = &decided.outcome.account;
    let unit = Unit::of(account);
    let mut advice = Vec::new();
    let code = account.currency.code();
    if account.balance < Units::ZERO {
        let due = unit.amount(-account.balance);
        let text = format!("{due} {code} are due; until they are paid they lower the usable credit, which may be negative.");
        advice.push(piece(Topic::AmountDue, text));
    }
    if let Some(billed) = known.final_bill.filter(|billed| !billed.is_zero()) {
        let billed = unit.amount(billed);
        let text = format!(
            "The final bill was cut at once: an invoice of {billed} {code} for what was used since the last one. The statement at the end of \
             the month holds only what comes after."
        );
        advice.push(piece(Topic::FinalBill, text));
    }
    let limit = account.credit_limit(decided.outcome.now);
    if limit > Units::ZERO {
        let limit = unit.amount(limit);
        let text = format!("The credit limit of {limit} {code} is still there; consider removing it, so that only paid money is used.");
        advice.push(piece(Topic::RemoveLimit, text));
        let text = "A conversion to prepaid and back renews a used-up credit limit.";
        advice.push(piece(Topic::RenewedLimit, text));
    }
    advice
}

fn piece(topic: Topic, text: impl Into<String>) -> Advice {
    Advice { topic, text: text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_claimed() {
        let known = |day, last_month| timing(&AdviceContext { day, last_month, ..AdviceContext::default() });
        assert!(known(7, None).contains("today lies within it: make sure"));
        assert!(known(8, None).contains("today does not"));
        let generated = |sending| Some(MonthBill::Generated(sending));
        assert!(known(3, generated(None)).contains("last month's was generated, and today lies within that week; it is not sent by this"));
        assert!(known(3, generated(None)).ends_with("ask the people who send invoices if you feel unsure."));
        assert!(known(3, generated(Some(DocumentSending::Sent))).contains("was generated and sent, and today lies within that week."));
        assert!(known(3, generated(Some(DocumentSending::Waiting))).ends_with("it has not been sent yet."));
        assert!(known(3, generated(Some(DocumentSending::Unknown))).contains("unknown whether it was sent"));
        assert!(known(20, generated(Some(DocumentSending::Sent))).contains("generated and sent, but that week is over"));
        assert!(known(20, generated(None)).contains("that week is over"));
        let context = AdviceContext { day: 3, last_month: generated(None), contact: "Ann".to_owned(), ..AdviceContext::default() };
        assert!(timing(&context).ends_with("ask Ann if you feel unsure."));
        assert!(known(3, Some(MonthBill::NotYetGenerated)).contains("has not been generated yet"));
        assert!(known(3, Some(MonthBill::NothingToBill)).contains("there was nothing to bill"));
    }
}
