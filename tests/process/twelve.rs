//! A month of twelve customers, in all forms: prepaid, postpaid, converted both ways with debts and overpayments of fractions of a cent,
//! one by one and refunded, exempt and reverse charge, a rate that changes within the month, yen and dinars, names in five scripts.
//!
//! What happens is in `twelve/month.txt`; what must come of it in `twelve/expected.json`, which `twelve/expected.py` works out by the rules
//! of the domain, without the product.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use tollgate::grpc::v1::{self, SetBillingDetailsRequest};

use crate::on_paper::Stage;
use crate::renderings::{Forms, decimal};
use crate::service::PATIENCE;
use crate::table::step;

const MONTH: &str = include_str!("twelve/month.txt");
const EXPECTED: &str = include_str!("twelve/expected.json");

#[test]
fn the_expected_figures_are_those_that_the_script_beside_them_works_out() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/twelve/expected.py");
    let output = Command::new("python3").arg(script).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), EXPECTED);
}

/// What the month is made of besides what happens in it.
#[derive(Default)]
struct Settings {
    names: BTreeMap<&'static str, &'static str>,
    /// Why an account is charged no tax.
    reasons: BTreeMap<&'static str, &'static str>,
}

async fn set(stage: &mut Stage, settings: &mut Settings, line: &'static str) -> bool {
    let words: Vec<&'static str> = line.split(' ').collect();
    match words[..] {
        ["tax", percent, "from", day] => stage.run(&["tax", "set", percent, "--from", day]),
        ["tax", percent, "of", category, "from", day] => stage.run(&["tax", "set", percent, "--category", category, "--from", day]),
        ["name", account, ..] => {
            settings.names.insert(account, line.splitn(3, ' ').nth(2).unwrap());
        }
        [relief @ ("exempt" | "reverse"), account, "from", day, "because", ..] => {
            let reason = line.split_once(" because ").unwrap().1;
            settings.reasons.insert(account, reason);
            let reverse: &[&str] = if relief == "reverse" { &["--reverse-charge"] } else { &[] };
            stage.run(&[&["tax", "exempt", account, "--text", reason, "--from", day], reverse].concat());
        }
        _ => return false,
    }
    true
}

/// Lives through the month, and returns what its customers are called, and why no tax is charged.
async fn live(stage: &mut Stage) -> Settings {
    let (mut settings, mut today) = (Settings::default(), "2026-10-01");
    for (place, line) in MONTH.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        if set(stage, &mut settings, line).await {
            continue;
        }
        let mut parts = line.splitn(3, ' ');
        let [day, account, sentence] = [parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap()];
        if day != today {
            if day >= "2026-11-01" && today < "2026-11-01" {
                stage.go_to("2026-11-01T00:05:00Z").await;
                // The closes come by themselves: the last of them brings the last of October's documents.
                let deadline = Instant::now() + PATIENCE;
                for account in settings.names.keys() {
                    while stage.documents(account).await.iter().all(|document| document.period_to.unwrap().seconds < 1_793_491_200) {
                        assert!(Instant::now() < deadline, "{account} has no bill of October");
                        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    }
                }
            }
            today = day;
            stage.go_to(&format!("{day}T12:00:00Z")).await;
        }
        let step = step(place + 1, sentence).unwrap_or_else(|problem| panic!("{problem}"));
        stage.take(account, &step).await.unwrap_or_else(|error| panic!("{line}: {error:?}"));
        if sentence.starts_with("given a ") {
            let customer = Some(v1::Party { name: settings.names[account].into(), ..Default::default() });
            let request = SetBillingDetailsRequest { account_id: account.into(), customer, ..Default::default() };
            stage.client.billing.set_billing_details(request).await.unwrap();
        }
    }
    settings
}

/// Category and amount of each line.
fn lines(document: &Value, field: &str) -> Vec<(String, rust_decimal::Decimal)> {
    let line = |line: &Value| (line["category"].as_str().unwrap().to_owned(), decimal(line["amount"].as_str().unwrap()));
    document[field].as_array().unwrap().iter().map(line).collect()
}

