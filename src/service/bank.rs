//! Bank statements: read ([`csv`], [`camt`]), matched with open invoices by the numbers in their texts, and booked, once a person has
//! confirmed a line.
//!
//! A line is known by a digest of what the bank says of it, in whichever file it comes. What is booked is recorded for that digest first,
//! and its payment has a request id that is made of it: so no line is booked twice, no matter who imports it again, or when.

pub mod camt;
pub mod csv;

use std::collections::{HashMap, HashSet};

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::bank::{BookedLine, Claim};
use billing::document::DocumentKind;
use billing::{BillingError, DocumentState};
use domain::account::{Currency, Millis};
use domain::command::{Action, Command, Metadata};
use domain::money::DecimalAmount;
use domain::payment::PaymentDetails;

/// The largest file, in bytes, and the most lines of one.
pub const MOST_BYTES: usize = 512 * 1024;
pub const MOST_LINES: usize = 500;

/// The most characters that are kept of a text.
const MOST_TEXT: usize = 500;

/// The most words of a line that are tried as numbers of invoices.
const MOST_WORDS: usize = 20;

/// How long what the payer or the bank calls a payment may be.
const MOST_REFERENCE: usize = 140;

/// What a payment is said to be made by.
const METHOD: &str = "bank";

/// Money that came in, as the bank says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was booked.
    pub day: Date,
    /// How much: above zero.
    pub amount: DecimalAmount,
    /// ISO 4217.
    pub currency: Currency,
    /// Who paid; empty if not said.
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

/// What is wrong with a file.
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

/// What a line is taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// It was booked before, on this account.
    Booked(BookedLine),
    /// Somebody began to book it on this account, and nobody knows whether it was done.
    Begun(BookedLine),
    /// It pays this invoice.
    Invoice(OpenInvoice),
    /// Nothing is known of it.
    Unknown,
}

/// An invoice that a line may pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenInvoice {
    /// Its number.
    pub number: String,
    /// The account.
    pub account: String,
    /// Whom it is for.
    pub customer: String,
    /// What is open of it, in units.
    pub open: i64,
    /// Digits behind the point of a unit, and of the currency's minor unit.
    pub decimals: u8,
    /// The same of the minor unit.
    pub minor_digits: u8,
    /// Whether the line is exactly what is open.
    pub is_exact: bool,
}

