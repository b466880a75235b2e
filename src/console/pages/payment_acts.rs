//! The actions on a payment: allocate it to an invoice, take it off one, set it free, or reverse it.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use super::acts::is_about_the_form;
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields, FormRequest, Sign};
use crate::navigation::PAYMENTS;
use crate::page::{Page, render};
use crate::payment_act::{PaymentAct, path_of_payment};
use crate::visitor::Visitor;
use billing::{Act, ByHand};
use domain::command::{Action, Command, Metadata, Reversal};
use domain::ids::{AccountId, RequestId};
use domain::money::DecimalAmount;
use service::error::Error;
use service::payments::AllocateByHand;

/// The invoice that a link names.
#[derive(Deserialize)]
pub struct PaymentActQuery {
    #[serde(default)]
    invoice: String,
}

/// The form.
#[derive(Template)]
#[template(path = "payment_act.html")]
struct ActPage {
    page: Page,
    act: PaymentAct,
    href: String,
    payment: String,
    /// The key of a name, and an amount.
    facts: Vec<(&'static str, String)>,
    currency: String,
    fields: Fields,
    wrong: Vec<FieldError>,
    refused: String,
}

/// Shows the form.
pub async fn show(
    State(console): State<Console>,
    Extension(act): Extension<PaymentAct>,
    visitor: Visitor,
    Path((account, id)): Path<(AccountId, RequestId)>,
    Query(PaymentActQuery { invoice }): Query<PaymentActQuery>,
) -> Result<Response, Failure> {
    let fields = Fields::default().with("request", console.new_request()).with("invoice", invoice);
    form(&console, &visitor, act, (&account, &id), fields, Vec::new(), String::new()).await
}

async fn form(
    console: &Console,
    visitor: &Visitor,
    act: PaymentAct,
    (account, id): (&AccountId, &RequestId),
    fields: Fields,
    wrong: Vec<FieldError>,
    refused: String,
) -> Result<Response, Failure> {
    visitor.require(act.permission(), account)?;
    let (context, locale) = (visitor.context(), &visitor.locale);
    let payment = console.use_cases.handle(&context, console.use_cases.payment(&context, account, id)).await?.payment;
    let amount = |units| locale.units(units, payment.decimals, payment.minor_digits);
    render(&ActPage {
        page: Page::new(visitor, PAYMENTS, locale.text_with(&format!("{}-payment", act.name()), &[("value", id.as_str())])),
        act,
        href: path_of_payment(account, id),
        payment: id.to_string(),
        facts: vec![
            ("paid-in", amount(payment.amount)),
            ("pays-of-invoices", amount(payment.allocated)),
            ("not-allocated", amount(payment.unallocated())),
            ("set-aside", amount(payment.set_aside)),
        ],
        currency: payment.currency.clone(),
        fields,
        wrong,
        refused,
    })
}

/// Handles the submitted form.
pub async fn act(
    State(console): State<Console>,
    Extension(act): Extension<PaymentAct>,
    visitor: Visitor,
    Path((account, id)): Path<(AccountId, RequestId)>,
    fields: Fields,
) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let (request, reason) = (reader.request(), reader.text("reason"));
    let amount = if act == PaymentAct::SetFree { None } else { reader.optional_amount("amount", Sign::Positive) };
    let invoice = if act.has_invoice() { reader.id("invoice") } else { String::new() };
    if let Err(wrong) = reader.finish() {
        let form = form(&console, &visitor, act, (&account, &id), fields, wrong, String::new()).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, form).into_response());
    }
    match done(&console, &visitor, act, (&account, &id), (request, reason, amount, invoice)).await {
        Ok(()) => Ok(Redirect::to(&format!("{}?done={}", path_of_payment(&account, &id), act.name())).into_response()),
        Err(error) if is_about_the_form(&error) || error.reason == "INVOICE_NOT_FOUND" => {
            error.log();
            let refused = visitor.locale.refusal(&error);
            let form = form(&console, &visitor, act, (&account, &id), fields, Vec::new(), refused).await?;
            Ok((StatusCode::CONFLICT, form).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn done(
    console: &Console,
    visitor: &Visitor,
    act: PaymentAct,
    (account, id): (&AccountId, &RequestId),
    (request, reason, amount, invoice): (FormRequest, String, Option<DecimalAmount>, String),
) -> Result<(), Error> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let FormRequest { id: request_id, first_sent_at } = request;
    let by_hand = match act {
        PaymentAct::Allocate => Act::Allocate,
        PaymentAct::TakeOff => Act::TakeOff,
        PaymentAct::SetFree => Act::SetFree,
        PaymentAct::Reverse => {
            let action = Action::ReversePayment(Reversal::of(id.clone(), amount));
            let metadata = Metadata { reason, ..Metadata::default() };
            let command =
                Command { account: account.clone(), request_id: request_id.into(), first_sent_at, currency: None, action, metadata };
            return use_cases.handle(&context, use_cases.decide(&context, command)).await.map(|_| ());
        }
    };
    let by_hand = ByHand {
        account: account.clone(),
        request_id: request_id.into(),
        act: by_hand,
        credit: id.clone(),
        invoice,
        amount: None,
        actor: visitor.principal.name.clone(),
        on_behalf_of: String::new(),
        reason,
        at: use_cases.clock().now(),
        origin: context.origin(),
    };
    let asked = AllocateByHand { by_hand, amount, currency: None, first_sent_at };
    use_cases.handle(&context, use_cases.allocate_by_hand(&context, asked)).await.map(|_| ())
}
