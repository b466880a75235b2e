//! A reader that goes away, as `head` does: what only prints ends quietly; what acts is done to its end.

use std::process::{Command, ExitStatus, Stdio};

use crate::command::Operator;
use crate::service::{Service, binary};
use crate::support::temporary_folder;

/// What a shell shows for a command that its reader has ended: that of SIGPIPE.
const ENDED_BY_THE_READER: Option<i32> = Some(141);

/// Runs a command line whose standard output nobody reads; returns how it ended, and its stderr.
fn unread(server: &str, line: &str) -> (ExitStatus, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(binary());
    command.args(line.split_whitespace()).env_clear().env("USER", "tester").env("TOLLGATE_SERVER", server);
    let ended = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    (ended.status, String::from_utf8(ended.stderr).unwrap())
}

fn server(service: &Service) -> String {
    format!("http://{}", service.address)
}

#[test]
fn a_command_without_a_service_whose_reader_has_gone_ends_quietly() {
    for line in ["completions bash", "--help", "config default", "call"] {
        let (_, error) = unread("http://127.0.0.1:1", line);
        assert_eq!(error, "", "{line}");
    }
}

#[test]
fn lists_exports_and_streams_whose_reader_has_gone_end_quietly() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let operator = Operator::of(&service);
    operator.json("account create acme --name Acme --currency EUR --mode prepaid");
    operator.json("account top-up acme 10");
    for line in [
        "account list",
        "account list --output json",
        "account entries acme",
        "account entries acme --output json",
        "invoice list --output json",
        "credit acme",
        "export --format csv",
        "export --format parquet",
        "call ListAccounts",
        r#"call WatchUsableCredit {"accountId":"acme"}"#,
    ] {
        let (status, error) = unread(&server(&service), line);
        assert_eq!((status.code(), error.as_str()), (ENDED_BY_THE_READER, ""), "{line}");
    }
    assert!(service.stop().success());
}

#[test]
fn a_command_of_which_nobody_reads_what_goes_wrong_either_ends_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(binary());
    command.args(["credit", "acme", "--server", "http://127.0.0.1:1"]).env_clear();
    let ended = command.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
    assert_eq!(ended.code(), ENDED_BY_THE_READER);
}

#[test]
fn a_batch_whose_reader_has_gone_converts_every_account() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let operator = Operator::of(&service);
    for number in 0..5 {
        operator.json(&format!("account create acme-{number} --name Acme --currency EUR --mode prepaid"));
    }
    for (mode, output) in [("postpaid --limit 10", "json"), ("prepaid", "table")] {
        let line = format!("convert-all {mode} --all --currency EUR --reason migration --batch-id to-{output} --output {output}");
        let (status, error) = unread(&server(&service), &line);
        assert_eq!((status.code(), error.as_str()), (Some(0), ""), "{line}");
        let wanted = format!("PAYMENT_MODE_{}", mode.split(' ').next().unwrap().to_uppercase());
        let accounts = operator.list("account list");
        assert!(accounts.len() == 5 && accounts.iter().all(|account| account["credit"]["mode"] == wanted), "{line}: {accounts:#?}");
    }
    assert!(service.stop().success());
}
