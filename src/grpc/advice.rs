//! What to consider after a conversion, in the order of importance, or after a refund. None if nothing was converted.
//!
//! What the account's history and its bills say is asked of the billing store, but only for a moment: "unknown" is an answer, and a
//! conversion never fails or waits for it.

use std::time::Duration;

use super::deadline;
use super::front::Front;
use super::v1::{Advice, AdviceTopic};
use super::wire::Decided;
use super::wire::render::amount;
use crate::billing::suggestion::{Suggestion, suggest};
use crate::billing::{Billing, MonthBill};
use crate::domain::account::{Account, Millis, Mode};
use crate::domain::command::Action;
use crate::domain::entry::EntryKind;
use crate::domain::outcome::Verdict;
use crate::ledger::Ledger;

/// How long the billing store, and the journal, may take to answer.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is known besides the decision.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Which day of the month it is, in the billing time zone.
    day: i8,
    /// How far the bill of the month before is; unknown, if the billing store does not say.
    last_month: Option<MonthBill>,
    /// The limit that the account's history suggests.
    suggestion: Option<Suggestion>,
    /// What the final bill came to.
    final_bill: Option<i64>,
}

impl Known {
    /// What is known without asking anyone, at an instant.
    #[must_use]
    pub fn nothing(front: &Front, now: Millis) -> Self {
        Self { day: front.ledger.clock().day_of_month(now), ..Self::default() }
    }
}

/// What can be learned at once.
pub async fn known(front: &Front, decided: &Decided) -> Known {
    let mut known = Known::nothing(front, decided.now);
    if decided.decision.verdict != Verdict::Done {
        return known;
    }
    match &decided.subject.command.action {
        Action::Convert { mode: Mode::Postpaid, .. } => {
            if let Some(billing) = &front.billing {
                let (id, account) = (decided.subject.command.account.clone(), decided.outcome.account);
                let asking = front.offload.run(ask(billing.clone(), id, account, decided.now));
                let asked = deadline::addition(PATIENCE, asking).await.and_then(Result::ok);
                (known.last_month, known.suggestion) = asked.unwrap_or_default();
            }
        }
        Action::Convert { mode: Mode::Prepaid, .. } => {
            let bill = final_bill(front.ledger.clone(), decided.subject.command.account.clone(), decided.decision.sequence);
            known.final_bill = deadline::addition(PATIENCE, front.offload.run(bill)).await.and_then(Result::ok).flatten();
        }
        _ => {}
    }
    known
}

async fn ask(billing: Billing, id: String, account: Account, now: Millis) -> (Option<MonthBill>, Option<Suggestion>) {
    let (month, history) = futures_util::future::join(billing.last_month(&id, now), billing.history(&id)).await;
    let suggestion = history.ok().map(|history| suggest(history, account.non_usage_billing, account.decimals));
    (month.ok(), suggestion)
}

/// What the final bill came to, rounding included; none, if there was nothing to bill. The step that converted wrote it, so one block is
/// read.
async fn final_bill(ledger: Ledger, account: String, sequence: u64) -> Option<i64> {
    let block = ledger.engine().blocks_before(ledger.partition_of(&account), Some(sequence + 1), 1).await.ok()?.pop()?;
    let offset = usize::try_from(sequence.checked_sub(block.first_sequence)?).ok()?;
    let written = block.entries.get(offset..)?.iter().take_while(|entry| entry.account == account && entry.kind != EntryKind::Converted);
    let amount_of = |kind| written.clone().find(|entry| entry.kind == kind).map(|entry| entry.amount);
    Some(amount_of(EntryKind::FinalBilled)? - amount_of(EntryKind::Rounded).unwrap_or_default())
}

/// The advice on a conversion that was done.
#[must_use]
pub fn after_conversion(decided: &Decided, known: &Known) -> Vec<Advice> {
    match decided.subject.command.action {
        Action::Convert { mode: Mode::Postpaid, .. } => to_postpaid(decided, known),
        Action::Convert { mode: Mode::Prepaid, .. } => to_prepaid(decided, known),
        _ => Vec::new(),
    }
}

fn to_postpaid(decided: &Decided, known: &Known) -> Vec<Advice> {
    let account = &decided.outcome.account;
    let mut advice = Vec::new();
    let limit = account.credit_limit(decided.now);
    let suggested = known.suggestion.as_ref().and_then(|suggestion| Some((suggestion.limit?, suggestion.months.len())));
    let code = account.currency.code();
    if let Some(text) = low_limit(account, limit, suggested.map(|(suggested, _)| suggested)) {
        advice.push(piece(AdviceTopic::LowLimit, text));
    }
    advice.push(piece(AdviceTopic::Timing, timing(known)));
    if let Some((suggested, months)) = suggested {
        let suggested = amount(account, suggested);
        let text = format!(
            "A credit limit of {suggested} {code} is estimated from the account's own charges: the largest of its last closed months \
             ({months} of at most 3), rounded up."
        );
        advice.push(piece(AdviceTopic::EstimatedLimit, text));
    }
    advice
}