fn expected_lines(lines: &Value) -> Vec<(String, rust_decimal::Decimal)> {
    let line = |line: &Value| (line[0].as_str().unwrap().to_owned(), decimal(line[1].as_str().unwrap()));
    lines.as_array().unwrap().iter().map(line).collect()
}

/// Holds one customer's documents against what was worked out.
async fn hold(stage: &mut Stage, account: &str, settings: &Settings, expected: &Value) -> Result<(), String> {
    let documents = stage.documents(account).await;
    let expected_documents = expected["documents"].as_array().unwrap();
    if documents.len() != expected_documents.len() {
        return Err(format!("{} documents, and not {}: {documents:#?}", documents.len(), expected_documents.len()));
    }
    let open: Vec<_> = documents.iter().map(|document| decimal(&document.open_amount)).filter(|open| !open.is_zero()).collect();
    let expected_open: Vec<_> = expected["open"].as_array().unwrap().iter().map(|open| decimal(open.as_str().unwrap())).collect();
    if open != expected_open {
        return Err(format!("open is {open:?}, and not {expected_open:?}"));
    }
    let balance = stage.client.credit(account).await.balance;
    assert_eq!(decimal(&balance), decimal(expected["balance"].as_str().unwrap()), "{account}: balance");
    for (document, expected) in documents.iter().zip(expected_documents) {
        let forms = Forms::of(&mut stage.client, &document.number).await;
        let kind = if expected["kind"] == "note" { "credit_note" } else { expected["kind"].as_str().unwrap() };
        assert_eq!(forms.json["kind"], kind, "{account}");
        assert_eq!(lines(&forms.json, "items"), expected_lines(&expected["items"]), "{account}: {}", document.number);
        assert_eq!(lines(&forms.json, "deducted"), expected_lines(&expected["deducted"]), "{account}: {}", document.number);
        for (name, figure) in expected["figures"].as_object().unwrap() {
            forms.shows(name, &minor(figure.as_str().unwrap(), &document.currency_code));
        }
        forms.agree();
        let name = settings.names[account];
        assert_eq!(forms.json["customer"]["name"], name);
        assert!(forms.html.contains(name), "{account}: {}", forms.html);
        let missing: Vec<char> = name.chars().filter(|letter| letter.is_alphabetic() && !forms.pdf.contains(*letter)).collect();
        assert!(missing.is_empty(), "{account}: {missing:?} cannot be read in {}", forms.pdf);
        if let Some(reason) = settings.reasons.get(account).filter(|_| forms.json["tax_exemption"].is_object()) {
            assert!(forms.html.contains(reason) && forms.pdf.contains(reason), "{account}: {}", forms.pdf);
        }
    }
    Ok(())
}

/// With the digits of the currency's minor unit, as people write it.
fn minor(amount: &str, currency: &str) -> String {
    let digits = match currency {
        "JPY" => return amount.to_owned(),
        "KWD" => 3,
        _ => 2,
    };
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    format!("{whole}.{fraction:0<digits$}")
}

async fn a_month(mut stage: Stage) {
    stage.run(&["issuer", "set", "--name", "Nordlicht GmbH", "--address", "Kai 1", "--city", "Hamburg", "--country", "DE"]);
    let settings = live(&mut stage).await;
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let expected = expected.as_object().unwrap();
    assert_eq!((expected.len(), settings.names.len()), (12, 12));
    let deadline = Instant::now() + PATIENCE;
    for (account, expected) in expected {
        while let Err(found) = hold(&mut stage, account, &settings, expected).await {
            assert!(Instant::now() < deadline, "{account}: {found}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    assert!(stage.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_twelve_customers_is_what_was_worked_out_by_hand_on_the_embedded_store_and_sqlite() {
    a_month(Stage::embedded("2026-10-01T12:00:00Z").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_twelve_customers_is_what_was_worked_out_by_hand_on_redis_and_postgresql() {
    a_month(Stage::redis_and_postgres("2026-10-01T12:00:00Z").await).await;
}
