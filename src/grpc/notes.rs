//! Notes on accounts: reads requests, writes responses.

use super::billing::settings::change;
use super::call::read as taken;
use super::wire::reader::FieldReader;
use super::wire::render::instant;
use super::{page_token, v1};
use crate::billing::change::Applied;
use crate::billing::notes::Note;
use crate::domain::time::UnixMillis;
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::error::Error;

/// Notes something.
pub async fn add(use_cases: &UseCases, context: &RequestContext, request: v1::AddNoteRequest) -> Result<v1::AddNoteResponse, Error> {
    let (account, text, change) = taken(use_cases, request, |reader, request| {
        let v1::AddNoteRequest { account_id, request_id, text, operator, first_sent_at } = request;
        (reader.account_id(account_id), text, change(reader, request_id, None, operator, first_sent_at))
    })?;
    let applied = use_cases.add_note(context, &account, &text, &change).await?;
    Ok(v1::AddNoteResponse { replayed: applied == Applied::Before })
}

/// Removes a note.
pub async fn remove(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::RemoveNoteRequest,
) -> Result<v1::RemoveNoteResponse, Error> {
    let (account, note, change) = taken(use_cases, request, |reader, request| {
        let v1::RemoveNoteRequest { account_id, note_id, request_id, operator, first_sent_at } = request;
        let note = reader.identifier("note_id", note_id);
        (reader.account_id(account_id), note, change(reader, request_id, None, operator, first_sent_at))
    })?;
    let applied = use_cases.remove_note(context, &account, &note, &change).await?;
    Ok(v1::RemoveNoteResponse { replayed: applied == Applied::Before })
}

/// The notes on an account.
pub async fn list(use_cases: &UseCases, context: &RequestContext, request: v1::ListNotesRequest) -> Result<v1::ListNotesResponse, Error> {
    let v1::ListNotesRequest { account_id, page_size, page_token } = request;
    let query = ["notes", account_id.as_str()];
    let (account, count, after) = taken(use_cases, (), |reader: &mut FieldReader, ()| {
        let (account, count) = (reader.account_id(account_id.clone()), reader.page_size(page_size));
        (account, count, page_token::read::<(u64, String)>(reader, "page_token", &query, &page_token))
    })?;
    let after = after.map(|(at, id)| (UnixMillis::new(at.cast_signed()), id));
    let (notes, next) = use_cases.list_notes(context, &account, after.as_ref(), count).await?;
    let next_page_token = next.map(|(at, id)| page_token::encode(&query, &(at.get().cast_unsigned(), id))).unwrap_or_default();
    Ok(v1::ListNotesResponse { notes: notes.into_iter().map(note).collect(), next_page_token })
}

fn note(note: Note) -> v1::Note {
    let Note { id: note_id, added_at, actor, on_behalf_of, text } = note;
    v1::Note { note_id, text, added_at: Some(instant(added_at)), actor, on_behalf_of }
}
