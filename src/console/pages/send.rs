//! Sends a document by hand: for the first time, again, or as a reminder.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use super::acts::is_about_the_form;
use super::invoice::named;
use super::invoices::{change_of, path_of_document, title_of};
use super::mails::{Row, few, path_to_send, stopped};
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields};
use crate::navigation::INVOICES;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::sending::MailKind;
use billing::sending::mail_queries::MailFilter;
use billing::sending::settings::{MOST_RECIPIENTS, is_address};
use billing::{DocumentState, StoredDocument, name_of};
use service::error::Error;
use service::sending::{MailQuery, SendByHand};

/// How many of its mails are shown.
const FEW: usize = 20;

/// The query string of the page: an invoice, or a reminder.
#[derive(Deserialize)]
pub struct SendQuery {
    /// Not empty: a reminder.
    #[serde(default)]
    remind: String,
}

/// The page.
#[derive(Template)]
#[template(path = "send.html")]
struct Send {
    page: Page,
    href: String,
    back: String,
    number: String,
    is_reminder: bool,
    /// What keeps all mail from being sent: a text's key.
    stopped: &'static str,
    /// The addresses of the organization; empty if none is known.
    known: String,
    mails: Vec<Row>,
    fields: Fields,
    wrong: Vec<FieldError>,
    refused: String,
}

/// Shows the form.
pub async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(SendQuery { remind }): Query<SendQuery>,
) -> Result<Response, Failure> {
    let stored = issued(&console, &visitor, &name).await?;
    let fields = Fields::default().with("request", console.new_request()).with("remind", remind);
    form(&console, &visitor, &stored, fields, Vec::new(), String::new()).await
}

/// The document, if it is issued, and the visitor may send it.
async fn issued(console: &Console, visitor: &Visitor, name: &str) -> Result<StoredDocument, Failure> {
    let context = visitor.context();
    let stored = console.use_cases.handle(&context, console.use_cases.document(&context, &named(name))).await?;
    if !visitor.may_on(Permission::SendMail, &stored.document.account) {
        return Err(Error::not_permitted(Permission::SendMail).into());
    }
    if stored.state != DocumentState::Issued {
        return Err(Error::invoice_not_found(name).into());
    }
    Ok(stored)
}

async fn form(
    console: &Console,
    visitor: &Visitor,
    stored: &StoredDocument,
    mut fields: Fields,
    wrong: Vec<FieldError>,
    refused: String,
) -> Result<Response, Failure> {
    let (context, locale) = (visitor.context(), &visitor.locale);
    let filter = MailFilter { document: Some(stored.id), ..MailFilter::default() };
    let mails = few(console, visitor, MailQuery { filter, number: String::new() }, FEW).await;
    let is_reminder = fields.is_ticked("remind");
    // What the page shows was sent is what it may be sent again in spite of.
    if mails.iter().any(|mail| mail.kind == "mail-document") {
        fields = fields.with("again", "yes");
    }
    let account = &stored.document.account;
    let known = match console.use_cases.account_sending(&context, account).await {
        Ok(sending) => {
            let customer = console.use_cases.customer(&context, account).await.unwrap_or_default();
            sending.recipients(&customer.email).join(", ")
        }
        Err(_) => String::new(),
    };
    let key = if is_reminder { "remind-of" } else { "send-called" };
    render(&Send {
        page: Page::new(visitor, INVOICES, locale.text_with(key, &[("value", &title_of(locale, stored))])),
        href: path_to_send(&name_of(stored.id)),
        back: path_of_document(stored.id),
        number: title_of(locale, stored),
        is_reminder,
        stopped: if refused.is_empty() { stopped(console, visitor).await } else { "" },
        known,
        mails,
        fields,
        wrong,
        refused,
    })
}

/// Handles the submitted form.
pub async fn send(State(console): State<Console>, visitor: Visitor, Path(name): Path<String>, fields: Fields) -> Result<Response, Failure> {
    let stored = issued(&console, &visitor, &name).await?;
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let (request, reason) = (reader.request(), reader.optional_text("reason"));
    let recipients = reader.lines("recipients", MOST_RECIPIENTS, 200);
    if !recipients.iter().all(|address| is_address(address)) {
        reader.refuse("recipients", "wrong-addresses");
    }
    if let Err(wrong) = reader.finish() {
        let form = form(&console, &visitor, &stored, fields, wrong, String::new()).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, form).into_response());
    }
    let kind = if fields.is_ticked("remind") { MailKind::Reminder } else { MailKind::Document };
    let send = SendByHand { number: stored.document.number.clone(), recipients, again: fields.is_ticked("again"), kind };
    let (context, change) = (visitor.context(), change_of(&console, &visitor, request, reason));
    match console.use_cases.handle(&context, console.use_cases.send_invoice(&context, &send, &change)).await {
        Ok(_) => Ok(Redirect::to(&format!("{}?done=to-be-sent", path_of_document(stored.id))).into_response()),
        Err(error) if is_about_the_form(&error) => {
            error.log();
            let refused = visitor.locale.refusal(&error);
            Ok((StatusCode::CONFLICT, form(&console, &visitor, &stored, fields, Vec::new(), refused).await?).into_response())
        }
        Err(error) => Err(error.into()),
    }
}
