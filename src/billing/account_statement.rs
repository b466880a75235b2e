//! A statement of account: what moved an account's balance within a span, entry by entry, so that its closing is the ledger's balance.
//!
//! An account's entries are read backwards along their chain. Charges of a prepaid balance, which may be very many, are summed up by day.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::{AnyConnection, Row};

use super::account_history::{self, Chain, WALK};
use super::position::{JournalPosition, position};
use super::record::{narrow, number};
use super::store::rows::{Table, Type};
use super::{Billing, BillingError, Record};
use crate::store::Columns;
use domain::entry::{Entry, EntryKind};
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;

/// The most lines of a statement.
pub const MOST_LINES: usize = 5_000;

/// The most characters of what is said about a line.
const MOST_CHARACTERS: usize = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    Invoice,
    Payment,
    PaymentReversed,
    Credit,
    Correction,
    WriteOff,
    WriteOffReversed,
    Withdrawal,
    /// Charges of a prepaid balance within a day, less refunds of them.
    Charges,
    Rounding,
    NotItemized,
}

impl LineKind {
    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::Payment => "payment",
            Self::PaymentReversed => "payment_reversed",
            Self::Credit => "credit",
            Self::Correction => "correction",
            Self::WriteOff => "write_off",
            Self::WriteOffReversed => "write_off_reversed",
            Self::Withdrawal => "withdrawal",
            Self::Charges => "charges",
            Self::Rounding => "rounding",
            Self::NotItemized => "not_itemized",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementLine {
    /// What it is.
    pub kind: LineKind,
    /// When.
    pub at: UnixMillis,
    /// The number of the document, or the request id; empty if there is none.
    pub reference: String,
    /// Whether the reference is the number of a document.
    pub is_document: bool,
    /// More about it; may be empty.
    pub description: String,
    /// How many charges and refunds it sums up.
    pub count: i64,
    /// What it moved the balance by.
    pub amount: Units,
    /// The balance after it.
    pub balance: Units,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStatement {
    pub account: AccountId,
    /// ISO 4217.
    pub currency: String,
    /// Digits behind the point of a unit.
    pub decimals: u8,
    /// Digits behind the point of the currency's minor unit.
    pub minor_digits: u8,
    /// The first instant of the span, and the first after it.
    pub span: [UnixMillis; 2],
    /// The balance before it.
    pub opening: Units,
    /// What moved it, in order.
    pub lines: Vec<StatementLine>,
    /// The balance at its end.
    pub closing: Units,
    /// Open invoice amount at that time.
    pub open: Units,
    /// The journal position that this reflects.
    pub position: JournalPosition,
}

impl AccountStatement {
    /// What was paid in and allocated to no invoice.
    #[must_use]
    pub fn unallocated(&self) -> Units {
        (self.closing + self.open).or_zero()
    }
}

const BILL_NUMBERS: Table = Table {
    name: "(SELECT documents.account, documents.bill, COALESCE(issued.number, '') AS number FROM documents \
           LEFT JOIN issued ON issued.document = documents.id WHERE documents.kind <> 'credit_note') AS bill_numbers",
    columns: &[("account", Type::Text), ("bill", Type::Number)],
    on_conflict: "",
};

const NOTE_NUMBERS: Table = Table {
    name: "(SELECT documents.id, COALESCE(issued.number, '') AS number FROM documents \
           LEFT JOIN issued ON issued.document = documents.id WHERE documents.kind = 'credit_note') AS note_numbers",
    columns: &[("id", Type::Number)],
    on_conflict: "",
};

const UNCREDITED: Table = Table {
    name: "(SELECT account, sequence, note FROM uncredited_refunds) AS uncredited",
    columns: &[("account", Type::Text), ("sequence", Type::Number)],
    on_conflict: "",
};

const REFUNDS: Table =
    Table { name: "refunds", columns: &[("account", Type::Text), ("bill", Type::Number), ("sequence", Type::Number)], on_conflict: "" };

/// What documents and refunds say of entries.
#[derive(Default)]
struct DocumentFacts {
    bills: HashMap<u32, String>,
    notes: HashMap<i64, String>,
    /// Refunds of prepaid charges, by the account's numbers of their entries.
    of_prepaid: Vec<i64>,
    /// Refunds of 0.00 that stand on a credit note.
    on_notes: Vec<i64>,
}

impl Billing {
    /// What moved an account's balance between two instants; without `from`, since it was created.
    pub async fn account_statement(
        &self,
        account: &AccountId,
        from: Option<UnixMillis>,
        to: UnixMillis,
    ) -> Result<AccountStatement, BillingError> {
        let mut transaction = self.store().begin_reading().await?;
        let connection = &mut *transaction;
        let sql = "SELECT currency, decimals, minor_digits, created_at FROM accounts WHERE account = $1";
        let query = sqlx::query(sql).bind(account.to_string());
        let row = query.fetch_optional(&mut *connection).await?.ok_or(BillingError::NotFound("account"))?;
        let from = match from {
            Some(from) => from,
            None => row.instant("created_at")?,
        };
        let walked = walked(connection, account, [from, to]).await?;
        let mut records = Vec::with_capacity(walked.places.len());
        for places in walked.places.chunks(5_000) {
            records.extend(account_history::at(connection, self.store().dialect(), places).await?);
        }
        let known = self.known(connection, account, &records).await?;
        let mut lines = Lines { zone: self.settings().zone()?, lines: Vec::new(), charges: None };
        let mut charges = walked.charges.into_iter().peekable();
        for record in &records {
            while let Some((sequence, time, amount)) = charges.peek().copied()
                && sequence < number(record.sequence)
            {
                lines.charge(time, Units::new(-amount));
                charges.next();
            }
            lines.take(record, &known);
        }
        charges.for_each(|(_, time, amount)| lines.charge(time, Units::new(-amount)));
        let statement = AccountStatement {
            account: account.to_owned(),
            currency: row.try_get("currency")?,
            decimals: narrow(&row, "decimals")?,
            minor_digits: narrow(&row, "minor_digits")?,
            span: [from, to],
            opening: walked.opening,
            lines: lines.finish(walked.opening),
            closing: walked.closing,
            open: Units::new(open_at(connection, account, to).await?),
            position: position(connection).await?,
        };
        transaction.commit().await?;
        if statement.lines.len() > MOST_LINES {
            let problem = format!("the span has more than {MOST_LINES} lines: choose a shorter one");
            return Err(BillingError::Invalid { field: "to_day", problem });
        }
        if statement.opening + statement.lines.iter().map(|line| line.amount).sum::<Units>() != statement.closing {
            return Err(BillingError::corrupt(format!("the entries of account {account} do not add up to its balance")));
        }
        Ok(statement)
    }

    async fn known(&self, connection: &mut AnyConnection, account: &AccountId, records: &[Record]) -> Result<DocumentFacts, BillingError> {
        use EntryKind::{ChargedOwnBill, FinalBilled, PeriodClosed, RefundedBalance};

        let dialect = self.store().dialect();
        let of = |wanted: &'static [EntryKind]| records.iter().filter(move |record| wanted.contains(&record.entry.kind()));
        let mut known = DocumentFacts::default();
        let cuts = of(&[PeriodClosed, FinalBilled, ChargedOwnBill]);
        let keys: Vec<_> = cuts.map(|record| vec![account.into(), i64::from(record.entry.bill).into()]).collect();
        for row in BILL_NUMBERS.find(connection, dialect, "bill, number", &keys).await? {
            known.bills.insert(narrow(&row, "bill")?, row.try_get("number")?);
        }
        let refunds: Vec<_> = of(&[RefundedBalance]).collect();
        let keys: Vec<_> = refunds.iter().map(|record| vec![place(record).into()]).collect();
        for row in NOTE_NUMBERS.find(connection, dialect, "*", &keys).await? {
            known.notes.insert(row.try_get("id")?, row.try_get("number")?);
        }
        let key = |entry: &Entry| vec![account.into(), i64::from(entry.bill).into(), number(entry.account_sequence).into()];
        let keys: Vec<_> = refunds.iter().map(|record| key(&record.entry)).collect();
        for row in REFUNDS.find(connection, dialect, "sequence, charge_kind", &keys).await? {
            if row.try_get::<i64, _>("charge_kind")? == EntryKind::ChargedBalance as i64 {
                known.of_prepaid.push(row.try_get("sequence")?);
            }
        }
        let keys: Vec<_> = refunds.iter().map(|record| vec![account.into(), number(record.entry.account_sequence).into()]).collect();
        for row in UNCREDITED.find(connection, dialect, "sequence, note", &keys).await? {
            if row.try_get::<i64, _>("note")? != 0 {
                known.on_notes.push(row.try_get("sequence")?);
            }
        }
        Ok(known)
    }
}

/// The place of a record in the journal, as of a document's id.
fn place(record: &Record) -> i64 {
    (number(record.sequence) << 16) | i64::from(record.partition)
}

/// Entries found along an account's chain.
#[derive(Default)]
struct Walked {
    /// The entries that have lines of their own, oldest first.
    places: Vec<(u16, i64)>,
    /// Charges of a prepaid balance, oldest first: sequence, time, amount.
    charges: Vec<(i64, UnixMillis, i64)>,
    opening: Units,
    closing: Units,
}

async fn walked(connection: &mut AnyConnection, account: &AccountId, [from, to]: [UnixMillis; 2]) -> Result<Walked, BillingError> {
    let Some(chain) = Chain::of(connection, account).await? else { return Ok(Walked::default()) };
    let (mut walked, mut next, mut closing) = (Walked::default(), chain.last, None);
    'chain: while next > 0 {
        let rows = chain.walk(connection, "sequence, previous, time, kind, amount, balance", next, WALK).await?;
        next = 0;
        for row in rows {
            let (time, balance): (UnixMillis, Units) = (row.instant("time")?, row.units("balance")?);
            next = row.try_get("previous")?;
            if time < to {
                closing.get_or_insert(balance);
            }
            if time < from {
                walked.opening = balance;
                break 'chain;
            }
            let kind = EntryKind::from_number(narrow(&row, "kind")?);
            match kind.filter(|_| time < to) {
                Some(EntryKind::ChargedBalance) => walked.charges.push((row.try_get("sequence")?, time, row.units("amount")?.get())),
                Some(kind) if may_move(kind) => walked.places.push(chain.place(row.try_get("sequence")?)),
                _ => {}
            }
        }
    }
    walked.closing = closing.unwrap_or_default();
    walked.places.reverse();
    walked.charges.reverse();
    Ok(walked)
}

/// Whether an entry of a kind may move the balance.
fn may_move(kind: EntryKind) -> bool {
    use EntryKind::*;
    match kind {
        ChargedBalance | ChargedOwnBill | RefundedBalance | ToppedUp | PaymentReversed | Withdrawn | Adjusted | PeriodClosed
        | FinalBilled | Rounded | PaymentRecorded | WrittenOff | WriteOffReversed | AmountDueRounded | NotItemized
        | NotItemizedUnbilled => true,
        Created | Updated | ChargedUnbilled | RefundedUnbilled | LimitSet | Converted | Suspended | Resumed | Closed | Reserved
        | ReservationExtended | Released | Reopened => false,
    }
}

/// The open invoice amount of an account at an instant.
async fn open_at(connection: &mut AnyConnection, account: &AccountId, to: UnixMillis) -> Result<i64, BillingError> {
    let sql = "SELECT CAST(COALESCE((SELECT SUM(payables.total) FROM documents JOIN payables ON payables.document = documents.id \
               WHERE documents.account = $1 AND documents.cut_at < $2), 0) \
               - COALESCE((SELECT SUM(amount) FROM allocations WHERE account = $1 AND time < $2), 0) AS BIGINT)";
    Ok(sqlx::query(sql).bind(account.to_string()).bind(to.get()).fetch_one(connection).await?.try_get(0)?)
}

/// Lines as they come to be.
struct Lines {
    zone: TimeZone,
    lines: Vec<(StatementLine, u32)>,
    /// The charges of a day, which stand behind all else of it.
    charges: Option<(Date, StatementLine)>,
}

impl Lines {
    fn day(&self, at: UnixMillis) -> Date {
        Timestamp::from_millisecond(at.get()).unwrap_or_default().to_zoned(self.zone.clone()).date()
    }

