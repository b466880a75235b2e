//! Who may do what, on the running binary.

mod actors;
mod approvals;
pub mod callers;
mod clients;
mod erasing;
mod file;
mod known;
mod lasting;
mod lockout;
mod namesakes;
mod personal;
mod rotation;
mod shares;
pub mod stored;
mod tenants;
mod timing;
mod tokens;

use callers::{House, http_path, methods, name_of};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt;

const ROLES: [&str; 6] = ["charge", "read", "operate", "finance", "audit", "admin"];

/// A row of the table: a method, who is let through, what a caller gets that is bound to other accounts, and a request.
struct Row {
    method: String,
    cells: Vec<bool>,
    bound: String,
    request: Value,
}

fn rows() -> Vec<Row> {
    let lines = include_str!("matrix.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let row = |line: &str| {
        let (words, request) = line.split_at(line.find('{').unwrap());
        let words: Vec<_> = words.split_whitespace().collect();
        assert_eq!(words.len(), 8, "{line}");
        let cell = |word: &&str| match *word {
            "Y" => true,
            "-" => false,
            other => panic!("{other} in {line}"),
        };
        let cells = words[1..7].iter().map(cell).collect();
        Row { method: words[0].to_owned(), cells, bound: words[7].to_owned(), request: serde_json::from_str(request).unwrap() }
    };
    lines.map(row).collect()
}

async fn opened(house: &House, admin: &str) {
    let account = json!({ "accountId": "acme", "requestId": "c", "name": "Acme", "currencyCode": "EUR", "mode": "PAYMENT_MODE_POSTPAID",
        "creditLimit": { "permanent": { "amount": "1000" } } });
    house.done(admin, "AccountService/CreateAccount", account).await;
}

#[test]
fn the_table_has_a_row_for_each_method_and_none_twice() {
    let mut rows: Vec<_> = rows().into_iter().map(|row| row.method).collect();
    let mut methods: Vec<_> = methods().iter().map(name_of).collect();
    rows.sort();
    methods.sort();
    assert_eq!(rows, methods);
}

/// What a caller may get whether it is let through or not.
const PROVES_NOTHING: [Code; 7] = [
    Code::Unauthenticated,
    Code::InvalidArgument,
    Code::Unavailable,
    Code::Internal,
    Code::Unknown,
    Code::DeadlineExceeded,
    Code::ResourceExhausted,
];

#[tokio::test(flavor = "multi_thread")]
async fn each_role_is_let_through_where_the_table_says_so_and_nowhere_else() {
    let mut keys: Vec<(&str, &str, &[&str])> = ROLES.iter().map(|role| (*role, *role, &[][..])).collect();
    keys.push(("bound", "admin", &["elsewhere/"]));
    let (house, keys) = House::start(&keys).await;
    opened(&house, &keys[5]).await;
    let mut wrong = Vec::new();
    for row in rows() {
        let path = http_path(&row.method);
        let is_offered = !row.method.starts_with("AdminService/") && row.method != "ChargingService/Charge";
        for ((role, key), expected) in ROLES.iter().zip(&keys).zip(&row.cells) {
            let called = house.call(Some(key), &row.method, &row.request).await;
            let code = called.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok);
            if (code != Code::PermissionDenied) != *expected || PROVES_NOTHING.contains(&code) {
                wrong.push(format!("{} as {role}: {called:?}", row.method));
            }
            // A watch has no end.
            if is_offered && row.method != "ChargingService/WatchUsableCredit" {
                let (status, _, body) = house.post(Some(key), &path, &row.request);
                let proves_nothing = [401, 429].contains(&status) || status >= 500;
                if (status != 403) != *expected || proves_nothing || status == 404 && body.contains("UNKNOWN_METHOD") {
                    wrong.push(format!("{path} as {role}: {status} {body}"));
                }
            }
        }
        let called = house.call(None, &row.method, &row.request).await;
        let reason = called.as_ref().err().and_then(|status| status.get_details_error_info()).map(|info| info.reason);
        if reason.as_deref() != Some("CREDENTIALS_REQUIRED") {
            wrong.push(format!("{} without credentials: {called:?}", row.method));
        }
        let (status, head, body) = house.post(None, &path, &row.request);
        if status != 401 || !head.contains("www-authenticate: bearer") || !body.contains("CREDENTIALS_REQUIRED") {
            wrong.push(format!("{path} without credentials: {status} {head} {body}"));
        }
        let called = house.call(Some(&keys[6]), &row.method, &row.request).await;
        let (code, text) = match &called {
            Ok(answer) => (Code::Ok, answer.to_string()),
            Err(status) => (status.code(), status.message().to_owned()),
        };
        let is_right = match row.bound.as_str() {
            "-" => code == Code::PermissionDenied,
            "each" => code == Code::Ok && text.contains("PERMISSION_DENIED"),
            "none" => code == Code::Ok && !text.contains("acme"),
            "no" => code == Code::NotFound && text.starts_with("there is no such "),
            other => panic!("{other}"),
        };
        if !is_right {
            wrong.push(format!("{} as a caller of elsewhere: {called:?}", row.method));
        }
    }
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_presented_lets_in_or_not_and_an_unknown_method_is_told_only_to_whom_is_known() {
    let (house, keys) = House::start(&[("reader", "read", &[]), ("switch", "charge", &[])]).await;
    let look = json!({ "accountId": "acme" });
    let long = "x".repeat(12_000);
    for wrong in ["", "tg_", "tg_AAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "a.b.c", &keys[0][..50], &long] {
        let (status, head, body) = house.post(Some(wrong), "charging/get-usable-credit", &look);
        assert_eq!((status, body.contains("CREDENTIALS_INVALID")), (401, true), "{wrong}: {head} {body}");
    }
    // Nothing of a request is read before its caller is known.
    assert_eq!(house.post(None, "charging/get-usable-credit", &json!("no message")).0, 401);
    assert_eq!(house.post(Some(&keys[1]), "account/top-up", &json!("no message")).0, 403);
    assert_eq!(house.post(Some(&keys[1]), "charging/get-usable-credit", &json!("no message")).0, 400);
    assert_eq!(house.post(None, "charging/nothing", &json!({})).0, 401);
    assert_eq!(house.post(Some(&keys[0]), "charging/nothing", &json!({})).0, 404);
    assert_eq!([None, Some(&keys[1]), Some(&keys[0])].map(|key| house.get(key.map(String::as_str), "openapi.json")), [401, 403, 200]);
    // Health needs no credentials.
    assert!(house.is_healthy().await);
}
