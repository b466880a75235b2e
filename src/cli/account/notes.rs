//! `tollgate account note`, `notes`, `remove-note`: what operators note on an account.

use std::process::ExitCode;

use clap::Args;

use super::history::HistoryOptions;
use crate::cli::client::Client;
use crate::cli::operator::{ByHand, ByHandWithReason};
use crate::cli::output::{Output, instant_text};
use crate::cli::pages::fetch;
use crate::cli::table::table;
use crate::grpc::v1::{AddNoteRequest, AddNoteResponse, ListNotesRequest, ListNotesResponse, RemoveNoteRequest, RemoveNoteResponse};

/// What to note on which account.
#[derive(Args, Debug)]
pub struct AddOptions {
    /// The account's id.
    account: String,
    /// What to note.
    text: String,
    #[command(flatten)]
    by_hand: ByHand,
}

/// Which note to remove.
#[derive(Args, Debug)]
pub struct RemoveOptions {
    /// The account's id.
    account: String,
    /// The note's id, as `notes` shows it.
    note: String,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

/// Notes something.
pub async fn add(client: &mut Client, options: AddOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request = AddNoteRequest {
        account_id: options.account,
        request_id: options.by_hand.request_id(),
        text: options.text,
        operator: options.by_hand.operator(),
        first_sent_at: None,
    };
    let id = request.request_id.clone();
    output.show_call(client.accounts.add_note(request), |_: &AddNoteResponse| format!("noted: {id}")).await?;
    Ok(ExitCode::SUCCESS)
}

/// Removes a note.
pub async fn remove(client: &mut Client, options: RemoveOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request = RemoveNoteRequest {
        account_id: options.account,
        note_id: options.note,
        request_id: options.by_hand.request_id(),
        operator: options.by_hand.operator(),
        first_sent_at: None,
    };
    output.show_call(client.accounts.remove_note(request), |_: &RemoveNoteResponse| "removed".to_owned()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Lists notes.
pub async fn list(client: &mut Client, options: HistoryOptions, output: Output) -> anyhow::Result<ExitCode> {
    let page = async |page_size, page_token| {
        client.accounts.list_notes(ListNotesRequest { account_id: options.account.clone(), page_size, page_token }).await
    };
    output.show(&fetch(Some(options.count), page).await?, as_text)?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(found: &ListNotesResponse) -> String {
    let mut shown = table(["added", "by", "note", "id"], 4);
    for note in &found.notes {
        shown.add_row([instant_text(note.added_at), note.actor.clone(), note.text.clone(), note.note_id.clone()]);
    }
    shown.to_string()
}