    fn take(&mut self, record: &Record, known: &DocumentFacts) {
        let entry = &record.entry;
        let (amount, sequence) = (entry.data.movement().balance, number(entry.account_sequence));
        let metadata = &entry.metadata;
        let line = |kind: LineKind, reference: &str, description: String| StatementLine {
            kind,
            at: entry.time,
            reference: reference.to_owned(),
            is_document: false,
            description: description.chars().take(MOST_CHARACTERS).collect(),
            count: 1,
            amount,
            balance: Units::ZERO,
        };
        let reason = || metadata.reason.clone();
        let made = match entry.kind() {
            EntryKind::PeriodClosed | EntryKind::FinalBilled if amount.is_zero() => return,
            EntryKind::PeriodClosed | EntryKind::FinalBilled | EntryKind::ChargedOwnBill => {
                let number = known.bills.get(&entry.bill).map_or("", String::as_str);
                line(LineKind::Invoice, number, String::new())
            }
            // The rounding of a bill is part of what its invoice charges.
            EntryKind::Rounded => {
                match self.lines.last_mut().filter(|(last, bill)| last.kind == LineKind::Invoice && *bill == entry.bill) {
                    Some((invoice, _)) => {
                        invoice.amount += amount;
                        return;
                    }
                    None => line(LineKind::Rounding, "", String::new()),
                }
            }
            EntryKind::AmountDueRounded => line(LineKind::Rounding, "", String::new()),
            EntryKind::RefundedBalance if known.of_prepaid.contains(&sequence) => return self.charge(entry.time, amount),
            EntryKind::RefundedBalance if amount.is_zero() && known.on_notes.contains(&sequence) => return,
            EntryKind::RefundedBalance => {
                let number = known.notes.get(&place(record)).filter(|number| !number.is_empty());
                let made = line(LineKind::Credit, number.map_or(entry.request_id.as_str(), String::as_str), reason());
                StatementLine { is_document: number.is_some(), ..made }
            }
            EntryKind::ToppedUp | EntryKind::PaymentRecorded => {
                let details = domain::payment::PaymentDetails::of(metadata);
                let said = [details.method, details.reference, details.remark];
                let said: Vec<_> = said.into_iter().filter(|text| !text.is_empty()).collect();
                line(LineKind::Payment, &entry.request_id, said.join(", "))
            }
            EntryKind::PaymentReversed => line(LineKind::PaymentReversed, &entry.refers_to, reason()),
            EntryKind::Withdrawn => line(LineKind::Withdrawal, &entry.request_id, reason()),
            EntryKind::Adjusted => line(LineKind::Correction, &entry.request_id, reason()),
            EntryKind::WrittenOff => line(LineKind::WriteOff, &entry.request_id, reason()),
            EntryKind::WriteOffReversed => line(LineKind::WriteOffReversed, &entry.refers_to, reason()),
            EntryKind::NotItemized | EntryKind::NotItemizedUnbilled if !amount.is_zero() => line(LineKind::NotItemized, "", String::new()),
            _ => return,
        };
        self.close_day(Some(entry.time));
        self.lines.push((made, entry.bill));
    }

    /// A charge of a prepaid balance, or a refund of one.
    fn charge(&mut self, at: UnixMillis, amount: Units) {
        self.close_day(Some(at));
        let day = self.day(at);
        let blank = || StatementLine {
            kind: LineKind::Charges,
            at,
            reference: String::new(),
            is_document: false,
            description: String::new(),
            count: 0,
            amount: Units::ZERO,
            balance: Units::ZERO,
        };
        let (_, line) = self.charges.get_or_insert_with(|| (day, blank()));
        (line.at, line.count, line.amount) = (at, line.count + 1, line.amount + amount);
    }

    /// Ends the day of the charges, if another one begins.
    fn close_day(&mut self, at: Option<UnixMillis>) {
        if let Some((day, line)) = self.charges.take() {
            if at.is_some_and(|at| self.day(at) == day) {
                self.charges = Some((day, line));
            } else {
                self.lines.push((line, 0));
            }
        }
    }

    fn finish(mut self, opening: Units) -> Vec<StatementLine> {
        self.close_day(None);
        let mut balance = opening;
        let lines = self.lines.into_iter().map(|(line, _)| {
            balance += line.amount;
            StatementLine { balance, ..line }
        });
        lines.collect()
    }
}
