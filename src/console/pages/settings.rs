//! The settings of the service, by topic, and what their pages have in common: the tabs, and a form that is shown again with what is wrong.

pub mod approvals;
pub mod grants;
pub mod issuer;
pub mod issuing;
pub mod items;
pub mod keys;
pub mod retention;
pub mod sending;
pub mod tax;
pub mod templates;
pub mod treatment;
pub mod users;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::acts::is_about_the_form;
use super::invoices::change_of;
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields};
use crate::navigation::{APPROVAL_FIGURES, ISSUER, ISSUING, ITEMS, KEYS, RETENTION, SENDING, TAX, TEMPLATES, USERS};
use crate::visitor::Visitor;
use billing::change::Change;
use service::error::{Error, Kind};

/// A form: what is in it, and what is wrong with it.
pub struct Form {
    /// Its content.
    pub fields: Fields,
    pub wrong: Vec<FieldError>,
    /// Why it was refused; empty if it was not.
    pub refused: String,
}

/// A page beside others: the key of its name, its path, whether it is the one that is shown.
pub type Tab = (&'static str, &'static str, bool);

const OF_SERVICE: [(&str, &str); 8] = [
    ("issuer", ISSUER),
    ("tax", TAX),
    ("item-names", ITEMS),
    ("issuing", ISSUING),
    ("sending", SENDING),
    ("mail-templates", TEMPLATES),
    ("approval-figures", APPROVAL_FIGURES),
    ("retention", RETENTION),
];
const OF_ACCESS: [(&str, &str); 2] = [("users", USERS), ("callers", KEYS)];

/// The settings of documents and mail. Who may read one may read all.
fn tabs_of_service(shown: &str) -> Vec<Tab> {
    tabs(&OF_SERVICE, shown)
}

/// Those of who is let in.
fn tabs_of_access(shown: &str) -> Vec<Tab> {
    tabs(&OF_ACCESS, shown)
}

fn tabs(pages: &[(&'static str, &'static str)], shown: &str) -> Vec<Tab> {
    pages.iter().map(|(name, path)| (*name, *path, *path == shown)).collect()
}

impl Form {
    /// One that is made now.
    fn new(console: &Console) -> Self {
        Self::of(Fields::default().with("request", console.new_request()))
    }

    /// One that holds these fields.
    fn of(fields: Fields) -> Self {
        Self { fields, wrong: Vec::new(), refused: String::new() }
    }

    /// The same with a field set.
    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields = self.fields.with(name, value);
        self
    }

    /// The status of the page that shows it.
    fn status(&self) -> StatusCode {
        match (self.wrong.is_empty(), self.refused.is_empty()) {
            (false, _) => StatusCode::UNPROCESSABLE_ENTITY,
            (true, false) => StatusCode::CONFLICT,
            (true, true) => StatusCode::OK,
        }
    }

    /// A page that shows it.
    fn shown(status: StatusCode, page: Response) -> Response {
        (status, page).into_response()
    }
}

/// The actor and the reason of a change of settings, from a form.
fn change(console: &Console, visitor: &Visitor, reader: &mut FieldReader) -> Change {
    let (request, reason) = (reader.request(), reader.text("reason"));
    change_of(console, visitor, request, reason)
}

/// What a use case returned, or the form again with why it was refused.
fn taken<T>(visitor: &Visitor, fields: Fields, result: Result<T, Error>) -> Result<Result<T, Form>, Failure> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(error) if is_about_the_form(&error) || error.kind == Kind::Exhausted && error.reason == "TOO_MANY_CALLERS" => {
            error.log();
            Ok(Err(Form { refused: visitor.locale.refusal(&error), ..Form::of(fields) }))
        }
        Err(error) => Err(error.into()),
    }
}
