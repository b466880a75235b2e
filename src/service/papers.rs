//! Papers about an account that are no numbered documents, as files: the preview of its coming document, the receipt of a payment, a
//! statement of account. Each is drawn up when it is asked for.

use jiff::civil::Date;

use super::context::RequestContext;
use super::error::Error;
use super::taken_in::once_taken_in;
use super::{UseCases, payments};
use access::Permission;
use billing::account_statement::AccountStatement;
use billing::document::Document;
use billing::issuer::{MAIN, in_force};
use billing::rendering::{self, Denomination, FormError, Imprint, UsageWriter};
use billing::{Billing, Record};
use domain::ids::{AccountId, RequestId};
use domain::time::UnixMillis;

/// How many usage records are read at once.
const RECORDS: usize = 1_000;

/// What a paper is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For machines.
    Json,
    /// For spreadsheets and importers.
    Csv,
    /// For the browser and the printer.
    Html,
    /// For archives.
    Pdf,
}

/// A paper about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paper {
    /// The preview of its coming document.
    Preview,
    /// The receipt of the payment with that request id.
    Receipt(RequestId),
    /// A statement of account of a span of days.
    Statement(Span),
}

/// The first day and the last day of a statement: from the account's creation, and to today, unless they are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first day.
    pub first: Option<Date>,
    /// The last day.
    pub last: Option<Date>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its media type.
    pub content_type: &'static str,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl UseCases {
    /// Writes a paper about an account.
    pub async fn account_file(
        &self,
        context: &RequestContext,
        account: &AccountId,
        paper: Paper,
        form: Form,
        is_for_spreadsheets: bool,
    ) -> Result<File, Error> {
        context.require(Permission::ReadDocuments, account)?;
        self.tell_of_read(context, "GetAccountFile", account);
        self.look_at(account).await?;
        let billing = self.billing(context).await?;
        let (name, content) = match paper {
            Paper::Preview => {
                let coming = self.open_bill(context, account).await?;
                let nothing = || Error::precondition("NOTHING_TO_BILL", format!("accounts/{account}"), "there is nothing to bill so far");
                let document = coming.document.ok_or_else(nothing)?;
                let content = match form {
                    Form::Json => rendering::json(&document).map(String::into_bytes),
                    Form::Csv => Ok(usage_of(billing, &document, is_for_spreadsheets).await?),
                    Form::Html => rendering::html(&document).map(String::into_bytes),
                    Form::Pdf => rendering::pdf(&document),
                };
                ("preview".to_owned(), content)
            }
            Paper::Receipt(payment) => {
                let payment = payments::payment(billing, account, &payment).await?;
                let of = &payment.payment;
                let money = Denomination { currency: of.currency.clone(), decimals: of.decimals, minor_digits: of.minor_digits };
                let imprint = self.imprint(billing, account, money).await?;
                let content = match form {
                    Form::Json => rendering::receipt::json(&imprint, &payment).map(String::into_bytes),
                    Form::Csv => {
                        return Err(Error::invalid_field("form", "must not be CSV: a receipt has none"));
                    }
                    Form::Html => rendering::receipt::html(&imprint, &payment).map(String::into_bytes),
                    Form::Pdf => rendering::receipt::pdf(&imprint, &payment),
                };
                (format!("receipt-{}", of.entry_id()), content)
            }
            Paper::Statement(span) => {
                let statement = self.statement(billing, account, span).await?;
                let AccountStatement { currency, decimals, minor_digits, span: [from, to], .. } = statement.clone();
                let imprint = self.imprint(billing, account, Denomination { currency, decimals, minor_digits }).await?;
                let content = match form {
                    Form::Json => rendering::account_statement::json(&imprint, &statement).map(String::into_bytes),
                    Form::Csv => rendering::account_statement::csv(&imprint, &statement, is_for_spreadsheets),
                    Form::Html => rendering::account_statement::html(&imprint, &statement).map(String::into_bytes),
                    Form::Pdf => rendering::account_statement::pdf(&imprint, &statement),
                };
                let clock = self.clock();
                (format!("account-statement-{}-{}", clock.day_of(from), clock.day_of(to - 1)), content)
            }
        };
        let content = content.map_err(|error: FormError| Error::no_form(&error))?;
        Ok(File::new(&name, form, content))
    }

    /// A statement of account of a span of days.
    pub async fn account_statement(&self, context: &RequestContext, account: &AccountId, span: Span) -> Result<AccountStatement, Error> {
        context.require(Permission::ReadDocuments, account)?;
        self.tell_of_read(context, "GetAccountStatement", account);
        self.look_at(account).await?;
        self.statement(self.billing(context).await?, account, span).await
    }

    async fn statement(&self, billing: &Billing, account: &AccountId, span: Span) -> Result<AccountStatement, Error> {
        let clock = self.clock();
        let last = span.last.unwrap_or_else(|| clock.day_of(clock.now()));
        let start = |day: Date| clock.start_of_day(day);
        let after = last.tomorrow().ok().and_then(start);
        let (Some(to), from) = (after, span.first.and_then(start)) else { return Err(wrong_span("must be a day that has a day after it")) };
        if from.is_some_and(|from| from >= to) {
            return Err(wrong_span("must not be before from_day"));
        }
        once_taken_in(|| billing.account_statement(account, from, to)).await
    }

    /// Whose a paper is: by the settings of now.
    async fn imprint(&self, billing: &Billing, account: &AccountId, money: Denomination) -> Result<Imprint, Error> {
        let at: UnixMillis = self.clock().now();
        let issuers = billing.issuers(MAIN).await?;
        let mut issuer = in_force(&issuers, self.clock().day_of(at)).cloned().unwrap_or_default();
        billing.load_logo(&mut issuer).await?;
        let customer = once_taken_in(|| billing.customer(account)).await?;
        let time_zone = billing.settings().time_zone.clone();
        Ok(Imprint { issuer, customer, account: account.to_string(), money, time_zone, at })
    }
}

impl File {
    /// A file of a name that says nothing of its form.
    pub(super) fn new(name: &str, form: Form, content: Vec<u8>) -> Self {
        let (content_type, ending) = match form {
            Form::Json => ("application/json", "json"),
            Form::Csv => ("text/csv; charset=utf-8", "csv"),
            Form::Html => ("text/html; charset=utf-8", "html"),
            Form::Pdf => ("application/pdf", "pdf"),
        };
        Self { content_type, name: format!("{name}.{ending}"), content }
    }
}

fn wrong_span(rule: &str) -> Error {
    Error::invalid_field("to_day", rule)
}

/// The usage records of an open bill.
async fn usage_of(billing: &Billing, document: &Document, is_for_spreadsheets: bool) -> Result<Vec<u8>, Error> {
    let Document { currency, decimals, minor_digits, .. } = document;
    let denomination = Denomination { currency: currency.clone(), decimals: *decimals, minor_digits: *minor_digits };
    let mut rows = UsageWriter::new(Vec::new(), is_for_spreadsheets).map_err(|error| Error::no_form(&error))?;
    let found = billing.usage_of(&document.account, document.period_from, document.period_to + 1).await;
    let mut places = found?;
    loop {
        let records = billing.records(&mut places, RECORDS).await?;
        if records.is_empty() {
            return rows.finish().map_err(|error| Error::no_form(&error));
        }
        for Record { partition, sequence, entry, .. } in records.iter().filter(|record| record.entry.bill == document.bill) {
            rows.write(*partition, *sequence, entry, &denomination).map_err(|error| Error::no_form(&error))?;
        }
    }
}
