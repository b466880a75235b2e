//! A document of a bill: what a customer gets to see, and a finance department keeps.
//!
//! All amounts are in units of the account (see [`Document::decimals`]). A document is worked out when its bill is cut; it gets number,
//! date and the names of both parties when it is issued, and never changes from then on.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::denomination::Denomination;
use super::tax::TaxLine;
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;

/// The languages that documents are written in. The first is that of who has said none.
pub const LANGUAGES: [&str; 2] = ["en", "de"];

/// The kind of a document. Each kind has a series of numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// Lists what the customer used and now has to buy: an amount to pay, a due date.
    Invoice,
    /// Summarizes what was deducted from a prepaid account: nothing to pay.
    Statement,
    /// Documents a refund of what was already invoiced. It moves no money: the refund did.
    CreditNote,
}

impl DocumentKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Invoice, Self::Statement, Self::CreditNote];

    /// Its name in stores and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::Statement => "statement",
            Self::CreditNote => "credit_note",
        }
    }
}

/// What cut the bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The billing period ended.
    PeriodEnd,
    /// The account was converted to prepaid: its final bill.
    Conversion,
    /// A charge that is its own bill.
    SingleCharge,
    /// A refund of what an earlier document billed.
    Refund,
}

impl Cause {
    /// Its name in stores and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PeriodEnd => "period_end",
            Self::Conversion => "conversion",
            Self::SingleCharge => "single_charge",
            Self::Refund => "refund",
        }
    }
}

/// The issuer of documents. A document keeps it as it was on the day of its issue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Issuer {
    pub name: String,
    /// The lines of the postal address above the town.
    pub address: Vec<String>,
    pub postal_code: String,
    /// The town.
    pub city: String,
    /// ISO 3166-1 alpha-2: "DE".
    pub country: String,
    /// The tax id; empty for none.
    pub tax_id: String,
    /// Where to write to; empty for nowhere.
    pub email: String,
    /// Where to call; empty for nowhere.
    pub phone: String,
    /// Where to look; empty for nowhere.
    pub website: String,
    /// How to pay: the lines of a bank account, or of another way.
    pub payment: Vec<String>,
    /// What stands at the end of each document.
    pub footer: Vec<String>,
    /// What stands at its head; `None` for the name alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo: Option<Logo>,
}

/// A picture. Its content is kept once, by its digest, and is loaded with a document that is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logo {
    /// The BLAKE3 digest of the content, in hexadecimal.
    pub digest: String,
    /// "image/png" or "image/jpeg".
    pub media_type: String,
    /// How wide it is, in pixels.
    pub width: u32,
    /// How high it is, in pixels.
    pub height: u32,
    /// The file; empty if it was not loaded.
    #[serde(skip)]
    pub content: Vec<u8>,
}

impl Issuer {
    /// The lines of the postal address, the town and the country among them.
    #[must_use]
    pub fn address_lines(&self) -> Vec<String> {
        let town = [&self.postal_code, &self.city].into_iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(" ");
        self.address.iter().cloned().chain([town, self.country.clone()]).filter(|line| !line.is_empty()).collect()
    }
}

/// Why no tax is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relief {
    /// The customer is exempt.
    Exempt,
    /// The customer owes the tax.
    ReverseCharge,
}

/// That an account is charged no tax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// Why no tax is charged.
    pub relief: Relief,
    /// Why, as documents say it.
    pub reason: String,
}

/// The recipient of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    pub name: String,
    /// The lines of the postal address.
    pub address: Vec<String>,
    /// The tax id; empty for none.
    pub tax_id: String,
    /// Where to write to; empty for nowhere.
    pub email: String,
    /// In which language documents are written; empty if not said.
    #[serde(default)]
    pub language: String,
}

/// One line: everything of one item within the bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// "usage", "subscription", "hardware", "service".
    pub category: String,
    /// What was sold; empty if not said.
    pub item: String,
    /// What the issuer's list of items calls it, in the document's language; empty for nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// For people; empty if the item speaks for itself.
    pub description: String,
    /// How much of it, as a decimal; empty if not said.
    pub quantity: String,
    /// Of what; empty if not said.
    pub unit: String,
    /// How many charges (or refunds) it sums up.
    pub count: i64,
    /// What a unit costs (without a quantity: a charge), as a decimal of the currency; empty if there is no one price.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit_price: String,
    /// What it costs; negative: given back.
    pub amount: Units,
    /// When the first of them was accepted.
    pub first_use: UnixMillis,
    /// When the last of them was accepted.
    pub last_use: UnixMillis,
}

