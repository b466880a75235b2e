//! Bank statements: read ([`csv`], [`camt`]), matched with open invoices by the numbers in their texts ([`matching`]), and booked once a
//! person has confirmed a line ([`booking`]).
//!
//! A line is known by a digest of what the bank says of it, in whichever file it comes. What is booked is recorded for that digest first,
//! and its payment has a request id that is made of it: so no line is booked twice, no matter who imports it again, or when. Another form
//! of a statement may word a line otherwise: one of the same day and amount is said to be like it.

pub mod booking;
pub mod camt;
pub mod csv;
pub mod matching;
mod settling;

use std::collections::HashMap;

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::context::RequestContext;
use access::Permission;
use billing::bank::BookedLine;
use domain::account::Currency;
use domain::ids::{AccountId, RequestId};
use domain::money::DecimalAmount;

pub use billing::bank::OpenInvoice;
pub use booking::{Booked, Target};
pub use matching::{Matched, Proposal};

/// The largest file, in bytes, and the most lines of one.
pub const MOST_BYTES: usize = 512 * 1024;
pub const MOST_LINES: usize = 500;

/// The most characters that are kept of a text.
const MOST_TEXT: usize = 500;

/// Money that came in, as the bank says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was booked.
    pub day: Date,
    /// How much: above zero.
    pub amount: DecimalAmount,
    /// ISO 4217.
    pub currency: Currency,
    /// The payer; empty if not said.
    pub payer: String,
    /// What for.
    pub text: String,
    /// What the payer or the bank calls it; empty if not said.
    pub reference: String,
    /// By which it is known.
    pub digest: String,
}

/// What a statement holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Money that came in.
    pub lines: Vec<Line>,
    /// How many other lines there are: money that went out, and what is not booked yet.
    pub others: usize,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong.
    pub problem: Problem,
    /// In which line of the file, or in which entry; 0 for the file as a whole.
    pub place: usize,
}

/// An error in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is too large, or has too many lines.
    TooLarge,
    /// It is neither CSV nor camt.053.
    UnknownFormat,
    /// A column, or an element, is not there.
    Missing(&'static str),
    /// A day cannot be read.
    Day,
    /// An amount cannot be read, or could be read in two ways.
    Amount,
    /// A currency cannot be read.
    Currency,
}

/// Reads a statement: CSV or camt.053, whichever it is.
pub fn read(text: &str) -> Result<Statement, Unreadable> {
    if text.len() > MOST_BYTES {
        return Err(Unreadable { problem: Problem::TooLarge, place: 0 });
    }
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let mut statement = if start.starts_with('<') { camt::read(start)? } else { csv::read(start)? };
    if statement.lines.len() > MOST_LINES {
        return Err(Unreadable { problem: Problem::TooLarge, place: 0 });
    }
    name_lines(&mut statement.lines);
    Ok(statement)
}

/// The text of a file: UTF-8, or, as banks still send it, ISO 8859-1.
#[must_use]
pub fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// Computes the digest of each line. Equal lines are told apart by a number.
fn name_lines(lines: &mut [Line]) {
    let mut seen: HashMap<String, u32> = HashMap::new();
    for line in lines {
        let Line { day, amount, currency, payer, text, reference, .. } = &*line;
        let said = [day.to_string(), plain(*amount), currency.code().to_owned(), folded(payer), folded(text), reference.clone()];
        let said = said.join("\n");
        let number = seen.entry(said.clone()).or_insert(0);
        *number += 1;
        let digest = Sha256::digest(format!("tollgate bank line\n{said}\n{number}"));
        line.digest = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    }
}

/// The same amount is the same text, whatever zeros it is written with.
fn plain(amount: DecimalAmount) -> String {
    let text = amount.to_string();
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// What a text says, however it is broken into lines.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A text for people: its blanks are single, and it is not longer than what is kept.
fn tidy(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|letter| !letter.is_control()).take(MOST_TEXT).collect()
}

/// The movement that a line is of.
fn movement_of(line: &Line) -> String {
    format!("{} {} {}", line.day, plain(line.amount), line.currency.code())
}

/// The same without the account, if that is not for the caller's eyes: it is booked anyway.
fn shown_to(context: &RequestContext, found: BookedLine) -> BookedLine {
    match context.caller.may_on(Permission::RecordPayments, &found.account) {
        true => found,
        false => BookedLine { account: AccountId::default(), invoice: String::new(), ..found },
    }
}