/// Which invoice or account a person says that a line is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The account.
    pub account: String,
    /// The invoice; empty for the oldest ones.
    pub invoice: String,
}

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Booked {
    /// It is booked.
    Done,
    /// It was booked before, on this account.
    Before(BookedLine),
    /// Somebody began to book it on another account; nothing is known to be booked.
    Begun(BookedLine),
    /// It was refused.
    Refused(Error),
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

/// Gives each line its digest. Of lines that are alike, each has its number.
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

impl UseCases {
    /// What each line is taken for.
    pub async fn propose_bookings(&self, context: &RequestContext, lines: &[Line]) -> Result<Vec<Proposal>, Error> {
        context.require_at_all(Permission::RecordPayments)?;
        let billing = self.billing(context).await?;
        let digests: Vec<_> = lines.iter().map(|line| line.digest.as_str()).collect();
        let mut booked = billing.booked_lines(&digests).await?;
        let mut proposals = Vec::with_capacity(lines.len());
        // An invoice is proposed for one line only.
        let mut taken = HashSet::new();
        for line in lines {
            let proposal = match booked.remove(&line.digest) {
                Some(found) => match billing.payment(&found.account, &request_id_of(line)).await? {
                    Some(_) => Proposal::Booked(shown_to(context, found)),
                    None => Proposal::Begun(shown_to(context, found)),
                },
                None => match self.invoice_in(context, line, &taken).await? {
                    Some(invoice) => {
                        taken.insert(invoice.number.clone());
                        Proposal::Invoice(invoice)
                    }
                    None => Proposal::Unknown,
                },
            };
            proposals.push(proposal);
        }
        Ok(proposals)
    }

    /// The open invoice that a line's text names, if it names one.
    async fn invoice_in(&self, context: &RequestContext, line: &Line, taken: &HashSet<String>) -> Result<Option<OpenInvoice>, Error> {
        let billing = self.billing(context).await?;
        for word in words(&line.text).chain(words(&line.reference)).take(MOST_WORDS) {
            let stored = match billing.document(&word).await {
                Ok(stored) => stored,
                Err(BillingError::NotFound(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let document = &stored.document;
            let is_open = stored.state == DocumentState::Issued && document.kind == DocumentKind::Invoice && stored.open_amount > 0;
            let is_for_caller = context.caller.may_on(Permission::RecordPayments, &document.account);
            if !is_open || !is_for_caller || document.currency != line.currency.code() || taken.contains(&document.number) {
                continue;
            }
            return Ok(Some(OpenInvoice {
                is_exact: line.amount.to_units(document.decimals) == Ok(stored.open_amount),
                number: document.number.clone(),
                account: document.account.clone(),
                customer: document.customer.name.clone(),
                open: stored.open_amount,
                decimals: document.decimals,
                minor_digits: document.minor_digits,
            }));
        }
        Ok(None)
    }

    /// Whom a person means: an invoice by its number, or an account by its id.
    pub async fn booking_target(&self, context: &RequestContext, said: &str) -> Result<Target, Error> {
        let billing = self.billing(context).await?;
        let target = match billing.document(said).await {
            Ok(stored)
                if stored.document.kind == DocumentKind::Invoice
                    && stored.state == DocumentState::Issued
                    && context.caller.may_on(Permission::RecordPayments, &stored.document.account) =>
            {
                Target { account: stored.document.account, invoice: stored.document.number }
            }
            Ok(_) | Err(BillingError::NotFound(_)) => Target { account: said.to_owned(), invoice: String::new() },
            Err(error) => return Err(error.into()),
        };
        context.require(Permission::RecordPayments, &target.account)?;
        Ok(target)
    }

    /// Books a line as a payment, once.
    pub async fn book_line(&self, context: &RequestContext, line: &Line, target: &Target, reason: &str) -> Result<Booked, Error> {
        context.require(Permission::RecordPayments, &target.account)?;
        let now = self.clock().now();
        // A claim outlives a refusal, so that nothing is claimed for an account that is not there.
        self.look_at(&target.account).await?;
        let claimed = BookedLine { account: target.account.clone(), at: now };
        let claim = self.billing(context).await?.claim_line(&line.digest, &claimed, &context.caller.name).await?;
        let first_sent_at = match &claim {
            Claim::New => now,
            Claim::Known(found) if found.account == target.account => found.at,
            Claim::Known(found) => {
                let payment = self.billing(context).await?.payment(&found.account, &request_id_of(line)).await?;
                let found = shown_to(context, found.clone());
                return Ok(if payment.is_some() { Booked::Before(found) } else { Booked::Begun(found) });
            }
        };
        match self.record_payment(context, self.payment_of(line, target, first_sent_at, reason)).await {
            Ok(recorded) if recorded.decided.outcome.replayed => Ok(Booked::Before(BookedLine { at: first_sent_at, ..claimed })),
            Ok(_) => Ok(Booked::Done),
            Err(error) if error.leaves_open() => Err(error),
            Err(error) => {
                // What nobody else has begun meanwhile can be booked elsewhere.
                if claim == Claim::New {
                    self.billing(context).await?.free_line(&line.digest).await?;
                }
                Ok(Booked::Refused(error))
            }
        }
    }

    /// The command that books a line.
    fn payment_of(&self, line: &Line, target: &Target, first_sent_at: Millis, reason: &str) -> Command {
        let shortened = |text: &str| text.chars().take(MOST_REFERENCE).collect::<String>();
        let reference = if line.reference.is_empty() { &line.text } else { &line.reference };
        let remark = [&line.payer, &line.text].into_iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(": ");
        let mut metadata = Metadata { reason: reason.to_owned(), ..Metadata::default() };
        let received_at = self.clock().start_of_day(line.day).filter(|at| *at <= self.clock().now());
        let remark = remark.chars().take(200).collect();
        PaymentDetails { received_at, method: METHOD.to_owned(), reference: shortened(reference), remark }.write_to(&mut metadata);
        let invoices = Some(target.invoice.clone()).filter(|number| !number.is_empty()).into_iter().collect();
        Command {
            account: target.account.clone(),
            request_id: request_id_of(line),
            first_sent_at: Some(first_sent_at),
            currency: Some(line.currency),
            action: Action::RecordPayment { amount: line.amount, invoices },
            metadata,
        }
    }
}

/// The same without the account, if that is not for the caller's eyes: it is booked all the same.
fn shown_to(context: &RequestContext, found: BookedLine) -> BookedLine {
    let is_shown = context.caller.may_on(Permission::RecordPayments, &found.account);
    BookedLine { account: if is_shown { found.account } else { String::new() }, ..found }
}

/// The request id of the payment that a line is booked as.
fn request_id_of(line: &Line) -> String {
    format!("bank:{}", line.digest)
}

/// What of a text may be the number of an invoice: words with a digit in them.
fn words(text: &str) -> impl Iterator<Item = String> {
    let is_between = |letter: char| letter.is_whitespace() || ",;:()[]\"'".contains(letter);
    let words = text.split(is_between).map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric()));
    let is_number = |word: &&str| (3..=64).contains(&word.len()) && word.bytes().any(|byte| byte.is_ascii_digit());
    words.filter(is_number).map(str::to_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(day: &str, amount: &str, text: &str) -> Line {
        Line {
            day: day.parse().unwrap(),
            amount: DecimalAmount::parse(amount).unwrap(),
            currency: Currency(*b"EUR"),
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

    #[test]
    fn words_with_digits_may_be_numbers_of_invoices() {
        let found: Vec<_> = words("Rechnung Nr.: inv-000007, vom 31.08.2026 (RE/12) ab").collect();
        assert_eq!(found, ["INV-000007", "31.08.2026", "RE/12"]);
    }
}
