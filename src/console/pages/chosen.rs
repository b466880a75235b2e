//! What is done with documents that were chosen in the list, one by one: each has a request id of its own, and a result.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::invoices::{PageQuery, ROWS, change_of, page as list, path_of_document, title_of};
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields, FormRequest};
use crate::navigation::INVOICES;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use billing::change::{Applied, Change};
use billing::review::Approved;
use billing::sending::MailKind;
use billing::{id_of, name_of};
use service::documents::DocumentName;
use service::error::Error;
use service::sending::SendByHand;

/// The action on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Send,
    Resend,
    Remind,
    Approve,
}

impl Act {
    /// The key of its name.
    fn key(self) -> &'static str {
        match self {
            Self::Send => "send-chosen",
            Self::Resend => "resend-chosen",
            Self::Remind => "remind-chosen",
            Self::Approve => "approve-chosen",
        }
    }

    /// The key of the result for a document with which it was done.
    fn done(self) -> &'static str {
        match self {
            Self::Send | Self::Resend | Self::Remind => "chosen-to-be-sent",
            Self::Approve => "chosen-approved",
        }
    }
}

/// The page.
#[derive(Template)]
#[template(path = "chosen.html")]
struct Chosen {
    page: Page,
    results: Vec<OneResult>,
    done: String,
    failed: String,
    back: String,
}

/// What came of one document.
struct OneResult {
    href: String,
    title: String,
    /// The key of what was done; empty if it was not.
    done: &'static str,
    /// Why it was not done.
    refused: String,
}

/// Sends those that were chosen, again, or as reminders.
pub async fn send(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let act = match fields.get("what") {
        "resend" => Act::Resend,
        "remind" => Act::Remind,
        _ => Act::Send,
    };
    each(&console, &visitor, &fields, act).await
}

/// Approves those that were chosen.
pub async fn approve(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    each(&console, &visitor, &fields, Act::Approve).await
}

async fn each(console: &Console, visitor: &Visitor, fields: &Fields, act: Act) -> Result<Response, Failure> {
    let wanted: PageQuery = serde_urlencoded::from_str(fields.get("list")).unwrap_or_default();
    let mut reader = FieldReader::new(fields, &visitor.locale);
    let (request, reason) = (reader.request(), reader.optional_text("reason"));
    let mut ids: Vec<_> = fields.all("document").filter_map(id_of).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        reader.refuse("document", "wrong-none-chosen");
    }
    if ids.len() > ROWS {
        reader.refuse("document", "wrong-too-many-chosen");
    }
    if let Err(wrong) = reader.finish() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, list(console, visitor, wanted.anew(), wrong).await?).into_response());
    }
    let mut results = Vec::new();
    for id in ids {
        let of_one = FormRequest { id: format!("{}:{}", request.id, name_of(id)), first_sent_at: request.first_sent_at };
        results.push(one(console, visitor, id, act, &change_of(console, visitor, of_one, reason.clone())).await?);
    }
    let (locale, done) = (&visitor.locale, results.iter().filter(|result| result.refused.is_empty()).count());
    render(&Chosen {
        page: Page::new(visitor, INVOICES, locale.text(act.key())),
        done: done.to_string(),
        failed: (results.len() - done).to_string(),
        back: wanted.anew().address(),
        results,
    })
}

/// Does it with one document. That it cannot be done with one holds up no other; that nothing can be done now does.
async fn one(console: &Console, visitor: &Visitor, id: i64, act: Act, change: &Change) -> Result<OneResult, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let name = DocumentName::Id(id);
    let stored = match use_cases.handle(&context, use_cases.document(&context, &name)).await {
        Ok(stored) => stored,
        Err(error) => return refused(visitor, id, name_of(id), error),
    };
    let title = title_of(&visitor.locale, &stored);
    let done = match act {
        Act::Approve => {
            let approved = Approved::Named(vec![id]);
            let approving = use_cases.approve_drafts(&context, &approved, change);
            match use_cases.handle(&context, approving).await {
                Ok((Applied::Now, 0)) => Ok("chosen-not-waiting"),
                Ok(_) => Ok(act.done()),
                Err(error) => Err(error),
            }
        }
        Act::Send | Act::Resend | Act::Remind => {
            let kind = if act == Act::Remind { MailKind::Reminder } else { MailKind::Document };
            let number = stored.document.number.clone();
            let send = SendByHand { number, recipients: Vec::new(), again: act == Act::Resend, kind };
            use_cases.handle(&context, use_cases.send_invoice(&context, &send, change)).await.map(|_| act.done())
        }
    };
    match done {
        Ok("chosen-not-waiting") => {
            let refused = visitor.locale.text("chosen-not-waiting");
            Ok(OneResult { href: path_of_document(id), title, done: "", refused })
        }
        Ok(done) => Ok(OneResult { href: path_of_document(id), title, done, refused: String::new() }),
        Err(error) => refused(visitor, id, title, error),
    }
}

fn refused(visitor: &Visitor, id: i64, title: String, error: Error) -> Result<OneResult, Failure> {
    if error.leaves_open() {
        return Err(error.into());
    }
    error.log();
    Ok(OneResult { href: path_of_document(id), title, done: "", refused: visitor.locale.refusal(&error) })
}
