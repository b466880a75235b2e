//! `tollgate access`: who may call. It changes the access file on this machine, which running services follow, or, with `--in-store`, the
//! billing store through a service ([`stored`]).

mod stored;

use std::fs::File;
use std::io::Write;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::client::ServerOptions;
use super::output::{Output, parse_instant};
use super::pipe::output;
use super::table::table_of;
use access::Access;
use access::file::{AccessFile, CertificateEntry, GrantEntry, KeyEntry};
use access::key::NewKey;

/// `tollgate access`.
#[derive(Args, Debug)]
pub struct AccessOptions {
    /// The access file that the services are given. It is made if it is not there.
    #[arg(long, env = "TOLLGATE_ACCESS_FILE", value_name = "PATH", global = true, default_value = "access.toml")]
    access_file: PathBuf,
    /// Change and list who may call in the billing store, through the service at --server, instead of the access file.
    #[arg(long, global = true)]
    in_store: bool,
    #[command(subcommand)]
    act: Act,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, value_name = "FORMAT", global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make an API key, and print it: it is shown only now.
    CreateKey(CreateKeyOptions),
    /// Revoke an API key. Services refuse it within seconds.
    RevokeKey {
        /// The name of the key. Of a key of the billing store that is to be refused by the access file, while that store is away: how it
        /// begins, such as tg_Zk3v9QxY.
        name: String,
    },
    /// Let in callers that show a client certificate of this name.
    GrantCertificate(CertificateOptions),
    /// Let the certificate of this name in no longer.
    RevokeCertificate {
        /// The name in the certificate.
        name: String,
    },
    /// List who may call. Keys are shown by their public part.
    List,
    /// Check an access file that was written by hand.
    Check,
}

#[derive(Args, Debug)]
struct CreateKeyOptions {
    /// Its name, which the journal records as the actor.
    name: String,
    #[command(flatten)]
    grant: GrantOptions,
    /// From when on it is refused: a day, or an instant [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    expires: Option<Timestamp>,
}

#[derive(Args, Debug)]
struct CertificateOptions {
    /// The name in the certificate: its first URI, such as spiffe://example.org/switch-1, else its first DNS name, else its common name.
    name: String,
    #[command(flatten)]
    grant: GrantOptions,
}

#[derive(Args, Debug)]
struct GrantOptions {
    /// What it may do: charge, read, operate, finance, audit, admin, or a role of the access file. Can be given several times.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<String>,
    /// Only on this account, or on those whose ids begin with this, if it ends in "/". Can be given several times [default: all]
    #[arg(long = "account", value_name = "ID|PREFIX/")]
    accounts: Vec<String>,
    /// The most in one act, such as refund:EUR=100. Can be given several times.
    #[arg(long, value_name = "PERMISSION:CURRENCY=AMOUNT", value_parser = parse_most)]
    most: Vec<(String, String, String)>,
    /// It may name a person on whose behalf it acts.
    #[arg(long)]
    acts_for_others: bool,
    /// How many requests it may send a second [default: --caller-requests-per-second of the service]
    #[arg(long, value_name = "COUNT")]
    requests_per_second: Option<NonZeroU32>,
    /// How many calls it may have at once [default: --caller-concurrent-calls of the service]
    #[arg(long, value_name = "COUNT")]
    concurrent_calls: Option<NonZeroU32>,
}

fn parse_most(text: &str) -> Result<(String, String, String), String> {
    let parts = text.split_once(':').and_then(|(permission, rest)| Some((permission, rest.split_once('=')?)));
    let (permission, (currency, amount)) = parts.ok_or("write it as refund:EUR=100")?;
    Ok((permission.to_owned(), currency.to_owned(), amount.to_owned()))
}

impl GrantOptions {
    fn into_entry(self) -> GrantEntry {
        let Self { roles, acts_for_others, requests_per_second, concurrent_calls, .. } = self;
        let mut entry = GrantEntry { roles, acts_for_others, requests_per_second, concurrent_calls, ..GrantEntry::default() };
        entry.accounts = (!self.accounts.is_empty()).then_some(self.accounts);
        for (permission, currency, amount) in self.most {
            entry.most.entry(permission).or_default().insert(currency, amount);
        }
        entry
    }
}

