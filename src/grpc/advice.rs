//! What to consider after a conversion, in the order of importance. At most three pieces; none if nothing was converted.

use jiff::Timestamp;

use super::v1::{Advice, AdviceTopic};
use super::wire::Decided;
use super::wire::render::amount;
use crate::domain::account::{Account, Millis, Mode};
use crate::domain::command::Action;

/// The advice on a conversion that was done.
#[must_use]
pub fn after_conversion(decided: &Decided) -> Vec<Advice> {
    let account = &decided.outcome.account;
    match decided.subject.command.action {
        Action::Convert { mode: Mode::Postpaid, .. } => to_postpaid(account, decided.now),
        Action::Convert { mode: Mode::Prepaid, .. } => to_prepaid(account, decided.now),
        _ => Vec::new(),
    }
}

fn to_postpaid(account: &Account, now: Millis) -> Vec<Advice> {
    let mut advice = Vec::new();
    let limit = account.credit_limit(now);
    let code = account.currency.code();
    if limit == 0 {
        let text = "There is no credit limit, so the account can make no more transactions than an overpayment covers. Set a limit that \
                    covers the charges of a month.";
        advice.push(piece(AdviceTopic::LowLimit, text));
    } else if limit < account.balance.abs() {
        let (limit, balance) = (amount(account, limit), amount(account, account.balance));
        let text = format!(
            "The credit limit of {limit} {code} is low beside the balance of {balance} {code} that the account came with. Set a limit \
             that covers the charges of a month."
        );
        advice.push(piece(AdviceTopic::LowLimit, text));
    }
    let best = "A conversion to postpaid is best done after the monthly invoice was generated and sent, normally within the first week of \
                the month";
    let today = if is_first_week(now) {
        "today lies within it: make sure that last month's invoice was sent."
    } else {
        "today does not: the next invoice will hold both what was deducted as prepaid and the items to buy."
    };
    advice.push(piece(AdviceTopic::Timing, format!("{best}; {today}")));
    advice
}

fn to_prepaid(account: &Account, now: Millis) -> Vec<Advice> {
    let mut advice = Vec::new();
    let code = account.currency.code();
    if account.balance < 0 {
        let due = amount(account, -account.balance);
        let text = format!("{due} {code} are due; until they are paid they lower the usable credit, which may be negative.");
        advice.push(piece(AdviceTopic::AmountDue, text));
    }
    let limit = account.credit_limit(now);
    if limit > 0 {
        let limit = amount(account, limit);
        let text = format!("The credit limit of {limit} {code} is still there; consider removing it, so that only paid money is used.");
        advice.push(piece(AdviceTopic::RemoveLimit, text));
        let text = "A conversion to prepaid and back renews a used-up credit limit.";
        advice.push(piece(AdviceTopic::RenewedLimit, text));
    }
    advice
}

fn piece(topic: AdviceTopic, text: impl Into<String>) -> Advice {
    Advice { topic: topic.into(), text: text.into() }
}

/// Whether `now` lies in the first week of its month (UTC).
fn is_first_week(now: Millis) -> bool {
    Timestamp::from_millisecond(now).is_ok_and(|now| now.to_zoned(jiff::tz::TimeZone::UTC).day() <= 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_week_has_seven_days() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        assert!(is_first_week(at("2026-11-07T23:59:59Z")));
        assert!(!is_first_week(at("2026-11-08T00:00:00Z")));
    }
}
