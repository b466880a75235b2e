//! Operators' commands: the real binary, as a person or a script calls it, against the running service.

mod unread;

use crate::command::Operator;
use crate::service::Service;
use crate::support::{RedisServer, temporary_folder};

/// A customer's life, by commands alone; the numbers are the published ones.
fn lead_an_account_through_its_life(service: &Service) {
    let operator = Operator::of(service);
    let created = operator.json("account create acme --name Acme --currency EUR --mode prepaid --limit 2000 --request-id create");
    assert_eq!((created["replayed"].as_bool(), created["account"]["permanentLimit"]["amount"].as_str()), (None, Some("2000.00")));
    let topped_up = operator.json("account top-up acme 86.10148 --request-id payment-1");
    assert_eq!(topped_up["credit"]["usable"], "2086.10148");
    // The same again, as someone does who had no answer.
    let again = operator.json("account top-up acme 86.10148 --request-id payment-1");
    assert_eq!((again["replayed"].as_bool(), again["credit"]["balance"].as_str()), (Some(true), Some("86.10148")));

    let limited = operator.json("account limit acme --temporary 3000 --temporary-increase-days 7 --reason trust");
    assert_eq!((limited["credit"]["creditLimit"].as_str(), limited["credit"]["usable"].as_str()), (Some("3000.00"), Some("3086.10148")));
    operator.json("account limit acme --remove-temporary --reason enough");

    let converted = operator.json("account convert acme postpaid");
    assert_eq!((converted["converted"].as_bool(), converted["usableAfter"]["amount"].as_str()), (Some(true), Some("2086.10148")));
    assert_eq!(converted["advice"][0]["topic"], "ADVICE_TOPIC_TIMING");
    let again = operator.json("account convert acme postpaid");
    assert_eq!(again.get("converted"), None);
    operator.json("account convert acme prepaid --limit 0");

    operator.json("account suspend acme --reason fraud");
    let refused = operator.run("account withdraw acme 1 --reason asked");
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.error.contains("ACCOUNT_SUSPENDED"), "{}", refused.error);
    assert_eq!(operator.json("account resume acme --reason cleared")["changed"], true);
    let declined = operator.run("account withdraw acme 100 --reason asked");
    assert_eq!(declined.status.code(), Some(1));
    assert!(declined.error.contains("86.10148 EUR can be paid out, 13.89852 too little (INSUFFICIENT_FUNDS)"), "{}", declined.error);
    let paid = operator.json("account withdraw acme 86.10 --reason asked");
    assert_eq!(paid["withdrawn"]["amount"], "86.10");
    // The 0.00148 that are left are rounded off.
    assert_eq!(operator.json("account close acme --reason left")["credit"]["status"], "ACCOUNT_STATUS_CLOSED");
}

#[test]
fn an_account_is_led_through_its_life_on_the_embedded_engine() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    lead_an_account_through_its_life(&service);
    assert!(service.stop().success());
}

#[test]
fn an_account_is_led_through_its_life_on_redis() {
    let redis = RedisServer::redis();
    let service = Service::redis(&redis.url());
    lead_an_account_through_its_life(&service);
    assert!(service.stop().success());
}

#[test]
fn an_account_that_is_not_closed_is_not_erased_and_the_command_says_so_as_others_do() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let operator = Operator::of(&service);
    operator.json("account create acme --name Acme --currency EUR --mode prepaid");
    let refused = operator.run("account erase acme --reason asked");
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.error.ends_with("(ACCOUNT_NOT_CLOSED)\n"), "{}", refused.error);
    let nobody = Operator::nowhere().run("account erase acme --reason asked");
    assert_eq!(nobody.status.code(), Some(3), "{}", nobody.error);
    assert!(service.stop().success());
}

