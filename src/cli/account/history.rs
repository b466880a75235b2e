//! `tollgate account entries`, `reservations`: what happened to an account, and what is under way.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use crate::cli::client::Client;
use crate::cli::output::{Output, instant_text, parse_instant, to_message};
use crate::cli::pages::fetch;
use crate::cli::table::{self, table_of};
use crate::grpc::v1::{EntryKind, ListEntriesRequest, ListEntriesResponse, ListReservationsRequest, ListReservationsResponse, Money};

/// The account.
#[derive(Args, Debug)]
pub struct HistoryOptions {
    /// The account's id.
    pub account: String,
    /// At most this many.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub count: usize,
}

/// The account, and which part of it.
#[derive(Args, Debug)]
pub struct EntriesOptions {
    #[command(flatten)]
    of: HistoryOptions,
    /// Only of this kind, such as topped-up; may be given several times.
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    kind: Vec<EntryKind>,
    /// Only what was accepted at or after this.
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant)]
    from: Option<Timestamp>,
    /// Only what was accepted before this.
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant)]
    to: Option<Timestamp>,
}

/// Reads the name of a kind: as the API has it, or in words with hyphens.
fn parse_kind(text: &str) -> Result<EntryKind, String> {
    let name = text.to_uppercase().replace(['-', ' '], "_");
    let kind = EntryKind::from_str_name(&name).or_else(|| EntryKind::from_str_name(&format!("ENTRY_KIND_{name}")));
    kind.ok_or_else(|| "must be a kind of entry such as topped-up, charged-balance or converted".to_owned())
}

/// Prints an account's journal, newest first.
pub async fn entries(client: &mut Client, options: EntriesOptions, output: Output) -> anyhow::Result<ExitCode> {
    let wanted = ListEntriesRequest {
        account_id: options.of.account,
        kinds: options.kind.into_iter().map(Into::into).collect(),
        accepted_from: options.from.map(to_message),
        accepted_to: options.to.map(to_message),
        ..Default::default()
    };
    let page =
        async |page_size, page_token| client.accounts.list_entries(ListEntriesRequest { page_size, page_token, ..wanted.clone() }).await;
    output.show(&fetch(Some(options.of.count), page).await?, |found| entries_table(found).to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints an account's open reservations.
pub async fn reservations(client: &mut Client, options: HistoryOptions, output: Output) -> anyhow::Result<ExitCode> {
    let page = async |page_size, page_token| {
        let request = ListReservationsRequest { account_id: options.account.clone(), page_size, page_token };
        client.accounts.list_reservations(request).await
    };
    output.show(&fetch(Some(options.count), page).await?, |found| reservations_table(found).to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn entries_table(found: &ListEntriesResponse) -> table::Listing {
    let header = ["accepted", "what", "request id", "refers to", "amount", "balance", "unbilled", "reserved"];
    let mut table = table_of(&header, 4..header.len());
    for entry in &found.entries {
        let amount = |money: &Option<Money>| table::amount(money.as_ref().map_or("", |money| &money.amount));
        let kind = entry.kind().as_str_name().trim_start_matches("ENTRY_KIND_").to_lowercase().replace('_', " ");
        table.add_row(vec![
            instant_text(entry.accepted_at).into(),
            kind.into(),
            entry.request_id.clone().into(),
            entry.refers_to.clone().into(),
            amount(&entry.amount),
            amount(&entry.balance_after),
            amount(&entry.unbilled_after),
            amount(&entry.reserved_after),
        ]);
    }
    table
}

fn reservations_table(found: &ListReservationsResponse) -> table::Listing {
    let header = ["reservation", "report by", "expires", "amount"];
    let mut table = table_of(&header, 3..header.len());
    for reservation in &found.reservations {
        table.add_row(vec![
            reservation.reservation_id.clone(),
            instant_text(reservation.report_by),
            instant_text(reservation.expires_at),
            reservation.amount.as_ref().map_or_else(String::new, |money| money.amount.clone()),
        ]);
    }
    table
}