/// The request id of the payment that the line of a digest is booked as.
fn request_id_of(digest: &str) -> RequestId {
    format!("bank:{digest}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(day: &str, amount: &str, text: &str) -> Line {
        Line {
            day: day.parse().unwrap(),
            amount: DecimalAmount::parse(amount).unwrap(),
            currency: Currency::parse("EUR").unwrap(),
            payer: "Hafen".to_owned(),
            text: text.to_owned(),
            reference: String::new(),
            digest: String::new(),
        }
    }

    #[test]
    fn a_line_is_known_in_whichever_file_it_comes_and_two_alike_are_two() {
        let mut of_day = [line("2026-11-03", "190.00", "INV-1  from\nHafen"), line("2026-11-03", "190.00", "INV-1 from Hafen")];
        let mut of_month = [
            line("2026-11-02", "1", "else"),
            line("2026-11-03", "190", "inv-1 from hafen"),
            line("2026-11-03", "190.0", "INV-1 from Hafen"),
        ];
        name_lines(&mut of_day);
        name_lines(&mut of_month);
        assert_ne!(of_day[0].digest, of_day[1].digest);
        assert_eq!([&of_day[0].digest, &of_day[1].digest], [&of_month[1].digest, &of_month[2].digest]);
        assert_eq!(of_day[0].digest.len(), 40);
    }

    #[test]
    fn what_went_out_is_no_payment_though_more_came_in_with_it() {
        let text = include_str!("../../tests/bank/statement.camt053.xml");
        let whole = read(text).unwrap();
        let gone = "<AmtDtls><TxAmt><Amt Ccy=\"EUR\">12.50</Amt></TxAmt></AmtDtls>";
        let out = read(&text.replace(gone, &format!("{gone}<CdtDbtInd>DBIT</CdtDbtInd>"))).unwrap();
        assert_eq!((out.lines.len() + 1, out.others), (whole.lines.len(), whole.others + 1));
        let entry = "<CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>";
        for said in ["true", "1"] {
            let reversed = read(&text.replacen(entry, &format!("{entry}<RvslInd>{said}</RvslInd>"), 1)).unwrap();
            assert_eq!((reversed.lines.len() + 1, reversed.others), (whole.lines.len(), whole.others + 1), "{said}");
        }
    }

    #[test]
    fn the_samples_are_read_alike_from_either_format() {
        let csv = read(include_str!("../../tests/bank/statement.csv")).unwrap();
        let camt = read(include_str!("../../tests/bank/statement.camt053.xml")).unwrap();
        let said = |statement: &Statement| {
            let line = |line: &Line| {
                (line.day.to_string(), line.amount.to_string(), line.payer.clone(), line.text.clone(), line.reference.clone())
            };
            statement.lines.iter().map(line).collect::<Vec<_>>()
        };
        let of = |day: &str, amount: &str, payer: &str, text: &str, reference: &str| {
            (day.to_owned(), amount.to_owned(), payer.to_owned(), text.to_owned(), reference.to_owned())
        };
        let first = of("2026-11-03", "119", "Initech GmbH", "Rechnung INV-000002 vielen Dank", "RF18-77");
        let others = [
            of("2026-11-03", "20", "Hooli AG", "INV-000001 Teilzahlung", ""),
            of("2026-11-04", "12.5", "Unbekannt", "Danke für alles", ""),
        ];
        assert_eq!(said(&csv), [vec![first.clone()], others.to_vec()].concat());
        let others =
            [of("2026-11-04", "59.5", "Hooli AG", "INV-000001", "BANK-2"), of("2026-11-04", "12.5", "", "Danke für alles", "BANK-2")];
        assert_eq!(said(&camt), [vec![first], others.to_vec()].concat());
        assert_eq!((csv.others, camt.others), (1, 2));
        // What both say of a line makes it the same line.
        assert_eq!(csv.lines[0].digest, camt.lines[0].digest);
    }

    #[test]
    fn what_is_no_statement_is_refused() {
        let problem = |text: &str| read(text).unwrap_err().problem;
        assert_eq!(problem(&"x".repeat(MOST_BYTES + 1)), Problem::TooLarge);
        assert_eq!(problem("<Document/>"), Problem::UnknownFormat);
        assert_eq!(problem("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"), Problem::UnknownFormat);
        let lines = "2026-11-03,1,EUR,x\n".repeat(MOST_LINES + 1);
        assert_eq!(problem(&format!("date,amount,currency,text\n{lines}")), Problem::TooLarge);
        assert_eq!(text_of(b"M\xfcller"), "Müller");
    }
}
