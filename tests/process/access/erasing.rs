//! What is personal of an account is erased on request: from the ledger, the journal and the billing store, but for issued documents; and all
//! is proved as before.

use serde_json::{Value, json};
use sqlx::Row;
use tollgate::billing::{Billing, BillingSettings};

use crate::command::{Operator, call};
use crate::postgres::PostgresServer;
use crate::service::{Service, until};
use crate::support::{RedisServer, temporary_folder};

/// What was known of the customer.
const PERSONAL: [&str; 9] =
    ["Zaphod", "zaphod", "Beeblebrox", "beeblebrox", "Betelgeuse", "ZZ424242", "zz424242", "heart.example", "Trillian"];

/// Does so on the account of the customer.
fn done(service: &Service, method: &str, request_id: &str, more: Value) -> Value {
    let mut request = json!({ "accountId": "acme", "requestId": request_id });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    call(service, method, &request).unwrap_or_else(|error| panic!("{method}: {error}"))
}

fn by(reason: &str) -> Value {
    json!({ "actor": "eve", "reason": reason })
}

/// Opens the account, says much of its customer, bills it, and has it paid.
async fn live(service: &Service) {
    let euros = |amount: &str| json!({ "amount": amount, "currencyCode": "EUR" });
    let of_service = |more: Value| {
        let mut request = json!({ "requestId": more.as_object().unwrap().keys().next(), "operator": by("a test") });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let issuer = json!({ "issuer": { "name": "Nordlicht", "countryCode": "DE" }, "validFrom": "2020-01-01" });
    call(service, "BillingService/SetIssuer", &of_service(issuer)).unwrap();
    let rate = json!({ "rate": { "validFrom": "2020-01-01", "percent": "19" } });
    call(service, "BillingService/SetTaxRate", &of_service(rate)).unwrap();
    let account = json!({ "name": "Zaphod Beeblebrox", "currencyCode": "EUR", "mode": "PAYMENT_MODE_POSTPAID",
        "creditLimit": { "permanent": euros("1000") } });
    done(service, "AccountService/CreateAccount", "create", account);
    let customer =
        json!({ "name": "Zaphod Beeblebrox", "address": ["Betelgeuse 5"], "taxId": "ZZ424242", "email": "zaphod@heart.example" });
    done(service, "BillingService/SetBillingDetails", "details", json!({ "customer": customer, "operator": by("for Zaphod") }));
    let exempt = json!({ "validFrom": "2099-01-01", "treatment": "TAX_TREATMENT_EXEMPT", "reason": "Zaphod is a president" });
    done(service, "BillingService/SetTaxTreatment", "exempt", json!({ "treatment": exempt, "operator": by("a test") }));
    let usage = json!({ "description": "a call to Trillian", "attributes": { "friend": "Trillian" } });
    done(service, "ChargingService/Debit", "usage", json!({ "amount": euros("11.90"), "usage": usage }));
    done(service, "AccountService/AdjustBalance", "up", json!({ "amount": euros("3"), "operator": by("Zaphod was angry") }));
    done(service, "AccountService/AdjustBalance", "down", json!({ "amount": euros("-3"), "operator": by("Zaphod was wrong") }));
    done(service, "AccountService/UpdateAccount", "name", json!({ "name": "Zaphod B. Beeblebrox", "operator": by("as Zaphod asked") }));
    done(service, "AccountService/AddNote", "note", json!({ "text": "Zaphod has two heads", "operator": by("Zaphod rang") }));
    done(service, "ChargingService/Convert", "final", json!({ "mode": "PAYMENT_MODE_PREPAID", "operator": by("Zaphod ends it") }));
    until("the invoice has its number", async || invoice(service).ok()).await;
    let details = json!({ "reference": "Zaphod 42", "remark": "from Betelgeuse" });
    done(service, "BillingService/RecordPayment", "pay", json!({ "amount": euros("11.90"), "details": details }));
    until("the invoice is paid", async || (invoice(service).unwrap()["invoice"]["openAmount"] == "0.00").then_some(())).await;
}

fn invoice(service: &Service) -> Result<Value, String> {
    call(service, "BillingService/GetInvoice", &json!({ "number": "INV-000001" }))
}

/// All that a billing store holds, by table, but for documents and what they are found by.
async fn billed(url: &str) -> Vec<String> {
    let is_document = |text: &String| ["documents", "issued"].iter().any(|name| text.starts_with(name));
    if let Some(path) = url.strip_prefix("sqlite://") {
        return in_file(path).into_iter().filter(|text| !is_document(text)).collect();
    }
    let billing = Billing::connect_lazily(url, BillingSettings::default()).unwrap();
    let pool = billing.store().pool();
    let tables = "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = 'public'";
    let mut all = Vec::new();
    for table in sqlx::query(tables).fetch_all(pool).await.unwrap() {
        let table: String = table.try_get(0).unwrap();
        let sql = format!("SELECT CAST(whole_row AS TEXT) FROM {table} whole_row");
        for row in sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await.unwrap() {
            all.push(format!("{table}: {}", row.try_get::<String, _>(0).unwrap()));
        }
    }
    billing.store().close().await;
    all.retain(|text| !is_document(text));
    all
}

/// All that an SQLite file holds, by table.
fn in_file(path: &str) -> Vec<String> {
    // Of a copy: who serves a ledger has its file to itself.
    let folder = temporary_folder();
    let copy = folder.path().join("copy.db").display().to_string();
    std::fs::copy(path, &copy).unwrap();
    let _ = std::fs::copy(format!("{path}-wal"), format!("{copy}-wal"));
    let file = rusqlite::Connection::open(copy).unwrap();
    let mut tables = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut all = Vec::new();
    for table in tables {
        let mut statement = file.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            all.extend((0..columns).map(|column| match row.get_ref(column).unwrap() {
                rusqlite::types::ValueRef::Blob(bytes) | rusqlite::types::ValueRef::Text(bytes) => {
                    format!("{table}: {}", String::from_utf8_lossy(bytes))
                }
                _ => String::new(),
            }));
        }
    }
    all
}