/// Balance summary: the changes of the balance from one bill's end to the next. `opening + all the others = closing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    /// The balance after the bill before.
    pub opening: Units,
    /// Top-ups and payments.
    pub paid_in: Units,
    /// Payments that were taken back: zero or negative.
    pub reversed: Units,
    /// Charges: zero or negative.
    pub charged: Units,
    /// Refunds to the balance.
    pub refunded: Units,
    /// Withdrawals: zero or negative.
    pub withdrawn: Units,
    /// Corrections by hand, signed.
    pub adjusted: Units,
    /// Debts that were given up, less what was taken back of that.
    #[serde(default)]
    pub written_off: Units,
    /// What moved it within a part of the journal that is not known.
    #[serde(default)]
    pub not_itemized: Units,
    /// Single charges that were bills of their own meanwhile: zero or negative. Each has an invoice of its own.
    pub invoiced: Units,
    /// Rounding of those to the minor unit, signed.
    pub rounded: Units,
    /// The balance after the bill's last entry, before what the bill itself moves.
    pub closing: Units,
}

/// A correction by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// When.
    pub time: UnixMillis,
    /// What it added to the balance; signed.
    pub amount: Units,
    /// Why.
    pub reason: String,
}

/// An earlier invoice that was not paid in full when a document was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenInvoice {
    pub number: String,
    /// By when it is to be paid; 0 if it was issued when not every invoice had such a day.
    pub due_at: UnixMillis,
    pub open: Units,
}

/// Of a part of a document's lines, `before` being ahead of it, keeps those within the range.
fn keep<T>(part: &mut Vec<T>, lines: &Range<usize>, before: &mut usize) {
    let (start, end) = (lines.start.saturating_sub(*before), lines.end.saturating_sub(*before));
    *before += part.len();
    part.truncate(end);
    part.drain(..start.min(part.len()));
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The kind of the document.
    pub kind: DocumentKind,
    /// Its number, unique and gapless in its series; empty if not issued yet.
    pub number: String,
    /// What cut the bill.
    pub cause: Cause,
    pub account: AccountId,
    /// The account's number of the bill.
    pub bill: u32,
    pub issuer: Issuer,
    /// The recipient.
    pub customer: Party,
    /// ISO 4217.
    pub currency: String,
    /// Digits behind the point of one unit.
    pub decimals: u8,
    /// Digits behind the point of the currency's minor unit.
    pub minor_digits: u8,
    /// The IANA name of the time zone in which dates are shown.
    pub time_zone: String,
    /// The beginning of what the document covers; of a draft: when the bill's first entry was accepted.
    pub period_from: UnixMillis,
    /// When the bill was cut.
    pub period_to: UnixMillis,
    /// When the document was issued; 0 if not yet.
    pub issued_at: UnixMillis,
    /// The due date; `None` if this is not an invoice.
    pub due_at: Option<UnixMillis>,
    /// What there is to buy (of a credit note: what is given back), by item.
    pub items: Vec<Item>,
    /// What was already deducted from a prepaid balance, by item; information.
    pub deducted: Vec<Item>,
    /// The balance summary of a bill with a prepaid part.
    pub wallet: Option<Wallet>,
    /// Corrections by hand within the bill.
    #[serde(default)]
    pub adjustments: Vec<Adjustment>,
    /// Of a statement: the invoices that were open when it was issued.
    #[serde(default)]
    pub open_invoices: Vec<OpenInvoice>,
    /// The sum of `items`: what the ledger closed.
    pub items_total: Units,
    /// What rounding to the minor unit adds to that; signed.
    pub rounding: Units,
    /// A debt from before, that no earlier invoice holds.
    pub brought_forward: Units,
    /// `items_total + rounding + brought_forward`.
    pub total: Units,
    /// The tax in what is charged, by rate (of items and rounding; of a statement: of the deducted items); empty if no tax is shown.
    #[serde(default)]
    pub taxes: Vec<TaxLine>,
    /// Of an invoice with a prepaid part: the tax in the deducted items, by rate.
    #[serde(default)]
    pub deducted_taxes: Vec<TaxLine>,
    /// Why no tax is charged; `None` if it is.
    #[serde(default)]
    pub exemption: Option<Exemption>,
    /// What an overpayment from before has already paid of the total.
    pub credit_applied: Units,
    /// `total - credit_applied`.
    pub amount_to_pay: Units,
    /// Of a credit note: the number of the invoice that billed the charge.
    pub refers_to: String,
    /// Of a credit note: why.
    pub reason: String,
}

