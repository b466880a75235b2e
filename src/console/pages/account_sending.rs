//! The mail settings of an organization: what is sent, and to whom.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;

use super::invoices::change_of;
use super::organizations::path_of;
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields};
use crate::navigation::ORGANIZATIONS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::sending::settings::{AccountSending, MOST_RECIPIENTS, SWITCHES, is_address};
use domain::ids::AccountId;

#[derive(Template)]
#[template(path = "account_sending.html")]
struct Sending {
    page: Page,
    href: String,
    /// What can be switched off: the value, the key of its name, whether it is sent.
    switches: Vec<(&'static str, &'static str, bool)>,
    fields: Fields,
    wrong: Vec<FieldError>,
}

/// The key of what can be switched off.
fn key_of(switch: &str) -> &'static str {
    match switch {
        "invoice" => "switch-invoices",
        "statement" => "switch-statements",
        "credit_note" => "switch-credit-notes",
        "receipt" => "switch-receipts",
        "low_credit" => "switch-low-credit",
        _ => "switch-reminders",
    }
}

/// Shows the form.
pub async fn show(State(console): State<Console>, visitor: Visitor, Path(id): Path<AccountId>) -> Result<Response, Failure> {
    visitor.require(Permission::SetBillingDetails, &id)?;
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let sending = use_cases.handle(&context, use_cases.account_sending(&context, &id)).await?;
    let is_sent = |switch: &str| !sending.off.iter().any(|off| off == switch);
    let mut fields = Fields::default()
        .with("request", console.new_request())
        .with("send", if sending.is_off { "" } else { "yes" })
        .with("recipients", sending.recipients.join("\n"));
    for switch in SWITCHES.into_iter().filter(|switch| is_sent(switch)) {
        fields = fields.and("kind", switch);
    }
    form(&visitor, &id, fields, Vec::new())
}

fn form(visitor: &Visitor, id: &AccountId, fields: Fields, wrong: Vec<FieldError>) -> Result<Response, Failure> {
    let page = Page::new(visitor, ORGANIZATIONS, visitor.locale.text("sending-of-organization"));
    let is_ticked = |switch: &str| fields.all("kind").any(|kind| kind == switch);
    let switches = SWITCHES.into_iter().map(|switch| (switch, key_of(switch), is_ticked(switch))).collect();
    render(&Sending { page, href: path_of(id), switches, fields, wrong })
}

/// Handles the submitted form.
pub async fn set(State(console): State<Console>, visitor: Visitor, Path(id): Path<AccountId>, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let request = reader.request();
    let recipients = reader.lines("recipients", MOST_RECIPIENTS, 200);
    if !recipients.iter().all(|address| is_address(address)) {
        reader.refuse("recipients", "wrong-addresses");
    }
    let is_sent = |switch: &str| fields.all("kind").any(|kind| kind == switch);
    let off = SWITCHES.into_iter().filter(|switch| !is_sent(switch)).map(ToOwned::to_owned).collect();
    let sending = AccountSending { is_off: !reader.is_ticked("send"), recipients, off };
    if let Err(wrong) = reader.finish() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, form(&visitor, &id, fields, wrong)?).into_response());
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let change = change_of(&console, &visitor, request, String::new());
    use_cases.handle(&context, use_cases.set_account_sending(&context, &id, &sending, &change)).await?;
    Ok(Redirect::to(&format!("{}?done=sending", path_of(&id))).into_response())
}