fn low_limit(account: &Account, limit: i64, suggested: Option<i64>) -> Option<String> {
    let code = account.currency.code();
    let shown = amount(account, limit);
    if limit == 0 {
        return Some(
            "There is no credit limit, so the account can make no more transactions than an overpayment covers. Set a limit that covers \
             the charges of a month."
                .to_owned(),
        );
    }
    if let Some(suggested) = suggested.filter(|suggested| limit < *suggested) {
        let suggested = amount(account, suggested);
        return Some(format!(
            "The credit limit of {shown} {code} is low beside recent charges, which suggest {suggested} {code}. Set a limit that covers \
             the charges of a month."
        ));
    }
    (suggested.is_none() && limit < account.balance.abs()).then(|| {
        let balance = amount(account, account.balance);
        format!(
            "The credit limit of {shown} {code} is low beside the balance of {balance} {code} that the account came with. Set a limit \
             that covers the charges of a month."
        )
    })
}

fn timing(known: &Known) -> String {
    let best = "A conversion to postpaid is best done after the monthly invoice was generated and sent, normally within the first week of \
                the month";
    let is_first_week = known.day <= 7;
    let later = "the next invoice will hold both what was deducted as prepaid and the items to buy.";
    let today = match (known.last_month, is_first_week) {
        (Some(MonthBill::Generated), true) => {
            "last month's was generated, and today lies within that week; whether it was sent is not known here.".to_owned()
        }
        (Some(MonthBill::Generated), false) => format!("last month's was generated, but that week is over: {later}"),
        (Some(MonthBill::NotYetGenerated), _) => "last month's has not been generated yet.".to_owned(),
        (Some(MonthBill::NothingToBill), true) => "there is none for last month: there was nothing to bill.".to_owned(),
        (Some(MonthBill::NothingToBill), false) => format!("there is none for last month, but that week is over: {later}"),
        (None, true) => "today lies within it: make sure that last month's invoice was generated and sent.".to_owned(),
        (None, false) => format!("today does not: {later}"),
    };
    format!("{best}; {today}")
}

fn to_prepaid(decided: &Decided, known: &Known) -> Vec<Advice> {
    let account = &decided.outcome.account;
    let mut advice = Vec::new();
    let code = account.currency.code();
    if account.balance < 0 {
        let due = amount(account, -account.balance);
        let text = format!("{due} {code} are due; until they are paid they lower the usable credit, which may be negative.");
        advice.push(piece(AdviceTopic::AmountDue, text));
    }
    if let Some(billed) = known.final_bill.filter(|billed| *billed != 0) {
        let billed = amount(account, billed);
        let text = format!(
            "The final bill was cut at once: an invoice of {billed} {code} for what was used since the last one. The statement at the end of \
             the month holds only what comes after."
        );
        advice.push(piece(AdviceTopic::FinalBill, text));
    }
    let limit = account.credit_limit(decided.now);
    if limit > 0 {
        let limit = amount(account, limit);
        let text = format!("The credit limit of {limit} {code} is still there; consider removing it, so that only paid money is used.");
        advice.push(piece(AdviceTopic::RemoveLimit, text));
        let text = "A conversion to prepaid and back renews a used-up credit limit.";
        advice.push(piece(AdviceTopic::RenewedLimit, text));
    }
    advice
}

/// The advice on a refund: what was written off of the account's debts and not reversed, if the billing store says so at once.
pub async fn after_refund(front: &Front, decided: &Decided) -> Vec<Advice> {
    let Some(billing) = &front.billing else { return Vec::new() };
    let account = &decided.outcome.account;
    let asked = deadline::addition(PATIENCE, billing.written_off(&decided.subject.command.account)).await;
    match asked {
        Some(Ok(written_off @ 1..)) => {
            let text = format!(
                "{} {} of what the customer owed were written off. Reverse the write-off first, so that nobody is paid out what they never \
                 paid.",
                amount(account, written_off),
                account.currency.code()
            );
            vec![piece(AdviceTopic::WrittenOff, text)]
        }
        _ => Vec::new(),
    }
}

fn piece(topic: AdviceTopic, text: impl Into<String>) -> Advice {
    Advice { topic: topic.into(), text: text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_claimed() {
        let known = |day, last_month| timing(&Known { day, last_month, ..Known::default() });
        assert!(known(7, None).contains("today lies within it: make sure"));
        assert!(known(8, None).contains("today does not"));
        assert!(known(3, Some(MonthBill::Generated)).contains("last month's was generated, and today lies within that week; whether"));
        assert!(known(20, Some(MonthBill::Generated)).contains("that week is over"));
        assert!(known(3, Some(MonthBill::NotYetGenerated)).contains("has not been generated yet"));
        assert!(known(3, Some(MonthBill::NothingToBill)).contains("there was nothing to bill"));
    }
}
