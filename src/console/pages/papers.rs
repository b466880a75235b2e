//! Papers about an organization, as files: the statement of account.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use crate::Console;
use crate::failure::Failure;
use crate::visitor::Visitor;
use service::papers::{File, Form, Paper, Span};

/// Sends the statement of account, from the account's creation to today, as PDF.
pub async fn statement(State(console): State<Console>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let writing = use_cases.account_file(&context, &id, Paper::Statement(Span::default()), Form::Pdf, false);
    Ok(sent(use_cases.handle(&context, writing).await?))
}

/// A file, to be kept.
#[must_use]
pub fn sent(file: File) -> Response {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let name: String = file.name.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect();
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, file.content_type.to_owned()), (CONTENT_DISPOSITION, disposition)], file.content).into_response()
}
