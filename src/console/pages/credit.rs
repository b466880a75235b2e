//! Credits what an invoice billed: whole charges, or a part of one. Each is a refund, of which the billing store makes a credit note.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::invoice::named;
use super::invoices::{path_of_document, title_of};
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields};
use crate::locale::Locale;
use crate::navigation::INVOICES;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use domain::command::{Action, Command, Metadata, Reversal};
use domain::ids::RequestId;
use domain::money::DecimalAmount;
use ledger::IdempotencyKey;
use service::credits::{BilledCharge, BilledCharges, MOST_CHARGES};
use service::error::Error;

/// The page: the charges to choose from, or the results for those that were chosen.
#[derive(Template)]
#[template(path = "credit.html")]
struct Credit {
    page: Page,
    href: String,
    number: String,
    currency: String,
    rows: Vec<Row>,
    has_more: bool,
    most: usize,
    fields: Fields,
    wrong: Vec<FieldError>,
    /// Whether it was done.
    is_done: bool,
    credited: usize,
    organization: String,
}

/// A charge.
struct Row {
    id: String,
    at: String,
    text: String,
    amount: String,
    /// The amount that is left of it; empty if nothing is.
    left: String,
    /// Whether its id was used again: it cannot be credited here.
    is_reused: bool,
    typed: String,
    is_ticked: bool,
    /// The result: the key of a text, and why it was refused.
    became: &'static str,
    refused: String,
}

/// The result for a chosen charge.
enum CreditOutcome {
    Credited,
    Refused(String),
}

/// Shows the charges.
pub async fn show(State(console): State<Console>, visitor: Visitor, Path(name): Path<String>) -> Result<Response, Failure> {
    let found = charges(&console, &visitor, &name).await?;
    let fields = Fields::default().with("request", console.new_request());
    page(&visitor, &found, fields, Vec::new(), &[])
}

async fn charges(console: &Console, visitor: &Visitor, name: &str) -> Result<BilledCharges, Failure> {
    let context = visitor.context();
    let found = console.use_cases.handle(&context, console.use_cases.billed_charges(&context, &named(name))).await?;
    visitor.require(Permission::Refund, &found.invoice.document.account)?;
    Ok(found)
}

fn page(
    visitor: &Visitor,
    found: &BilledCharges,
    fields: Fields,
    wrong: Vec<FieldError>,
    became: &[(RequestId, CreditOutcome)],
) -> Result<Response, Failure> {
    let (locale, document) = (&visitor.locale, &found.invoice.document);
    let is_done = !became.is_empty();
    let shown = found.charges.iter().filter(|charge| !is_done || became.iter().any(|(id, _)| is_of(charge, id)));
    let rows = shown.map(|charge| Row::of(locale, found, charge, &fields, became)).collect();
    render(&Credit {
        page: Page::new(visitor, INVOICES, locale.text_with("credit-title", &[("value", &title_of(locale, &found.invoice))])),
        href: path_of_document(found.invoice.id),
        number: document.number.clone(),
        currency: document.currency.clone(),
        rows,
        has_more: found.has_more,
        most: MOST_CHARGES,
        fields,
        wrong,
        is_done,
        credited: became.iter().filter(|(_, became)| matches!(became, CreditOutcome::Credited)).count(),
        organization: super::organizations::path_of(&document.account),
    })
}

impl Row {
    fn of(locale: &Locale, found: &BilledCharges, charge: &BilledCharge, fields: &Fields, became: &[(RequestId, CreditOutcome)]) -> Self {
        let document = &found.invoice.document;
        let money = |units| locale.units(units, document.decimals, document.minor_digits);
        let (state, refused) = match became.iter().find(|(id, _)| is_of(charge, id)) {
            Some((_, CreditOutcome::Credited)) => ("credited", String::new()),
            Some((_, CreditOutcome::Refused(why))) => ("bank-refused", why.clone()),
            None => ("", String::new()),
        };
        Self {
            at: locale.instant(charge.at),
            text: charge.text.clone(),
            amount: money(charge.amount),
            left: charge.left.filter(|left| left.is_positive()).map(money).unwrap_or_default(),
            is_reused: charge.left.is_none(),
            typed: fields.get(&amount_field(&charge.id)).to_owned(),
            is_ticked: fields.all("charge").any(|id| is_of(charge, id)),
            became: state,
            refused,
            id: charge.id.to_string(),
        }
    }
}

/// Whether this id means the charge. Of several charges that had it one after another, it means the last.
fn is_of(charge: &BilledCharge, id: &str) -> bool {
    charge.id == id && charge.left.is_some()
}

fn amount_field(charge: &str) -> String {
    format!("amount-{charge}")
}

/// Handles the submitted form: refunds each chosen charge by a request of its own, so that what is sent twice is done once.
pub async fn credit(
    State(console): State<Console>,
    visitor: Visitor,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Failure> {
    let found = charges(&console, &visitor, &name).await?;
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let (request, reason) = (reader.request(), reader.text("reason"));
    let chosen: BTreeSet<RequestId> = fields.all("charge").map(RequestId::from).collect();
    if chosen.is_empty() {
        reader.refuse("charge", "wrong-none-chosen");
    }
    let mut wanted: Vec<(RequestId, Option<DecimalAmount>)> = Vec::new();
    for id in chosen {
        if !found.charges.iter().any(|charge| is_of(charge, &id)) {
            reader.refuse("charge", "wrong-id");
            break;
        }
        let typed = fields.get(&amount_field(&id)).to_owned();
        let amount = visitor.locale.read_amount(&typed).filter(|amount| !amount.is_negative() && !amount.is_zero());
        if amount.is_none() && !typed.is_empty() {
            reader.refuse_with("charge", "wrong-credit-amount", &[("value", &id)]);
            break;
        }
        wanted.push((id, amount));
    }
    if let Err(wrong) = reader.finish() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&visitor, &found, fields, wrong, &[])?).into_response());
    }
    let (use_cases, account) = (&console.use_cases, &found.invoice.document.account);
    let mut became = Vec::new();
    for (id, amount) in wanted {
        let context = visitor.context();
        let command = Command {
            account: account.clone(),
            request_id: request_of(&request.id, &id),
            first_sent_at: request.first_sent_at,
            currency: None,
            action: Action::Refund(Reversal::of(id.clone(), amount)),
            metadata: Metadata { reason: reason.clone(), ..Metadata::default() },
        };
        match use_cases.handle(&context, use_cases.refund(&context, command)).await {
            Ok(_) => became.push((id, CreditOutcome::Credited)),
            // The outcome is unknown: the same form may be sent again.
            Err(error) if error.leaves_open() => return Err(error.into()),
            Err(error) => became.push((id, CreditOutcome::Refused(refused(&visitor.locale, &error)))),
        }
    }
    page(&visitor, &found, fields, Vec::new(), &became)
}

fn refused(locale: &Locale, error: &Error) -> String {
    error.log();
    locale.refusal(error)
}

/// The request id of one charge's refund: another one for each charge of a form.
fn request_of(form: &str, charge: &RequestId) -> RequestId {
    let IdempotencyKey(digest) = IdempotencyKey::within(form, charge);
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("credit:{digest}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::MOST;

    #[test]
    fn a_form_is_taken_whose_charges_are_all_chosen() {
        let charges = (0..MOST_CHARGES).map(|number| format!("&charge=call-{number}&amount-call-{number}="));
        let body = format!("token=t&request=r&reason=why{}", charges.collect::<String>());
        assert!(Fields::parse(body.as_bytes(), MOST).is_some());
    }
}
