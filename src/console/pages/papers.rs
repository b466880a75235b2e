//! Papers about an organization, as files: the statement of account.

use axum::extract::{Path, State};
use axum::response::Response;

use crate::Console;
use crate::downloads::kept;
use crate::failure::Failure;
use crate::visitor::Visitor;
use domain::ids::AccountId;
use service::papers::{Form, Paper, Span};

/// Sends the statement of account, from the account's creation to today, as PDF.
pub async fn statement(State(console): State<Console>, visitor: Visitor, Path(id): Path<AccountId>) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let writing = use_cases.account_file(&context, &id, Paper::Statement(Span::default()), Form::Pdf, false);
    Ok(kept(use_cases.handle(&context, writing).await?))
}
