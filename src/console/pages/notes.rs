//! Operators' notes on an organization: seen by operators alone, on no document.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use super::invoices::change_of;
use super::organizations::path_of;
use crate::Console;
use crate::downloads::{ROWS_AT_ONCE, csv_list};
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields};
use crate::locale::Locale;
use crate::navigation::ORGANIZATIONS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::notes::{Note, NoteCursor};
use domain::ids::AccountId;
use domain::time::UnixMillis;
use service::error::Error;
use service::notes::LONGEST_NOTE;

/// How many a page has.
const ROWS: usize = 50;

/// The query string of the page: where the list begins, and what was done.
#[derive(Debug, Default, Deserialize)]
pub struct PageQuery {
    #[serde(default)]
    done: String,
    #[serde(default)]
    at: Option<i64>,
    #[serde(default)]
    after: String,
}

/// A note, as it is shown.
pub struct Row {
    pub id: String,
    /// When it was added.
    pub at: String,
    /// The same for machines.
    pub machine: String,
    /// Who added it.
    pub actor: String,
    pub lines: Vec<String>,
    /// The request of a form that removes it.
    pub request: String,
}

#[derive(Template)]
#[template(path = "notes.html")]
struct Notes {
    page: Page,
    href: String,
    name: String,
    rows: Vec<Row>,
    next: String,
    may_write: bool,
    fields: Fields,
    wrong: Vec<FieldError>,
    longest: usize,
}

/// Notes as rows.
#[must_use]
pub fn rows(console: &Console, locale: &Locale, notes: Vec<Note>) -> Vec<Row> {
    let row = |note: Note| Row {
        at: locale.instant(note.added_at),
        machine: locale.machine(note.added_at),
        actor: note.actor,
        lines: note.text.lines().map(str::to_owned).collect(),
        request: console.new_request(),
        id: note.id,
    };
    notes.into_iter().map(row).collect()
}

/// Shows them.
pub async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Path(id): Path<AccountId>,
    Query(wanted): Query<PageQuery>,
) -> Result<Response, Failure> {
    let fields = Fields::default().with("request", console.new_request());
    page(&console, &visitor, &id, &wanted, fields, Vec::new()).await
}

async fn page(
    console: &Console,
    visitor: &Visitor,
    id: &AccountId,
    wanted: &PageQuery,
    fields: Fields,
    wrong: Vec<FieldError>,
) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let after: Option<NoteCursor> = wanted.at.map(|at| (UnixMillis::new(at), wanted.after.clone()));
    let read = async {
        let listed = use_cases.account(&context, id.to_owned()).await?;
        let found = use_cases.list_notes(&context, id, after.as_ref(), ROWS).await?;
        Ok::<_, Error>((listed, found))
    };
    let (listed, (notes, next)) = use_cases.handle(&context, read).await?;
    let href = path_of(id);
    let query = |(at, after): NoteCursor| serde_urlencoded::to_string([("at", at.get().to_string()), ("after", after)]).unwrap_or_default();
    render(&Notes {
        page: Page::new(visitor, ORGANIZATIONS, visitor.locale.text("notes")).after(&wanted.done),
        name: listed.profile.name,
        rows: rows(console, &visitor.locale, notes),
        next: next.map(|place| format!("{href}/notes?{}", query(place))).unwrap_or_default(),
        may_write: visitor.may_on(Permission::WriteNotes, id),
        href,
        fields,
        wrong,
        longest: LONGEST_NOTE,
    })
}

/// Adds one.
pub async fn add(State(console): State<Console>, visitor: Visitor, Path(id): Path<AccountId>, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let request = reader.request();
    // Browsers end lines in two characters.
    let text = fields.get("text").replace("\r\n", "\n");
    if text.trim().is_empty() {
        reader.refuse("text", "wrong-missing");
    } else if text.chars().count() > LONGEST_NOTE || text.chars().any(|letter| letter.is_control() && letter != '\n' && letter != '\t') {
        reader.refuse_with("text", "wrong-note", &[("value", &LONGEST_NOTE.to_string())]);
    }
    if let Err(wrong) = reader.finish() {
        let page = page(&console, &visitor, &id, &PageQuery::default(), fields.clone(), wrong).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let change = change_of(&console, &visitor, request, String::new());
    use_cases.handle(&context, use_cases.add_note(&context, &id, &text, &change)).await?;
    Ok(Redirect::to(&format!("{}/notes?done=note-added", path_of(&id))).into_response())
}

/// Removes one.
pub async fn remove(
    State(console): State<Console>,
    visitor: Visitor,
    Path(id): Path<AccountId>,
    fields: Fields,
) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let (request, note) = (reader.request(), reader.id("note"));
    if let Err(wrong) = reader.finish() {
        let page = page(&console, &visitor, &id, &PageQuery::default(), fields.clone(), wrong).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let change = change_of(&console, &visitor, request, String::new());
    use_cases.handle(&context, use_cases.remove_note(&context, &id, &note, &change)).await?;
    Ok(Redirect::to(&format!("{}/notes?done=note-removed", path_of(&id))).into_response())
}

/// Sends them as CSV.
pub async fn download(State(console): State<Console>, visitor: Visitor, Path(id): Path<AccountId>) -> Result<Response, Failure> {
    csv_list(&console, &visitor, "notes.csv", &["added_at", "actor", "on_behalf_of", "text", "id"], move |console, visitor, after| {
        let id = id.clone();
        async move {
            let (context, use_cases) = (visitor.context(), &console.use_cases);
            let (notes, next) = use_cases.handle(&context, use_cases.list_notes(&context, &id, after.as_ref(), ROWS_AT_ONCE)).await?;
            let row = |note: Note| vec![visitor.locale.machine(note.added_at), note.actor, note.on_behalf_of, note.text, note.id];
            Ok((notes.into_iter().map(row).collect(), next))
        }
    })
    .await
}
