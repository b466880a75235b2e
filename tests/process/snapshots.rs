//! What is printed, kept as it was: help, tables at two widths, JSON, documents. `INSTA_UPDATE=always` writes it anew, to be read in the diff.

use std::process::Command;

use clap::CommandFactory;
use insta::{assert_snapshot, with_settings};
use tollgate::billing::document::{Adjustment, Cause, Document, DocumentKind, Exemption, Issuer, Item, OpenInvoice, Party, Relief, Wallet};
use tollgate::billing::rendering;
use tollgate::billing::tax::TaxLine;
use tollgate::cli::CommandLine;
use tollgate::domain::time::UnixMillis;

use crate::command::Operator;
use crate::commands::{lead_a_month, start};
use crate::service::binary;

#[path = "../support/documents.rs"]
mod documents;

/// The widest line that a terminal of 80 columns shows unbroken.
const WIDTH: usize = 80;

/// All commands, as words: "account create".
fn commands() -> Vec<Vec<String>> {
    fn add(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
        found.push(words.to_vec());
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            add(below, &[words, &[below.get_name().to_owned()]].concat(), found);
        }
    }
    let mut found = Vec::new();
    add(&CommandLine::command(), &[], &mut found);
    found
}

/// What a command says of itself at 80 columns, where nothing in the environment says otherwise.
fn help(words: &[String]) -> String {
    let output = Command::new(binary()).args(words).arg("--help").env_clear().env("COLUMNS", WIDTH.to_string()).output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_help_of_every_command_is_kept_and_fits_a_terminal() {
    let mut wide = Vec::new();
    for top in commands().iter().filter(|words| words.len() == 1) {
        let below = commands().into_iter().filter(|words| words.first() == top.first());
        let pages = below.map(|words| {
            let page = help(&words);
            // clap never breaks a usage, which is there to be read as one line.
            let lines = page.lines().filter(|line| line.chars().count() > WIDTH && !line.starts_with("Usage:"));
            wide.extend(lines.map(|line| format!("{}: {line}", words.join(" "))));
            format!("$ tollgate {} --help\n{page}", words.join(" "))
        });
        let pages = pages.collect::<Vec<_>>().join("\n");
        with_settings!({filters => vec![(r"uid \d+", "uid USER"), (r"default: \d+\.\d+\.\d+", "VERSION")]}, {
            assert_snapshot!(format!("help_{}", top[0]), pages);
        });
    }
    assert_snapshot!("help", help(&[]));
    assert!(wide.is_empty(), "wider than {WIDTH} columns:\n{}", wide.join("\n"));
}

/// What a command prints on a terminal of so many columns, without colours.
fn on_a_terminal(service: &str, line: &str, columns: usize) -> String {
    let inner = format!("stty cols {columns} && {} {line} --server {service}", binary().display());
    let output = Command::new("script").args(["-qec", &inner, "/dev/null"]).env("TERM", "xterm").output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap().replace('\r', "");
    regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap().replace_all(&text, "").into_owned()
}

/// Commands that print tables, and the name of their snapshot.
const SHOWN: [(&str, &str); 14] = [
    ("credit", "credit acme"),
    ("account_show", "account show acme"),
    ("account_list", "account list"),
    ("account_entries", "account entries acme"),
    ("account_reservations", "account reservations acme"),
    ("account_statement", "account statement acme"),
    ("invoice_list", "invoice list"),
    ("invoice_show", "invoice show INV-000001"),
    ("invoice_preview", "invoice preview acme"),
    ("payment_list", "payment list"),
    ("payment_show", "payment show acme p2"),
    ("receivables", "receivables"),
    ("issuer_show", "issuer show"),
    ("tax_list", "tax list"),
];

/// What is not the same each time: ids that are drawn, digests, and positions, which depend on when it is aggregated.
fn redactions() -> Vec<(&'static str, &'static str)> {
    vec![
        (r#""(documentId|digest|entryId|sequence|nextSequence|accountSequence)": "[^"]*""#, r#""$1": "…""#),
        (r"\b0-\d+\b", "0-N"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
        (r"[0-9a-f]{64}", "DIGEST"),
    ]
}

#[test]
fn tables_and_json_are_kept_and_tables_fit_a_terminal() {
    let (folder, service) = start();
    let (operator, server) = (Operator::of(&service), service.address.to_string());
    let number = lead_a_month(&folder, &operator);
    operator.json(&format!("payment record acme 5 --invoice {number} --request-id p2 --reference RF18"));
    crate::commands::until_aggregated(&operator);
    for (name, line) in SHOWN {
        with_settings!({filters => redactions()}, {
            assert_snapshot!(format!("json_{name}"), format!("{:#}", operator.json(line)));
        });
        let mut tables = String::new();
        for columns in [WIDTH, 50] {
            let shown = on_a_terminal(&server, line, columns);
            tables += &format!("{columns} columns:\n{shown}\n");
            let wide: Vec<_> =
                shown.lines().filter(|line| line.starts_with(['│', '┌', '├', '└']) && line.chars().count() > columns).collect();
            assert!(wide.is_empty(), "{line} at {columns} columns: {wide:#?}");
        }
        with_settings!({filters => redactions()}, {
            assert_snapshot!(format!("table_{name}"), tables);
        });
    }
    let refused = operator.run("account top-up nobody 1 --request-id x --output json");
    assert_snapshot!("json_error", refused.error);
    let billed = operator.run(&format!("invoice csv {number} --file -"));
    with_settings!({filters => redactions()}, {
        assert_snapshot!("invoice_csv", billed.output);
    });
    assert!(service.stop().success());
}

#[test]
fn documents_are_kept_as_json_and_html() {
    // The long one is the others' lines again.
    for (name, document) in documents::all().into_iter().filter(|(name, _)| *name != "long") {
        assert_snapshot!(format!("document_{name}_json"), rendering::json(&document).unwrap());
        if !["invoice", "statement", "credit-note", "german", "draft"].contains(&name) {
            continue;
        }
        let html = rendering::html(&document).unwrap();
        with_settings!({filters => vec![(r#"data:(image|font)/[^"')]*"#, "data:…")]}, {
            assert_snapshot!(format!("document_{name}_html"), html);
        });
    }
}
