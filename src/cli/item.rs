//! `tollgate item ...`: what documents call the items that charges name by a code.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, ServerOptions, explain};
use super::operator::ByHand;
use super::output::{Output, print_json};
use super::table::table;
use crate::grpc::v1::{DeleteItemRequest, ItemName, ListItemsRequest, SetItemRequest};

/// How many names are asked for at once.
const PAGE: i32 = 1000;

/// What to do, and how to show it.
#[derive(Args, Debug)]
pub struct ItemOptions {
    #[command(subcommand)]
    command: ItemCommand,
    /// How to show it.
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

/// Does it, and shows the list.
pub async fn run(options: ItemOptions) -> anyhow::Result<ExitCode> {
    let ItemOptions { command, output, server } = options;
    let mut client = Client::connect(&server.server).await?;
    match command {
        ItemCommand::Set(SetOptions { code, name, language, by_hand }) => {
            let item = Some(ItemName { item: code, language, name });
            let request = SetItemRequest { issuer_id: String::new(), request_id: by_hand.request_id(), item, operator: by_hand.operator() };
            client.billing.set_item(request).await.map_err(explain)?;
        }
        ItemCommand::Delete(DeleteOptions { code, language, by_hand }) => {
            let (request_id, operator) = (by_hand.request_id(), by_hand.operator());
            let request = DeleteItemRequest { issuer_id: String::new(), request_id, item: code, language, operator };
            client.billing.delete_item(request).await.map_err(explain)?;
        }
        ItemCommand::List => {}
    }
    let names = all(&mut client).await?;
    match output {
        Output::Table => {
            let mut shown = table(["item", "language", "name"], 3);
            for name in &names {
                let language = if name.language.is_empty() { "all others" } else { name.language.as_str() };
                shown.add_row([name.item.as_str(), language, name.name.as_str()]);
            }
            println!("{shown}");
        }
        Output::Json => {
            let json = |name: &ItemName| json!({ "item": name.item, "language": name.language, "name": name.name });
            print_json(&names.iter().map(json).collect::<Value>());
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(client: &mut Client) -> anyhow::Result<Vec<ItemName>> {
    let mut names = Vec::new();
    let mut request = ListItemsRequest { page_size: PAGE, ..ListItemsRequest::default() };
    loop {
        let page = client.billing.list_items(request.clone()).await.map_err(explain)?.into_inner();
        names.extend(page.items);
        if page.next_page_token.is_empty() {
            return Ok(names);
        }
        request.page_token = page.next_page_token;
    }
}