#[test]
fn accounts_are_found_by_id_or_by_how_their_names_begin() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let operator = Operator::of(&service);
    operator.json("account create a-1 --name Acme --currency EUR --mode prepaid");
    operator.json("account create a-2 --name Acorn --currency USD --mode postpaid --limit 50");
    operator.json("account create b --name Beta --currency EUR --mode prepaid");
    assert_eq!(operator.json("account show a-2")["account"]["name"], "Acorn");
    assert_eq!(operator.json("account show ACM")["account"]["accountId"], "a-1");
    assert_eq!(operator.list("account show ac").len(), 2);
    let names =
        |line: &str| -> Vec<String> { operator.list(line).iter().map(|account| account["name"].as_str().unwrap().to_owned()).collect() };
    assert_eq!(names("account list"), ["Acme", "Acorn", "Beta"]);
    assert_eq!(names("account list --mode prepaid --count 1"), ["Acme"]);
    let nobody = operator.run("account show nobody");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(nobody.output.is_empty());

    // For people: one account in a row, with its mode, balance, limit and usable credit; no colours where no terminal is.
    let table = operator.run("account list");
    assert!(table.status.success());
    let row = table.output.lines().find(|line| line.contains("Acorn")).unwrap();
    let cells: Vec<_> = row.trim_matches('│').split('┆').map(str::trim).collect();
    assert_eq!(cells, ["a-2", "Acorn", "postpaid", "active", "USD", "0.00", "0.00", "0.00", "50.00", "50.00"]);
    let widths: Vec<_> = table.output.lines().map(|line| line.chars().count()).collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{}", table.output);
    assert!(!table.output.contains('\u{1b}'));
    assert!(service.stop().success());
}

#[test]
fn what_a_script_may_trust_is_the_exit_code() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let operator = Operator::of(&service);
    let code = |line: &str| operator.run(line).status.code();
    assert_eq!(code("account create acme --name Acme --currency EUR --mode prepaid"), Some(0));
    assert_eq!(code("account create acme --name Other --currency EUR --mode prepaid"), Some(1));
    assert_eq!(code("account top-up nobody 1"), Some(1));
    assert_eq!(code("account top-up acme -- -1"), Some(1));
    assert_eq!(code("account limit acme --reason why"), Some(2));
    assert_eq!(code("account limit acme --days 3 --reason why"), Some(2));
    assert_eq!(code("account suspend acme"), Some(2));
    assert_eq!(code("account nonsense"), Some(2));
    let wrong = operator.run("account top-up acme one");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.error.contains("INVALID_REQUEST") && wrong.error.contains("amount.amount"), "{}", wrong.error);
    // A name is made, and told before the request is sent, so that the request can be repeated.
    let told = operator.run("account top-up acme 1");
    let told = told.error.trim().to_owned();
    assert!(told.starts_with("--request-id "), "{told}");
    assert_eq!(operator.json(&format!("account top-up acme 1 {told}"))["replayed"], true);
    assert!(service.stop().success());
    let gone = operator.run("account show acme");
    assert_eq!(gone.status.code(), Some(3));
    assert!(gone.error.contains("no connection to a service"), "{}", gone.error);
}

