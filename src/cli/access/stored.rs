//! Who may call by the billing store: made, revoked and listed through a running service.

use std::io::Write;
use std::num::NonZeroU32;
use std::process::ExitCode;

use anyhow::bail;

use super::{Act, CertificateOptions, CreateKeyOptions};
use crate::cli::client::{Client, ServerOptions, presents_credentials};
use crate::cli::failure::explain;
use crate::cli::operator::user;
use crate::cli::output::{Output, instant_text, message_json, print_json, to_message};
use crate::cli::pages::fetch;
use crate::cli::pipe::output;
use crate::cli::table::table_of;
use crate::grpc::v1;
use access::file::GrantEntry;

pub async fn run(act: Act, shown: Output, server: &ServerOptions) -> anyhow::Result<ExitCode> {
    let mut admin = Client::connect(server).await?.admin;
    let (request_id, operator) = (uuid::Uuid::new_v4().to_string(), operator());
    match act {
        Act::CreateKey(CreateKeyOptions { name, grant, expires }) => {
            let (grant, expires_at) = (Some(written(grant.into_entry())), expires.map(to_message));
            let request = v1::CreateKeyRequest { request_id, name, grant, expires_at, operator, first_sent_at: None };
            let made = admin.create_key(request).await.map_err(explain)?.into_inner();
            match shown {
                Output::Json => print_json(&message_json(&made)?),
                Output::Table => {
                    eprintln!("The key {:?} is in the billing store. It is shown only now:", made.caller.unwrap_or_default().name);
                    writeln!(output(), "{}", made.key)?;
                }
            }
        }
        Act::RevokeKey { name } => {
            shown.make_change(admin.revoke_key(v1::RevokeKeyRequest { request_id, name, operator, first_sent_at: None })).await?;
        }
        Act::GrantCertificate(CertificateOptions { name, grant }) => {
            let grant = Some(written(grant.into_entry()));
            let request = v1::GrantCertificateRequest { request_id, name, grant, operator, first_sent_at: None };
            shown.make_change(admin.grant_certificate(request)).await?;
        }
        Act::RevokeCertificate { name } => {
            let request = v1::RevokeCertificateRequest { request_id, name, operator, first_sent_at: None };
            shown.make_change(admin.revoke_certificate(request)).await?;
        }
        Act::List => {
            let page = async |page_size, page_token| admin.list_callers(v1::ListCallersRequest { page_size, page_token }).await;
            shown.show(&fetch(None, page).await?, |found| in_rows(&found.callers))?;
        }
        Act::Check => bail!("check is for the access file: what is in the billing store was checked when it was written"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Who asks: with credentials, their caller.
fn operator() -> Option<v1::Operator> {
    let actor = if presents_credentials() { String::new() } else { user() };
    Some(v1::Operator { actor, reason: "by the command line".to_owned() })
}

fn written(entry: GrantEntry) -> v1::Grant {
    let count = |count: Option<NonZeroU32>| count.map_or(0, |count| i32::try_from(count.get()).unwrap_or(i32::MAX));
    let most = entry.most.into_iter().flat_map(|(permission, amounts)| {
        amounts.into_iter().map(move |(currency_code, amount)| v1::MostAllowed {
            permission: permission.clone(),
            amount: Some(v1::Money { amount, currency_code }),
        })
    });
    v1::Grant {
        roles: entry.roles,
        account_ids: entry.accounts.unwrap_or_default(),
        acts_for_others: entry.acts_for_others,
        most: most.collect(),
        requests_per_second: count(entry.requests_per_second),
        concurrent_calls: count(entry.concurrent_calls),
    }
}

fn in_rows(found: &[v1::Caller]) -> String {
    let mut table = table_of(&["name", "known by", "roles", "accounts", "state", "last used"], 6..6);
    for caller in found {
        let known_by = if caller.key_prefix.is_empty() { "certificate".to_owned() } else { format!("key {}", caller.key_prefix) };
        let grant = caller.grant.clone().unwrap_or_default();
        let accounts = if grant.account_ids.is_empty() { "all".to_owned() } else { grant.account_ids.join(" ") };
        let state = match (caller.revoked_at, caller.expires_at) {
            (Some(at), _) => format!("revoked {}", instant_text(Some(at))),
            (None, Some(at)) => format!("until {}", instant_text(Some(at))),
            (None, None) => "valid".to_owned(),
        };
        let used = caller.last_used_at.map_or_else(String::new, |at| instant_text(Some(at)));
        table.add_row([caller.name.clone(), known_by, grant.roles.join(" "), accounts, state, used]);
    }
    table.to_string()
}
