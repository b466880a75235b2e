//! HTTP/JSON on the running binary: the same calls as over gRPC, by curl.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::service::Service;

/// A service with HTTP, and where it serves that.
pub fn start(directory: &tempfile::TempDir) -> (Service, String) {
    let store = directory.path().join("tollgate.db");
    let service = Service::start(&["--store", store.to_str().unwrap(), "--http-listen", "127.0.0.1:0"], &[]);
    let url = url_of(&service);
    (service, url)
}

/// Where a service serves HTTP.
pub fn url_of(service: &Service) -> String {
    let line = service.log().into_iter().find(|line| line.contains("serving HTTP/JSON")).expect("it says where it serves HTTP");
    let line: Value = serde_json::from_str(&line).unwrap();
    format!("http://{}", line["address"].as_str().unwrap())
}

/// Calls curl with arguments: the status, the media type and the body.
fn curl(arguments: &[&str]) -> (u16, String, String) {
    let output = Command::new("curl").args(["-s", "-m", "10", "-w", "\n%{http_code} %{content_type}"]).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, last) = text.rsplit_once('\n').unwrap();
    let (status, media_type) = last.split_once(' ').unwrap();
    (status.parse().unwrap(), media_type.to_owned(), body.to_owned())
}

/// Posts JSON: the status and the body.
pub fn post(url: &str, path: &str, body: &Value) -> (u16, Value) {
    let (status, _, body) = curl(&[&format!("{url}/v1/{path}"), "-H", "content-type: application/json", "-d", &body.to_string()]);
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

pub fn open_acme(url: &str) {
    let account = json!({ "accountId": "acme", "requestId": "c", "name": "Acme", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
    assert_eq!(post(url, "account/create-account", &account).0, 200);
    assert_eq!(post(url, "account/top-up", &json!({ "accountId": "acme", "requestId": "p", "amount": { "amount": "20" } })).0, 200);
}

pub fn usable(url: &str) -> String {
    let (status, credit) = post(url, "charging/get-usable-credit", &json!({ "account_id": "acme" }));
    assert_eq!(status, 200, "{credit}");
    credit["credit"]["usable"].as_str().unwrap().to_owned()
}

#[test]
fn an_account_is_charged_by_http_once_for_each_request_id() {
    let directory = tempfile::tempdir().unwrap();
    let (_service, url) = start(&directory);
    open_acme(&url);
    let debit = json!({ "accountId": "acme", "requestId": "d", "amount": { "amount": "3.7525" } });
    let (status, first) = post(&url, "charging/debit", &debit);
    assert_eq!((status, &first["charged"]["amount"]["amount"]), (200, &json!("3.7525")));
    let (status, again) = post(&url, "charging/debit", &debit);
    assert_eq!((status, &again["replayed"]), (200, &json!(true)));
    assert_eq!(usable(&url), "16.2475");
    // Too little credit is an answer over HTTP, too.
    let (status, declined) = post(&url, "charging/debit", &json!({ "accountId": "acme", "requestId": "e", "amount": { "amount": "100" } }));
    assert_eq!((status, &declined["declined"]["shortfall"]["amount"]), (200, &json!("83.7525")));
}

#[test]
fn several_commands_are_one_call_and_each_has_its_outcome() {
    let directory = tempfile::tempdir().unwrap();
    let (_service, url) = start(&directory);
    open_acme(&url);
    let debit = |id: &str, amount: &str| json!({ "debit": { "accountId": "acme", "requestId": id, "amount": { "amount": amount } } });
    let unknown = json!({ "debit": { "accountId": "nobody", "requestId": "x", "amount": { "amount": "1" } } });
    let commands = json!({ "commands": [debit("a", "1"), debit("b", "100"), unknown, { "getUsableCredit": { "accountId": "acme" } }] });
    let (status, answer) = post(&url, "charging/batch-charge", &commands);
    assert_eq!(status, 200, "{answer}");
    let outcomes = answer["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 4);
    assert_eq!(outcomes[0]["debit"]["charged"]["amount"]["amount"], "1.00");
    assert_eq!(outcomes[1]["debit"]["declined"]["usable"]["amount"], "19.00");
    let info = outcomes[2]["error"]["details"].as_array().unwrap().iter().find(|detail| detail["reason"].is_string()).unwrap();
    assert_eq!(info["reason"], "ACCOUNT_NOT_FOUND");
    assert_eq!(outcomes[3]["getUsableCredit"]["credit"]["usable"], "19.00");
    let (status, problem) = post(&url, "charging/batch-charge", &json!({ "commands": [] }));
    assert_eq!((status, &problem["fieldViolations"][0]["field"]), (400, &json!("commands")));
}

#[test]
fn what_a_page_in_a_browser_could_send_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (_service, url) = start(&directory);
    open_acme(&url);
    let body = json!({ "accountId": "acme", "requestId": "evil", "amount": { "amount": "5" } }).to_string();
    let debit = format!("{url}/v1/charging/debit");
    let json_type = "content-type: application/json";
    for (headers, expected) in [
        (vec![json_type, "origin: http://evil.example"], 403),
        (vec![json_type, "origin: null"], 403),
        (vec![json_type, "host: evil.example"], 403),
        (vec!["content-type: text/plain"], 415),
        (vec!["content-type: application/x-www-form-urlencoded"], 415),
        (vec!["content-type:"], 415),
    ] {
        let arguments: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
        let (status, media_type, problem) = curl(&[&[&debit[..], "-d", &body], &arguments[..]].concat());
        assert_eq!((status, &media_type[..]), (expected, "application/problem+json"), "{headers:?}: {problem}");
    }
    assert_eq!(usable(&url), "20.00");
    // The listener's own pages may call.
    let own = format!("origin: {url}");
    assert_eq!(curl(&[&debit, "-d", &body, "-H", json_type, "-H", &own]).0, 200);
    assert_eq!(usable(&url), "15.00");
}

#[test]
fn what_cannot_be_read_is_a_problem_that_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let (_service, url) = start(&directory);
    open_acme(&url);
    let send = |path: &str, body: &str| {
        let (status, media_type, body) = curl(&[&format!("{url}{path}"), "-H", "content-type: application/json", "-d", body]);
        assert_eq!(media_type, "application/problem+json", "{body}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:tollgate:reason:{}", problem["reason"].as_str().unwrap()));
        (status, problem["reason"].as_str().unwrap().to_owned(), problem["detail"].as_str().unwrap().to_owned())
    };
    let debit = "/v1/charging/debit";
    for body in ["", "{", "[]", "null", "{} {}", r#"{"amount": 3}"#, r#"{"nothing": 1}"#, r#"{"accountId": "\ud800"}"#] {
        let (status, reason, _) = send(debit, body);
        assert_eq!((status, &reason[..]), (400, "MALFORMED_MESSAGE"), "{body}");
    }
    assert!(send(debit, r#"{"nothing": 1}"#).2.contains("nothing"));
    let (status, reason, detail) = send(debit, r#"{"accountId": "acme", "requestId": "x", "amount": {"amount": "1e3"}}"#);
    assert_eq!((status, &reason[..]), (400, "INVALID_REQUEST"));
    assert!(detail.contains("amount.amount"), "{detail}");
    let (status, reason, _) = send(debit, r#"{"accountId": "nobody", "requestId": "x", "amount": {"amount": "1"}}"#);
    assert_eq!((status, &reason[..]), (404, "ACCOUNT_NOT_FOUND"));
    let nested = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    assert_eq!(send(debit, &nested).0, 400);
    for path in ["/v1/charging/charge", "/v1/admin/backup", "/v1/charging/nothing", "/v1", "/"] {
        assert_eq!(send(path, "{}").0, 404, "{path}");
    }
    let large = directory.path().join("large");
    std::fs::write(&large, format!(r#"{{"accountId": "{}"}}"#, "a".repeat(1 << 20))).unwrap();
    let (status, reason, _) = send(debit, &format!("@{}", large.display()));
    assert_eq!((status, &reason[..]), (413, "MESSAGE_TOO_LARGE"));
    assert_eq!(curl(&[&format!("{url}{debit}")]).0, 405);
    assert_eq!(usable(&url), "20.00");
}

#[test]
fn a_stream_is_lines_or_events_and_ends_when_the_service_stops() {
    let directory = tempfile::tempdir().unwrap();
    let (service, url) = start(&directory);
    open_acme(&url);
    let mut curl = Command::new("curl");
    curl.args(["-sN", "-m", "20", "-H", "content-type: application/json", "-H", "accept: text/event-stream"]);
    curl.args(["-d", r#"{"accountId": "acme"}"#, &format!("{url}/v1/charging/watch-usable-credit")]);
    let mut watch = curl.stdout(Stdio::piped()).spawn().unwrap();
    let mut answer = BufReader::new(watch.stdout.take().unwrap());
    let mut events = String::new();
    for _ in 0..3 {
        answer.read_line(&mut events).unwrap();
    }
    assert!(events.starts_with("event: message\ndata: {\"credit\":") && events.ends_with("\n\n"), "{events}");
    assert!(service.stop().success());
    answer.read_to_string(&mut events).unwrap();
    watch.wait().unwrap();
    assert!(events.contains("event: error\n") && events.contains("SERVICE_STOPPING"), "{events}");
}

#[test]
fn the_description_of_the_api_has_every_path_with_its_comment() {
    let directory = tempfile::tempdir().unwrap();
    let (_service, url) = start(&directory);
    let (status, media_type, body) = curl(&[&format!("{url}/openapi.json")]);
    assert_eq!((status, &media_type[..]), (200, "application/json"));
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 30);
    for (path, item) in paths {
        assert!(!item["post"]["description"].as_str().unwrap().is_empty(), "{path} is not described");
    }
    assert!(document["components"]["schemas"]["tollgate.v1.DebitRequest"]["properties"]["requestId"].is_object());
}
