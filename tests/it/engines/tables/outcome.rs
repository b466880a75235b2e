//! What came of a command, in the words of the tables.

use tollgate::domain::account::Account;
use tollgate::domain::command::Kind;
use tollgate::domain::entry::Entry;
use tollgate::domain::money::{Units, format_units};
use tollgate::domain::outcome::{Decision, Outcome, ReserveVerdict, Verdict};

/// An amount of an account, as people read it.
pub fn amount(units: i64, account: &Account) -> String {
    format_units(Units::new(units), account.decimals, account.minor_digits)
}

/// "granted 8.00", "charged 3.00, 5.00 reserved", "declined INSUFFICIENT_CREDIT, short by 2.00".
pub fn words(outcome: &Outcome) -> String {
    let Some(decision) = &outcome.decision else { return "done".to_owned() };
    let mut words = decided(decision, &outcome.account);
    if outcome.replayed {
        words.push_str(", replayed");
    }
    words
}

fn decided(decision: &Decision, account: &Account) -> String {
    let sum = amount(decision.amount.get(), account);
    match (decision.verdict, decision.kind) {
        (Verdict::Declined, Kind::Withdraw) => return format!("declined INSUFFICIENT_FUNDS, short by {sum}"),
        (Verdict::Declined, _) => return format!("declined INSUFFICIENT_CREDIT, short by {sum}"),
        (Verdict::Unchanged, _) => return "unchanged".to_owned(),
        (Verdict::Done, _) => {}
    }
    match decision.kind {
        Kind::Authorize => format!("granted {sum}{}", final_unit(decision)),
        Kind::Debit => format!("charged {sum}{}", rest(decision, account)),
        Kind::Release => format!("released {sum}"),
        Kind::Refund if decision.credit_rounding != Units::ZERO => {
            format!("refunded {sum}, credited {}", amount((decision.amount + decision.credit_rounding).get(), account))
        }
        Kind::Refund => format!("refunded {sum}"),
        Kind::ReversePayment | Kind::ReverseWriteOff => format!("reversed {sum}"),
        Kind::Convert => format!("converted, usable before {sum}"),
        Kind::WriteOff => format!("written off {sum}"),
        Kind::Withdraw => format!("withdrawn {sum}"),
        _ => "done".to_owned(),
    }
}

fn final_unit(decision: &Decision) -> &'static str {
    if decision.reservation.is_some_and(|grant| grant.is_final_unit) { ", final unit" } else { "" }
}

fn rest(decision: &Decision, account: &Account) -> String {
    let mut rest = String::new();
    if decision.overdraft != Units::ZERO {
        rest.push_str(&format!(", overdraft {}", amount(decision.overdraft.get(), account)));
    }
    if let Some(grant) = &decision.reservation {
        rest.push_str(&format!(", {} reserved{}", amount(grant.amount.get(), account), final_unit(decision)));
    }
    match decision.reserve {
        ReserveVerdict::NotAsked | ReserveVerdict::Granted => {}
        ReserveVerdict::Declined { shortfall } => {
            rest.push_str(&format!(", not reserved: INSUFFICIENT_CREDIT, short by {}", amount(shortfall.get(), account)));
        }
        ReserveVerdict::Suspended => rest.push_str(", not reserved: suspended"),
        ReserveVerdict::TooMany => rest.push_str(", not reserved: too many"),
    }
    rest
}

/// "charged balance 5.00", "suspended".
pub fn entry(entry: &Entry, account: &Account) -> String {
    let kind = kind_words(&format!("{:?}", entry.kind()));
    if entry.amount() == Units::ZERO { kind } else { format!("{kind} {}", amount(entry.amount().get(), account)) }
}

/// "ChargedBalance" as "charged balance".
pub fn kind_words(name: &str) -> String {
    let mut words = String::new();
    for (place, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && place > 0 {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}
