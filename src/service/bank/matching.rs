//! Matches the lines of a statement with invoices: for all of them at once, in a few queries.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Line, movement_of, request_id_of, shown_to};
use crate::UseCases;
use crate::context::RequestContext;
use crate::error::Error;
use access::Permission;
use billing::Billing;
use billing::bank::{BookedLine, OpenInvoice};
use domain::ids::{AccountId, RequestId};

/// The most words of a line that are tried as numbers of invoices.
const MOST_WORDS: usize = 20;

/// What a line is taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// It was booked before, on this account.
    Booked(BookedLine),
    /// Somebody began to book it on this account; unknown whether that was done.
    Begun(BookedLine),
    /// A line that is not in this file, of the same day and amount, was booked: from another form of the statement it may be the same.
    Alike {
        /// The other line.
        booked: BookedLine,
        /// The invoice that this one would pay.
        invoice: Option<Matched>,
    },
    /// It pays this invoice.
    Invoice(Matched),
    /// Nothing is known of it.
    Unknown,
}

/// An invoice that a line may pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    pub invoice: OpenInvoice,
    /// Whether the line is exactly what is open.
    pub is_exact: bool,
}

/// Stored facts about the lines of a file.
struct LineFacts {
    booked: HashMap<String, BookedLine>,
    /// Which payments there are, by account and request id.
    recorded: HashSet<(AccountId, RequestId)>,
    /// Lines that were booked and are not in the file, by movement.
    elsewhere: HashMap<String, Vec<BookedLine>>,
    /// By number.
    invoices: HashMap<String, OpenInvoice>,
}

impl UseCases {
    /// Proposes what each line pays.
    pub async fn propose_bookings(&self, context: &RequestContext, lines: &[Line]) -> Result<Vec<Proposal>, Error> {
        context.require_at_all(Permission::RecordPayments)?;
        let known = self.known_of(self.billing(context).await?, lines).await?;
        // An invoice is proposed for one line only.
        let mut taken = HashSet::new();
        Ok(lines.iter().map(|line| known.proposal(context, line, &mut taken)).collect())
    }
}

impl UseCases {
    async fn known_of(&self, billing: &Billing, lines: &[Line]) -> Result<LineFacts, Error> {
        let digests: HashSet<&str> = lines.iter().map(|line| line.digest.as_str()).collect();
        let mut booked = billing.booked_lines(&listed(&digests)).await?;
        let payments: Vec<_> = booked.iter().map(|(digest, found)| (found.account.clone(), request_id_of(digest))).collect();
        let mut recorded = billing.recorded(&payments).await?;
        let is_recorded = |recorded: &HashSet<_>, digest: &String, claimed: &BookedLine| {
            recorded.contains(&(claimed.account.clone(), request_id_of(digest)))
        };
        let mut over = HashSet::new();
        for (digest, claimed) in booked.iter().filter(|(digest, claimed)| !is_recorded(&recorded, digest, claimed)) {
            if self.is_over(billing, claimed, Duration::ZERO).await? {
                over.insert(digest.clone());
            }
        }
        if !over.is_empty() {
            // What was begun, is over, and had no effect is as if it had not been begun: looked up once more, since it is over.
            recorded = billing.recorded(&payments).await?;
            booked.retain(|digest, claimed| !over.contains(digest) || is_recorded(&recorded, digest, claimed));
        }
        let open = || lines.iter().filter(|line| !booked.contains_key(&line.digest));
        let movements: HashSet<String> = open().map(movement_of).collect();
        let mut elsewhere = HashMap::new();
        for (movement, found) in billing.booked_movements(&listed(&movements)).await? {
            let others: Vec<_> = found.into_iter().filter(|(digest, _)| !digests.contains(digest.as_str())).map(|(_, line)| line).collect();
            elsewhere.insert(movement, others);
        }
        let numbers: HashSet<String> = open().flat_map(numbers_in).collect();
        let invoices = billing.open_invoices(&listed(&numbers)).await?;
        Ok(LineFacts { recorded, booked, elsewhere, invoices })
    }
}

impl LineFacts {
    fn proposal(&self, context: &RequestContext, line: &Line, taken: &mut HashSet<String>) -> Proposal {
        if let Some(found) = self.booked.get(&line.digest) {
            let is_recorded = self.recorded.contains(&(found.account.clone(), request_id_of(&line.digest)));
            let found = shown_to(context, found.clone());
            return if is_recorded { Proposal::Booked(found) } else { Proposal::Begun(found) };
        }
        let invoice = self.invoice_in(context, line, taken);
        if let Some(Matched { invoice, .. }) = &invoice {
            taken.insert(invoice.number.clone());
        }
        let alike = self.elsewhere.get(&movement_of(line)).and_then(|found| found.first());
        match (alike, invoice) {
            (Some(booked), invoice) => Proposal::Alike { booked: shown_to(context, booked.clone()), invoice },
            (None, Some(invoice)) => Proposal::Invoice(invoice),
            (None, None) => Proposal::Unknown,
        }
    }

    /// The open invoice that a line's text names, if it names one.
    fn invoice_in(&self, context: &RequestContext, line: &Line, taken: &HashSet<String>) -> Option<Matched> {
        let is_for_line = |invoice: &&OpenInvoice| {
            context.caller.may_on(Permission::RecordPayments, &invoice.account)
                && invoice.currency == line.currency.code()
                && !taken.contains(&invoice.number)
        };
        let invoice = numbers_in(line).filter_map(|number| self.invoices.get(&number)).find(is_for_line)?;
        Some(Matched { is_exact: line.amount.to_units(invoice.decimals) == Ok(invoice.open), invoice: invoice.clone() })
    }
}

fn listed<T: AsRef<str>>(texts: &HashSet<T>) -> Vec<&str> {
    texts.iter().map(AsRef::as_ref).collect()
}

/// What of a line's texts may be the number of an invoice.
fn numbers_in(line: &Line) -> impl Iterator<Item = String> {
    words(&line.text).chain(words(&line.reference)).take(MOST_WORDS)
}

/// Words with a digit in them.
fn words(text: &str) -> impl Iterator<Item = String> {
    let is_between = |letter: char| letter.is_whitespace() || ",;:()[]\"'".contains(letter);
    let words = text.split(is_between).map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric()));
    let is_number = |word: &&str| (3..=64).contains(&word.len()) && word.bytes().any(|byte| byte.is_ascii_digit());
    words.filter(is_number).map(str::to_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_digits_may_be_numbers_of_invoices() {
        let found: Vec<_> = words("Rechnung Nr.: inv-000007, vom 31.08.2026 (RE/12) ab").collect();
        assert_eq!(found, ["INV-000007", "31.08.2026", "RE/12"]);
    }
}
