//! `tollgate link ...`: links by which customers look at a document without an account.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Client, ServerOptions};
use super::operator::ByHand;
use super::output::{Output, instant_text};
use super::table::table;
use crate::grpc::v1::{
    CreateDocumentLinkRequest, CreateDocumentLinkResponse, DocumentLink, ListDocumentLinksRequest, ListDocumentLinksResponse,
    RevokeDocumentLinkRequest, RevokeDocumentLinkResponse,
};

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct LinkOptions {
    #[command(subcommand)]
    command: LinkCommand,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum LinkCommand {
    /// Make a link to an issued document, and show its address.
    Create(CreateOptions),
    /// List the links to a document.
    List(ListOptions),
    /// Revoke a link: from then on it opens nothing.
    Revoke(RevokeOptions),
}

#[derive(Args, Debug)]
struct CreateOptions {
    /// The document's number.
    number: String,
    /// For how many days it works [default: as many as `tollgate sending` says]
    #[arg(long, value_name = "DAYS", default_value_t = 0, hide_default_value = true)]
    days: i32,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Args, Debug)]
struct ListOptions {
    /// The document's number.
    number: String,
}

#[derive(Args, Debug)]
struct RevokeOptions {
    /// The name of the link in lists.
    id: String,
    #[command(flatten)]
    by_hand: ByHand,
}

pub async fn run(options: LinkOptions) -> anyhow::Result<ExitCode> {
    let LinkOptions { command, output, server } = options;
    let mut client = Client::connect(&server).await?;
    match command {
        LinkCommand::Create(CreateOptions { number, days, by_hand }) => {
            let (request_id, operator) = (by_hand.request_id(), by_hand.operator());
            let request = CreateDocumentLinkRequest { number, request_id, valid_days: days, operator, first_sent_at: None };
            let text = |made: &CreateDocumentLinkResponse| {
                let link = made.link.clone().unwrap_or_default();
                if link.url.is_empty() { in_rows(&[link]) } else { link.url }
            };
            output.show_call(client.billing.create_document_link(request), text).await?;
        }
        LinkCommand::List(ListOptions { number }) => {
            let text = |found: &ListDocumentLinksResponse| in_rows(&found.links);
            output.show_call(client.billing.list_document_links(ListDocumentLinksRequest { number }), text).await?;
        }
        LinkCommand::Revoke(RevokeOptions { id, by_hand }) => {
            let (request_id, operator) = (by_hand.request_id(), by_hand.operator());
            let request = RevokeDocumentLinkRequest { link_id: id, request_id, operator, first_sent_at: None };
            let text = |revoked: &RevokeDocumentLinkResponse| in_rows(&[revoked.link.clone().unwrap_or_default()]);
            output.show_call(client.billing.revoke_document_link(request), text).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn in_rows(links: &[DocumentLink]) -> String {
    let mut shown = table(["link", "document", "made", "by", "until", "works"], 6);
    for link in links {
        let by = if link.mail_id.is_empty() { link.created_by.clone() } else { format!("mail {}", link.mail_id) };
        let works = match (link.works, &link.revoked_at) {
            (true, _) => "yes",
            (false, Some(_)) => "no: it is revoked",
            (false, None) => "no: it has expired",
        };
        let (made, until) = (instant_text(link.created_at), instant_text(link.expires_at));
        shown.add_row([link.link_id.as_str(), &link.number, &made, &by, &until, works]);
    }
    shown.to_string()
}
