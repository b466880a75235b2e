//! Links by which customers look at a document: made and revoked on its page.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::acts::is_about_the_form;
use super::invoice::{named, refused};
use super::invoices::{change_of, path_of_document};
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields};
use crate::visitor::Visitor;
use access::Permission;
use billing::sending::settings::MOST_LINK_DAYS;
use service::error::Error;

/// Creates a link.
pub async fn create(
    State(console): State<Console>,
    visitor: Visitor,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Failure> {
    let context = visitor.context();
    let stored = console.use_cases.handle(&context, console.use_cases.document(&context, &named(&name))).await?;
    if !visitor.may_on(Permission::SendMail, &stored.document.account) {
        return Err(Error::not_permitted(Permission::SendMail).into());
    }
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let request = reader.request();
    let days = reader.optional_number("days", 1, MOST_LINK_DAYS.into());
    if let Err(wrong) = reader.finish() {
        return refused(&console, &visitor, &stored, fields, wrong, String::new()).await;
    }
    let days = days.and_then(|days| u16::try_from(days).ok()).unwrap_or(0);
    let change = change_of(&console, &visitor, request, String::new());
    let making = console.use_cases.create_document_link(&context, &stored.document.number, days, &change);
    match console.use_cases.handle(&context, making).await {
        Ok(_) => Ok(Redirect::to(&format!("{}?done=link-made", path_of_document(stored.id))).into_response()),
        Err(error) if is_about_the_form(&error) => {
            error.log();
            let text = visitor.locale.refusal(&error);
            refused(&console, &visitor, &stored, fields, Vec::new(), text).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Revokes a link.
pub async fn revoke(
    State(console): State<Console>,
    visitor: Visitor,
    Path((name, link)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, Failure> {
    let context = visitor.context();
    let stored = console.use_cases.handle(&context, console.use_cases.document(&context, &named(&name))).await?;
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let request = reader.request();
    if let Err(wrong) = reader.finish() {
        return refused(&console, &visitor, &stored, fields, wrong, String::new()).await;
    }
    let change = change_of(&console, &visitor, request, String::new());
    console.use_cases.handle(&context, console.use_cases.revoke_document_link(&context, &link, &change)).await?;
    Ok(Redirect::to(&format!("{}?done=link-revoked", path_of_document(stored.id))).into_response())
}
