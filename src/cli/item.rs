//! `tollgate item ...`: what documents call the items that charges name by a code.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Client, ServerOptions};
use super::operator::ByHand;
use super::output::Output;
use super::pages::fetch;
use super::table::table;
use crate::grpc::v1::{DeleteItemRequest, ItemName, ListItemsRequest, ListItemsResponse, SetItemRequest};

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct ItemOptions {
    #[command(subcommand)]
    command: ItemCommand,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum ItemCommand {
    /// Set what documents that are issued from now on call an item.
    Set(SetOptions),
    /// Take away what they call it.
    Delete(DeleteOptions),
    /// List what items are called.
    List,
}

#[derive(Args, Debug)]
struct SetOptions {
    /// The item, as charges name it.
    code: String,
    /// What documents call it.
    name: String,
    /// In which language, en or de [default: in all that have no name of their own]
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    language: String,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Args, Debug)]
struct DeleteOptions {
    /// The item, as charges name it.
    code: String,
    /// In which language, en or de [default: the name for all languages]
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    language: String,
    #[command(flatten)]
    by_hand: ByHand,
}

/// Performs it, and shows the list.
pub async fn run(options: ItemOptions) -> anyhow::Result<ExitCode> {
    let ItemOptions { command, output, server } = options;
    let mut client = Client::connect(&server).await?;
    let is_to_show = match command {
        ItemCommand::Set(SetOptions { code, name, language, by_hand }) => {
            let item = Some(ItemName { item: code, language, name });
            let request = SetItemRequest {
                issuer_id: String::new(),
                request_id: by_hand.request_id(),
                item,
                operator: by_hand.operator(),
                first_sent_at: None,
            };
            output.make_change(client.billing.set_item(request)).await?
        }
        ItemCommand::Delete(DeleteOptions { code, language, by_hand }) => {
            let (request_id, operator) = (by_hand.request_id(), by_hand.operator());
            let request = DeleteItemRequest { issuer_id: String::new(), request_id, item: code, language, operator, first_sent_at: None };
            output.make_change(client.billing.delete_item(request)).await?
        }
        ItemCommand::List => true,
    };
    if is_to_show {
        let page =
            async |page_size, page_token| client.billing.list_items(ListItemsRequest { page_size, page_token, ..Default::default() }).await;
        output.show(&fetch(None, page).await?, as_text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(found: &ListItemsResponse) -> String {
    let mut shown = table(["item", "language", "name"], 3);
    for name in &found.items {
        let language = if name.language.is_empty() { "all others" } else { name.language.as_str() };
        shown.add_row([name.item.as_str(), language, name.name.as_str()]);
    }
    shown.to_string()
}