#[test]
fn what_an_operator_corrects_is_seen_in_what_happened() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let operator = Operator::of(&service);
    operator.json("account create acme --name Acme --currency EUR --mode prepaid");
    operator.json("account top-up acme 20 --request-id payment-1");
    let debit = r#"{"accountId":"acme","requestId":"call-1","amount":{"amount":"5.5"}}"#;
    let charged = operator.run(&format!("call Debit {debit}"));
    assert!(charged.status.success(), "{}", charged.error);
    let charged: serde_json::Value = serde_json::from_str(&charged.output).unwrap();
    assert_eq!(charged["charged"]["amount"]["amount"], "5.50");
    let refunded = operator.json("account refund acme call-1 --amount 1.5 --reason dropped");
    assert_eq!((refunded["refunded"]["amount"].as_str(), refunded["credit"]["balance"].as_str()), (Some("1.50"), Some("16.00")));
    assert_eq!(operator.json("account adjust acme -1 --reason goodwill")["credit"]["balance"], "15.00");
    let updated = operator.json("account update acme --name Acorn --low-credit 3 --reason renamed");
    assert_eq!(
        (updated["account"]["name"].as_str(), updated["account"]["lowCreditThreshold"]["amount"].as_str()),
        (Some("Acorn"), Some("3.00"))
    );
    assert_eq!(operator.run("account update acme --reason nothing").status.code(), Some(2));
    let entries = operator.json("account entries acme");
    let kinds: Vec<_> = entries["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    let expected = ["UPDATED", "ADJUSTED", "REFUNDED_BALANCE", "CHARGED_BALANCE", "TOPPED_UP", "CREATED"];
    assert_eq!(kinds, expected.map(|kind| format!("ENTRY_KIND_{kind}")));
    assert_eq!(operator.json("account entries acme --count 2")["entries"].as_array().unwrap().len(), 2);
    let reserve = r#"{"accountId":"acme","requestId":"call-2","reserve":{"amount":{"amount":"4"}}}"#;
    assert!(operator.run(&format!("call tollgate.v1.ChargingService/Authorize {reserve}")).status.success());
    let reservations = operator.json("account reservations acme");
    assert_eq!(reservations["reservations"][0]["reservationId"], "call-2");
    assert!(operator.run("account reservations acme").output.contains("4.00"));
    assert!(service.stop().success());
}

#[test]
fn any_rpc_can_be_called_by_hand() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let operator = Operator::of(&service);
    let all = operator.run("call").output;
    assert!(all.lines().any(|line| line == "tollgate.v1.ChargingService/Debit"), "{all}");
    assert!(!all.contains("ChargingService/Charge\n"), "{all}");
    let unknown = operator.run("call Nothing");
    assert_eq!((unknown.status.code(), unknown.error.contains("Nothing")), (Some(1), true));
    let malformed = operator.run(r#"call Debit {"amounts":1}"#);
    assert_eq!((malformed.status.code(), malformed.error.contains("amounts")), (Some(1), true), "{}", malformed.error);
    let refused = operator.run(r#"call GetAccount {"accountId":"nobody"}"#);
    assert_eq!((refused.status.code(), refused.error.contains("ACCOUNT_NOT_FOUND")), (Some(1), true), "{}", refused.error);
    assert!(service.stop().success());
}

#[test]
fn a_reader_that_goes_ends_a_command_quietly() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let binary = crate::service::binary();
    let line = format!("{} call --server {} | true", binary.display(), service.address);
    let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(service.stop().success());
}

#[test]
fn without_a_user_in_the_environment_the_actor_is_the_systems_user() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut command = std::process::Command::new(crate::service::binary());
    command.env_clear().args(["account", "create", "acme", "--name", "Acme", "--currency", "EUR", "--mode", "prepaid"]);
    // A server may be named without a scheme.
    let output = command.args(["--server", &service.address.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let entries = Operator::of(&service).json("account entries acme");
    assert!(entries["entries"][0]["operator"]["actor"].as_str().unwrap().starts_with("uid "), "{entries}");
    assert!(service.stop().success());
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = temporary_folder();
    let pages = folder.path().join("man1");
    assert!(Operator::nowhere().run_words(&["man", pages.to_str().unwrap()]).status.success());
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap();
    assert!(page("tollgate.1").contains("tollgate\\-serve(1)"));
    assert!(page("tollgate-account-create.1").contains("\\-\\-currency"));
}

#[test]
fn shells_can_complete_the_commands() {
    for (shell, word) in
        [("bash", "tollgate__subcmd__account__subcmd__top"), ("zsh", "#compdef tollgate"), ("fish", "complete -c tollgate")]
    {
        let script = Operator::nowhere().run(&format!("completions {shell}"));
        assert!(script.status.success());
        assert!(script.output.contains(word), "{}", script.output);
    }
}