/// All that a Redis holds.
fn in_redis(redis: &RedisServer) -> Vec<String> {
    let keys = redis.command(&["KEYS", "*"]);
    let read = |key: &str| match redis.command(&["TYPE", key]).trim() {
        "hash" => redis.command(&["HGETALL", key]),
        "zset" => redis.command(&["ZRANGE", key, "0", "-1"]),
        "stream" => redis.command(&["XRANGE", key, "-", "+"]),
        "string" => redis.command(&["GET", key]),
        other => panic!("{key} is a {other}"),
    };
    keys.lines().map(|key| format!("{key}: {}", read(key))).collect()
}

fn name_of(service: &Service, account: &str) -> Value {
    call(service, "AccountService/GetAccount", &json!({ "accountId": account })).unwrap()["account"]["name"].clone()
}

/// What was charged in this month becomes a document at its end, of an account that is closed, too.
async fn what_is_yet_to_be_on_paper_keeps_its_name(service: &Service) {
    let all = |method: &str, request_id: &str, more: Value| {
        let mut request = json!({ "accountId": "brief", "requestId": request_id });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call(service, method, &request)
    };
    let five = json!({ "amount": { "amount": "5", "currencyCode": "EUR" } });
    let account = json!({ "name": "Brief Ltd", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
    all("AccountService/CreateAccount", "create", account).unwrap();
    all("AccountService/TopUp", "top-up", five.clone()).unwrap();
    all("ChargingService/Debit", "usage", five).unwrap();
    all("AccountService/CloseAccount", "close", json!({ "operator": by("left") })).unwrap();
    let refused = all("AccountService/EraseAccount", "erase", json!({ "operator": by("on request") })).unwrap_err();
    assert!(refused.contains("ACCOUNT_NOT_SETTLED"), "{refused}");
    assert_eq!(name_of(service, "brief"), "Brief Ltd");
}

fn personal(all: &[String]) -> Vec<&String> {
    all.iter().filter(|text| PERSONAL.iter().any(|word| text.contains(word))).collect()
}

async fn erases(arguments: &[&str], billing: &str, ledger: impl Fn() -> Vec<String>) {
    let service = Service::open(&[arguments, &["--create", "--aggregate"]].concat(), &[]);
    live(&service).await;
    let erase = json!({ "accountId": "acme", "requestId": "erase", "operator": by("on request") });
    let refused = call(&service, "AccountService/EraseAccount", &erase).unwrap_err();
    assert!(refused.contains("ACCOUNT_NOT_CLOSED"), "{refused}");
    done(&service, "AccountService/CloseAccount", "close", json!({ "operator": by("Zaphod has gone") }));
    until("all of it is billed", async || {
        let found = billed(billing).await;
        (found.iter().filter(|text| text.starts_with("audit:")).any(|text| text.contains("account.closed"))).then_some(())
    })
    .await;
    let (before, kept) = (billed(billing).await, ledger());
    for word in ["Zaphod B. Beeblebrox", "Betelgeuse", "Trillian", "ZZ424242", "Zaphod was angry", "Zaphod 42"] {
        assert!(before.iter().any(|text| text.contains(word)), "{word}");
    }
    assert!(!personal(&kept).is_empty());

    // An invoice that is open again needs to know whom it is for.
    let store = Billing::connect_lazily(billing, BillingSettings::default()).unwrap();
    let open = async |amount: i64| {
        sqlx::query("UPDATE payables SET open_amount = $1").bind(amount).execute(store.store().pool()).await.unwrap();
    };
    open(1).await;
    let refused = call(&service, "AccountService/EraseAccount", &erase).unwrap_err();
    assert!(refused.contains("ACCOUNT_NOT_SETTLED"), "{refused}");
    assert_eq!(name_of(&service, "acme"), "Zaphod B. Beeblebrox", "what is refused leaves nothing changed");
    open(0).await;
    what_is_yet_to_be_on_paper_keeps_its_name(&service).await;
    store.store().close().await;

    let erased = Operator::of(&service).run_words(&[
        "account",
        "erase",
        "acme",
        "--request-id",
        "erase",
        "--actor",
        "eve",
        "--reason",
        "on request",
    ]);
    assert!(erased.status.success() && erased.output.contains("Erased."), "{erased:?}");
    let (after, kept) = (billed(billing).await, ledger());
    assert!(personal(&after).is_empty(), "{:#?}", personal(&after));
    assert!(personal(&kept).is_empty(), "{:#?}", personal(&kept));
    let again = call(&service, "AccountService/EraseAccount", &erase).unwrap();
    assert_eq!(again["replayed"], true, "{again}");

    // Money, documents and proofs are whole.
    let account = call(&service, "AccountService/GetAccount", &json!({ "accountId": "acme" })).unwrap();
    assert_eq!([&account["account"]["name"], &account["account"]["credit"]["status"]], ["erased", "ACCOUNT_STATUS_CLOSED"], "{account}");
    let found = invoice(&service).unwrap();
    assert_eq!(
        (&found["invoice"]["customer"]["name"], &found["invoice"]["state"]),
        (&json!("Zaphod Beeblebrox"), &json!("INVOICE_STATE_ISSUED"))
    );
    let entries = call(&service, "AccountService/ListEntries", &json!({ "accountId": "acme", "pageSize": 100 })).unwrap();
    let usage = entries["entries"].as_array().unwrap().iter().find(|entry| entry["requestId"] == "usage").unwrap().clone();
    assert!(usage.to_string().contains("11.90") && !usage.to_string().contains("Trillian"), "{usage}");
    // It was never open meanwhile: nobody could charge it.
    assert!(!entries.to_string().contains("ENTRY_KIND_REOPENED"), "{entries}");
    let records = call(&service, "AuditService/ListAuditRecords", &json!({ "action": "account.erased" })).unwrap();
    assert_eq!(records["records"].as_array().map(Vec::len), Some(1), "{records}");
    assert!(records.to_string().contains("on request"), "{records}");
    assert!(service.stopped().await.success());
    let verified = Operator::nowhere().run_words(&[&["verify"], arguments].concat());
    assert!(verified.status.success() && verified.output.contains("all agree"), "{verified:?}");
    assert!(verified.output.contains("audit records, names, addresses and reasons were erased"), "{verified:?}");
    let reconciled = Operator::nowhere().run_words(&[&["reconcile"], arguments].concat());
    assert!(reconciled.status.success() && reconciled.output.contains("nothing differs"), "{reconciled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_erased_from_files_and_all_is_proved_as_before() {
    let folder = temporary_folder();
    let [store, file] = ["ledger.db", "billing.db"].map(|name| folder.path().join(name).display().to_string());
    let billing = format!("sqlite://{file}");
    erases(&["--store", &store, "--billing", &billing], &billing, || in_file(&store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_erased_from_redis_and_postgresql_and_all_is_proved_as_before() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let (url, billing) = (redis.url(), postgres.database());
    erases(&["--redis", &url, "--billing", &billing], &billing, || in_redis(&redis)).await;
}