impl Document {
    /// Keeps some of its lines: items, then what was deducted, corrections, and open invoices. Returns the place of the next; `None` means there
    /// is none.
    pub fn keep_lines(&mut self, lines: Range<usize>) -> Option<usize> {
        let mut before = 0;
        keep(&mut self.items, &lines, &mut before);
        keep(&mut self.deducted, &lines, &mut before);
        keep(&mut self.adjustments, &lines, &mut before);
        keep(&mut self.open_invoices, &lines, &mut before);
        Some(lines.end).filter(|end| *end < before)
    }

    /// Leaves what a list shows: without lines, corrections and open invoices.
    pub fn drop_lines(&mut self) {
        self.items.clear();
        self.deducted.clear();
        self.adjustments.clear();
        self.open_invoices.clear();
    }

    /// Whether there is a line to list, or an amount that is brought forward.
    #[must_use]
    pub fn has_something_to_say(&self) -> bool {
        !self.items.is_empty()
            || !self.deducted.is_empty()
            || !self.adjustments.is_empty()
            || !self.brought_forward.is_zero()
            || self.wallet.as_ref().is_some_and(|wallet| !wallet.not_itemized.is_zero())
    }

    /// All its lines.
    pub fn all_items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().chain(&self.deducted)
    }

    /// What the bill itself charges: its items, rounded.
    #[must_use]
    pub fn charged(&self) -> Units {
        self.items_total.saturating_add(self.rounding)
    }

    /// The sum of what was already deducted.
    #[must_use]
    pub fn deducted_total(&self) -> Units {
        self.deducted.iter().fold(Units::ZERO, |sum, item| sum.saturating_add(item.amount))
    }

    /// What was open of earlier invoices when it was issued.
    #[must_use]
    pub fn open_total(&self) -> Units {
        self.open_invoices.iter().fold(Units::ZERO, |sum, invoice| sum.saturating_add(invoice.open))
    }

    /// The tax in what is charged.
    #[must_use]
    pub fn tax_contained(&self) -> Units {
        self.taxes.iter().map(|line| line.tax).sum()
    }

    /// The tax in what was already deducted.
    #[must_use]
    pub fn tax_on_deducted(&self) -> Units {
        self.deducted_taxes.iter().map(|line| line.tax).sum()
    }
}

impl Denomination {
    /// A document of an account, with nothing in it.
    pub fn blank(&self, kind: DocumentKind, cause: Cause, account: &AccountId, bill: u32, period: [UnixMillis; 2]) -> Document {
        Document {
            kind,
            number: String::new(),
            cause,
            account: account.to_owned(),
            bill,
            issuer: Issuer::default(),
            customer: Party::default(),
            currency: self.currency.clone(),
            decimals: self.decimals,
            minor_digits: self.minor_digits,
            time_zone: String::new(),
            period_from: period[0],
            period_to: period[1],
            issued_at: UnixMillis::NONE,
            due_at: None,
            items: Vec::new(),
            deducted: Vec::new(),
            wallet: None,
            adjustments: Vec::new(),
            open_invoices: Vec::new(),
            items_total: Units::ZERO,
            rounding: Units::ZERO,
            brought_forward: Units::ZERO,
            total: Units::ZERO,
            taxes: Vec::new(),
            deducted_taxes: Vec::new(),
            exemption: None,
            credit_applied: Units::ZERO,
            amount_to_pay: Units::ZERO,
            refers_to: String::new(),
            reason: String::new(),
        }
    }
}
