//! Whom the documents of an organization are for.

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
use billing::document::LANGUAGES;
use billing::document::Party;
use domain::ids::AccountId;

/// How many lines an address may have, and how many characters a line.
const MOST_LINES: usize = 8;

#[derive(Template)]
#[template(path = "details.html")]
struct Details {
    page: Page,
    href: String,
    fields: Fields,
    wrong: Vec<FieldError>,
}

/// Shows the form.
pub async fn show(State(console): State<Console>, visitor: Visitor, Path(id): Path<AccountId>) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let customer = use_cases.handle(&context, use_cases.customer(&context, &id)).await?;
    let fields = Fields::default()
        .with("request", console.new_request())
        .with("name", customer.name)
        .with("address", customer.address.join("\n"))
        .with("tax-id", customer.tax_id)
        .with("email", customer.email)
        .with("language", customer.language);
    form(&visitor, &id, fields, Vec::new())
}

fn form(visitor: &Visitor, id: &AccountId, fields: Fields, wrong: Vec<FieldError>) -> Result<Response, Failure> {
    let page = Page::new(visitor, ORGANIZATIONS, visitor.locale.text("billing-details"));
    render(&Details { page, href: path_of(id), fields, wrong })
}

/// Handles the submitted form. Sent twice, it shows the same again.
pub async fn set(State(console): State<Console>, visitor: Visitor, Path(id): Path<AccountId>, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let request = reader.request();
    let customer = Party {
        name: reader.short_text("name", 200),
        address: reader.lines("address", MOST_LINES, 100),
        tax_id: reader.short_text("tax-id", 32),
        email: reader.short_text("email", 254),
        language: fields.get("language").to_owned(),
    };
    if !customer.email.is_empty() && !customer.email.contains('@') {
        reader.refuse("email", "wrong-email");
    }
    if !customer.language.is_empty() && !LANGUAGES.contains(&customer.language.as_str()) {
        reader.refuse("language", "wrong-id");
    }
    if let Err(wrong) = reader.finish() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, form(&visitor, &id, fields, wrong)?).into_response());
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let change = change_of(&console, &visitor, request, String::new());
    use_cases.handle(&context, use_cases.set_customer(&context, &id, customer, &change)).await?;
    Ok(Redirect::to(&format!("{}?done=details", path_of(&id))).into_response())
}