/// Keeps others from changing the file between reading and writing it, or what one of the two does would be lost. It is the folder that is
/// locked, since the file is replaced; where the file system has no locks, nothing is.
fn alone(path: &Path, act: &Act) -> Option<File> {
    if matches!(act, Act::List | Act::Check) {
        return None;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(folder).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

/// Runs the command.
pub async fn run(options: AccessOptions) -> anyhow::Result<ExitCode> {
    if options.in_store {
        return stored::run(options.act, options.output, &options.server).await;
    }
    let (path, shown) = (&options.access_file, options.output);
    let _alone = alone(path, &options.act);
    let mut file = AccessFile::read(path).with_context(|| format!("--access-file {}", path.display()))?;
    file.understand().with_context(|| format!("--access-file {}", path.display()))?;
    match options.act {
        Act::CreateKey(CreateKeyOptions { name, grant, expires }) => {
            ensure!(file.keys.iter().all(|key| key.name != name), "there is a key called {name:?} already");
            let new = NewKey::generate()?;
            let created = Some(Timestamp::now().round(jiff::Unit::Second)?);
            let (id, digest) = (new.id.clone(), new.digest().to_string());
            file.keys.push(KeyEntry {
                name: name.clone(),
                id: id.clone(),
                digest,
                created,
                expires,
                revoked: None,
                grant: grant.into_entry(),
            });
            file.write(path)?;
            match shown {
                Output::Json => writeln!(output(), "{}", json!({ "name": name, "id": id, "key": new.text }))?,
                Output::Table => {
                    eprintln!("The key {name:?} is in {}. It is shown only now:", path.display());
                    writeln!(output(), "{}", new.text)?;
                }
            }
        }
        Act::RevokeKey { name } if name.starts_with("tg_") => {
            let id = name.get(3..11).with_context(|| format!("{name:?} is too short for how a key begins, such as tg_Zk3v9QxY"))?;
            if let Some(key) = file.keys.iter_mut().find(|key| key.id == id) {
                key.revoked.get_or_insert(Timestamp::now().round(jiff::Unit::Second)?);
            } else if !file.revoked.iter().any(|revoked| revoked == id) {
                file.revoked.push(id.to_owned());
            }
            file.write(path)?;
        }
        Act::RevokeKey { name } => {
            let Some(key) = file.keys.iter_mut().find(|key| key.name == name) else { bail!("there is no key called {name:?}") };
            key.revoked.get_or_insert(Timestamp::now().round(jiff::Unit::Second)?);
            file.write(path)?;
        }
        Act::GrantCertificate(CertificateOptions { name, grant }) => {
            ensure!(file.certificates.iter().all(|one| one.name != name), "the certificate {name:?} is granted something already");
            file.certificates.push(CertificateEntry { name, grant: grant.into_entry() });
            file.write(path)?;
        }
        Act::RevokeCertificate { name } => {
            let before = file.certificates.len();
            file.certificates.retain(|one| one.name != name);
            ensure!(file.certificates.len() < before, "the certificate {name:?} is granted nothing");
            file.write(path)?;
        }
        Act::List => list(&file, shown)?,
        Act::Check => {
            // As a service reads it: with the keys of identity providers.
            Access::of_file(path)?;
            println!("{} is sound.", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(file: &AccessFile, shown: Output) -> anyhow::Result<()> {
    if shown == Output::Json {
        let mut value = serde_json::to_value(file)?;
        for key in value.get_mut("keys").and_then(serde_json::Value::as_array_mut).into_iter().flatten() {
            key.as_object_mut().and_then(|key| key.remove("digest"));
        }
        writeln!(output(), "{value}")?;
        return Ok(());
    }
    let mut listing = table_of(&["name", "known by", "roles", "accounts", "state"], 5..5);
    let accounts = |grant: &GrantEntry| grant.accounts.as_ref().map_or_else(|| "all".to_owned(), |ids| ids.join(" "));
    for KeyEntry { name, id, expires, revoked, grant, .. } in &file.keys {
        let state = match (revoked, expires) {
            (Some(at), _) => format!("revoked {at}"),
            (None, Some(at)) if *at <= Timestamp::now() => format!("expired {at}"),
            (None, Some(at)) => format!("expires {at}"),
            (None, None) => "valid".to_owned(),
        };
        listing.add_row([name.clone(), format!("key tg_{id}"), grant.roles.join(" "), accounts(grant), state]);
    }
    for CertificateEntry { name, grant } in &file.certificates {
        listing.add_row([name.clone(), "certificate".into(), grant.roles.join(" "), accounts(grant), "valid".into()]);
    }
    for issuer in &file.issuers {
        for (value, grant) in &issuer.grants {
            let known = format!("token, {}: {value}", issuer.claim);
            listing.add_row([issuer.issuer.clone(), known, grant.roles.join(" "), accounts(grant), "valid".into()]);
        }
    }
    for id in &file.revoked {
        let known = format!("key tg_{id} of the billing store");
        listing.add_row([String::new(), known, String::new(), String::new(), "refused".to_owned()]);
    }
    println!("{listing}");
    Ok(())
}
