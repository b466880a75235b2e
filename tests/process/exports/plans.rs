//! Issue 12, section 4: lists are read along indexes, page by page, however much there is beside.
//!
//! Each list is called as the service calls it, on a store with 100,000 generated documents, after ANALYZE and with the planner's defaults.
//! PostgreSQL tells by auto_explain what it has done; SQLite by EXPLAIN QUERY PLAN of what was sent to it. To add a list, add a row to
//! [`lists`].

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, Executor, Row};
use tollgate::billing::audit::Outcome;
use tollgate::billing::audit::list::AuditFilter;
use tollgate::billing::document::DocumentKind;
use tollgate::billing::payments::PaymentFilter;
use tollgate::billing::store::sqlite_url;
use tollgate::billing::{Billing, BillingSettings, DocumentFilter, DocumentState};
use tollgate::domain::money::DecimalAmount;
use tollgate::domain::time::UnixMillis;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::postgres::PostgresServer;
use crate::support::temporary_folder;

/// How many documents there are. Of each hundred ninety-five are paid; a document has its own account in each tenth case.
const DOCUMENTS: i64 = 100_000;

/// How many rows a page has.
const PAGE: usize = 50;

/// The most rows that any part of a plan may bring, or leave out, for a page.
const MOST_ROWS: i64 = 40 * 50;

/// Tables that may be read as a whole: they are small whatever there is.
const SMALL: [&str; 7] = ["partitions", "former_partitions", "issuers", "migrations", "ledger", "drafts", "issuing"];

/// Tables that grow with the months.
const LARGE: [&str; 10] =
    ["accounts", "allocations", "audit", "credits", "customers", "documents", "dues", "entries", "issued", "payables"];

type Call = fn(Billing) -> BoxFuture<'static, usize>;

/// What a list is called, and the call; each returns how many rows it has found.
fn lists() -> Vec<(&'static str, Call)> {
    fn documents(billing: Billing, filter: DocumentFilter, is_next: bool) -> BoxFuture<'static, usize> {
        async move {
            let first = billing.documents(filter.clone(), None, PAGE).await.unwrap().documents;
            if !is_next {
                return first.len();
            }
            billing.documents(filter, first.last().map(|last| last.id), PAGE).await.unwrap().documents.len()
        }
        .boxed()
    }
    fn with_text(text: &str) -> DocumentFilter {
        DocumentFilter { text: Some(text.into()), ..DocumentFilter::default() }
    }
    fn payments(billing: Billing, filter: PaymentFilter) -> BoxFuture<'static, usize> {
        async move {
            let first = billing.payments(&filter, None, PAGE).await.unwrap();
            let last = first.last().map(|last| (last.received_at, last.entry));
            billing.payments(&filter, last, PAGE).await.unwrap().len()
        }
        .boxed()
    }
    fn audited(billing: Billing, filter: AuditFilter) -> BoxFuture<'static, usize> {
        async move {
            let first = billing.audit_records(&filter, None, PAGE).await.unwrap();
            let last = first.last().map(|last| (last.act.at, last.chain, last.place));
            billing.audit_records(&filter, last, PAGE).await.unwrap().len()
        }
        .boxed()
    }
    vec![
        ("all payments", |billing| payments(billing, PaymentFilter::default())),
        ("payments of some days", |billing| {
            payments(
                billing,
                PaymentFilter {
                    received_from: Some(UnixMillis::new(50_000_000)),
                    received_to: Some(UnixMillis::new(60_000_000)),
                    ..PaymentFilter::default()
                },
            )
        }),
        ("payments by a method", |billing| payments(billing, PaymentFilter { method: Some("cheque".into()), ..PaymentFilter::default() })),
        ("payments that pay no invoice as a whole", |billing| {
            payments(billing, PaymentFilter { unallocated_only: true, ..PaymentFilter::default() })
        }),
        ("payments of an account", |billing| {
            let filter = PaymentFilter { account: Some("account-76".into()), ..PaymentFilter::default() };
            async move { billing.payments(&filter, None, PAGE).await.unwrap().len() }.boxed()
        }),
        ("receivables of an account", |billing| {
            async move { billing.receivables(UnixMillis::new(90_000_000), Some(&"account-22".into()), None, PAGE, None).await.unwrap().0.len() }
                .boxed()
        }),
        ("all documents", |billing| documents(billing, DocumentFilter::default(), false)),
        ("all documents, the next page", |billing| documents(billing, DocumentFilter::default(), true)),
        ("documents of an account", |billing| {
            documents(billing, DocumentFilter { account: Some("account-77".into()), ..DocumentFilter::default() }, false)
        }),
        ("invoices", |billing| documents(billing, DocumentFilter { kind: Some(DocumentKind::Invoice), ..DocumentFilter::default() }, true)),
        ("credit notes", |billing| {
            documents(billing, DocumentFilter { kind: Some(DocumentKind::CreditNote), ..DocumentFilter::default() }, false)
        }),
        ("drafts", |billing| documents(billing, DocumentFilter { state: Some(DocumentState::Draft), ..DocumentFilter::default() }, false)),
        ("held documents", |billing| {
            documents(billing, DocumentFilter { state: Some(DocumentState::Held), ..DocumentFilter::default() }, false)
        }),
        ("issued documents", |billing| {
            documents(billing, DocumentFilter { state: Some(DocumentState::Issued), ..DocumentFilter::default() }, true)
        }),
        ("documents of a total", |billing| {
            documents(billing, DocumentFilter { total: DecimalAmount::parse("77.77").ok(), ..DocumentFilter::default() }, false)
        }),
        ("documents of the total that most come to, the next page", |billing| {
            documents(billing, DocumentFilter { total: DecimalAmount::parse("1").ok(), ..DocumentFilter::default() }, true)
        }),
        ("invoices of a total, due in some days", |billing| {
            let due = Some((UnixMillis::new(50_000_000), UnixMillis::new(60_000_000)));
            documents(billing, DocumentFilter { total: DecimalAmount::parse("77.77").ok(), due, ..DocumentFilter::default() }, false)
        }),
        ("invoices of a total", |billing| {
            let (total, kind) = (DecimalAmount::parse("77.77").ok(), Some(DocumentKind::Invoice));
            documents(billing, DocumentFilter { total, kind, ..DocumentFilter::default() }, false)
        }),
        ("overdue invoices of the total that most come to", |billing| {
            let (total, due) = (DecimalAmount::parse("1").ok(), Some((UnixMillis::NONE, UnixMillis::new(90_000_000))));
            documents(billing, DocumentFilter { total, due, unpaid_only: true, ..DocumentFilter::default() }, true)
        }),
        ("unpaid invoices", |billing| documents(billing, DocumentFilter { unpaid_only: true, ..DocumentFilter::default() }, true)),
        ("documents of some days", |billing| {
            documents(
                billing,
                DocumentFilter { cut: Some((UnixMillis::new(50_000_000), UnixMillis::new(60_000_000))), ..DocumentFilter::default() },
                true,
            )
        }),
        ("invoices due in some days", |billing| {
            documents(
                billing,
                DocumentFilter { due: Some((UnixMillis::new(50_000_000), UnixMillis::new(60_000_000))), ..DocumentFilter::default() },
                true,
            )
        }),
        ("overdue invoices", |billing| {
            documents(
                billing,
                DocumentFilter {
                    due: Some((UnixMillis::NONE, UnixMillis::new(90_000_000))),
                    unpaid_only: true,
                    ..DocumentFilter::default()
                },
                true,
            )
        }),
        ("documents with a part of a number", |billing| documents(billing, with_text("54321"), false)),
        ("documents with a part of a rare name", |billing| documents(billing, with_text("acme compan"), false)),
        ("documents with a common word in the name", |billing| documents(billing, with_text("customer"), true)),
        ("invoices with a common word in the name", |billing| {
            documents(billing, DocumentFilter { kind: Some(DocumentKind::Invoice), ..with_text("ltd customer") }, true)
        }),
        ("unpaid documents with a common word in the name", |billing| {
            documents(billing, DocumentFilter { unpaid_only: true, ..with_text("customer") }, false)
        }),
        ("overdue invoices with a common word in the name", |billing| {
            documents(
                billing,
                DocumentFilter { due: Some((UnixMillis::NONE, UnixMillis::new(90_000_000))), unpaid_only: true, ..with_text("customer") },
                true,
            )
        }),
        ("the open invoices that a bank statement may name", |billing| {
            let numbers: Vec<String> =
                (0..1_000).map(|number| format!("N-{}", if number == 7 { 41 } else { 1_000_000 + number })).collect();
            async move { billing.open_invoices(&numbers.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap().len() }.boxed()
        }),
        ("all audit records", |billing| audited(billing, AuditFilter::default())),
        ("audit records of an account", |billing| {
            audited(billing, AuditFilter { account: Some("account-7".into()), ..AuditFilter::default() })
        }),
        ("audit records of a caller", |billing| audited(billing, AuditFilter { actor: Some("desk-3".into()), ..AuditFilter::default() })),
        ("audit records of an action", |billing| {
            audited(billing, AuditFilter { action: Some("issuer.set".into()), ..AuditFilter::default() })
        }),
        ("refusals", |billing| audited(billing, AuditFilter { outcome: Some(Outcome::Refused), ..AuditFilter::default() })),
        ("audit records of some days", |billing| {
            audited(
                billing,
                AuditFilter { from: Some(UnixMillis::new(50_000_000)), to: Some(UnixMillis::new(60_000_000)), ..AuditFilter::default() },
            )
        }),
        ("receivables", |billing| {
            async move { billing.receivables(UnixMillis::new(90_000_000), None, None, PAGE, None).await.unwrap().0.len() }.boxed()
        }),
        ("receivables, the next page", |billing| {
            async move { billing.receivables(UnixMillis::new(90_000_000), None, Some("account-5"), PAGE, None).await.unwrap().0.len() }
                .boxed()
        }),
        ("receivables of an earlier day", |billing| {
            async move { billing.receivables_as_of(UnixMillis::new(80_000_000), None, None, PAGE, None).await.unwrap().0.len() }.boxed()
        }),
        ("receivables of an account, of an earlier day", |billing| {
            let account = "account-22".into();
            async move { billing.receivables_as_of(UnixMillis::new(80_000_000), Some(&account), None, PAGE, None).await.unwrap().0.len() }
                .boxed()
        }),
    ]
}

const CONTENT: &str = r#"{"kind":"invoice","number":"","cause":"period_end","account":"a","bill":1,"issuer":{"name":"","address":[],"tax_id":""},"customer":{"name":"","address":[],"tax_id":"","email":""},"currency":"EUR","decimals":6,"minor_digits":2,"time_zone":"","period_from":0,"period_to":1,"issued_at":0,"due_at":null,"items":[],"deducted":[],"wallet":null,"items_total":0,"rounding":0,"brought_forward":0,"total":0,"credit_applied":0,"amount_to_pay":0,"refers_to":"","reason":""}"#;

/// Fills a store. Documents are a thousand milliseconds apart.
async fn fill(billing: &Billing) {
    let numbers =
        format!("WITH RECURSIVE numbers (n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < {DOCUMENTS})");
    let frozen = r#"{"issuer":{"name":"","address":[],"tax_id":""},"customer":{"name":"","address":[],"tax_id":"","email":""},"time_zone":"UTC","refers_to":""}"#;
    let kind = "CASE WHEN n % 50 = 0 THEN 'credit_note' WHEN n % 3 = 0 THEN 'statement' ELSE 'invoice' END";
    let statements = [
        "INSERT INTO accounts (account, partition, name, currency, decimals, minor_digits, mode, status, non_usage_billing, permanent_limit, \
         temporary_limit, temporary_until, balance, unbilled, reserved, account_sequence, bill, last_bill, low_credit_threshold, created_at, \
         last_sequence) {numbers} SELECT 'account-' || n, 0, 'Customer ' || n, 'EUR', 6, 2, 2, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, -1, 0, n \
         FROM numbers WHERE n <= 10000",
        "INSERT INTO entries (partition, sequence, account, account_sequence, previous, kind, time, mode, bill, amount, balance, unbilled, \
         reserved, detail_1, detail_2, category, item, description, quantity, unit, attributes, request_id, request_key, fingerprint, \
         refers_to, actor, reason, invoices, settings) {numbers} SELECT 0, n, 'account-' || n, 1, 0, 4, n, 2, 1, 0, 0, 0, 0, 0, 0, 1, '', '', \
         '', '', '', '', n, n, '', '', '', '', '' FROM numbers WHERE n <= 10000",
        "INSERT INTO documents (id, account, bill, kind, cause, cut_at, held_reason, total, amount_to_pay, refers_to, content, summary) \
         {numbers} SELECT n, 'account-' || (n % 10000 + 1), n, {kind}, 'period_end', n * 1000, CASE WHEN n % 20000 = 1 THEN 'wrong' ELSE '' END, \
         CASE n % 9000 WHEN 8 THEN 77770000 ELSE 1000000 END, 1000000, 0, 'never read', '{content}' FROM numbers",
        "INSERT INTO issued (document, number, issued_at, due_at, tax_contained, tax_on_deducted, frozen, folded_name, folded) {numbers} \
         SELECT n, 'N-' || n, n * 1000, CASE WHEN {kind} = 'invoice' THEN n * 1000 + 10000 ELSE 0 END, 0, 0, '{frozen}', \
         CASE n WHEN 55555 THEN 'the acme company' ELSE 'customer ltd' END, \
         'n-' || n || CASE n WHEN 55555 THEN ' the acme company' ELSE ' customer ltd' END FROM numbers WHERE n % 20000 <> 1 AND n < {DOCUMENTS} - 30",
        "INSERT INTO drafts (kind, cut_at, document) {numbers} SELECT {kind}, n * 1000, n FROM numbers WHERE n >= {DOCUMENTS} - 30",
        "INSERT INTO payables (document, account, cut_at, total, open_amount, due_at) {numbers} SELECT n, 'account-' || (n % 10000 + 1), n * 1000, \
         1000000, CASE WHEN n % 20 = 1 THEN 500000 ELSE 0 END, n * 1000 + 10000 FROM numbers WHERE {kind} = 'invoice'",
        "INSERT INTO allocations (account, sequence, credit, document, time, amount) {numbers} SELECT 'account-' || (n % 10000 + 1), n, 1, n, n * 1000, \
         500000 FROM numbers WHERE {kind} = 'invoice'",
        "INSERT INTO dues (account, amount) {numbers} SELECT 'account-' || n, 1 FROM numbers WHERE n <= 10000 AND n % 5 = 0",
        "INSERT INTO set_asides (account, sequence, credit, amount) {numbers} SELECT 'account-' || n, -1, 1, 0 FROM numbers WHERE n <= 10000",
        "INSERT INTO allocations_by_hand (account, number, request_id, content, credit, document, amount, at, actor, reason) {numbers} \
         SELECT 'account-' || n, 1, 'r', '', 1, 0, 0, n, '', '' FROM numbers WHERE n <= 10000",
        "INSERT INTO credits (account, sequence, request_id, time, amount, allocated, reversed, kind, entry, received_at, method) {numbers} \
         SELECT 'account-' || (n % 10000 + 1), n, 'r' || n, n, 1000000, CASE WHEN n % 20 = 1 THEN 500000 ELSE 1000000 END, 0, \
         CASE WHEN n % 4 = 0 THEN 11 WHEN n % 2 = 0 THEN 8 ELSE 23 END, n * 65536, n * 1000, CASE WHEN n % 50 = 1 THEN 'cheque' ELSE 'sepa' END \
         FROM numbers",
        "INSERT INTO audit (chain, place, at, actor, on_behalf_of, action, account, outcome, request_id, sequence, origin, content, personal, \
         salt, personal_digest, digest) {numbers} SELECT n % 4, n, n * 1000, 'desk-' || (n % 500), '', \
         CASE WHEN n % 1000 = 1 THEN 'issuer.set' ELSE 'account.topped_up' END, 'account-' || (n % 500), \
         CASE WHEN n % 900 = 1 THEN 'REFUSED' ELSE 'DONE' END, 'r', 0, '', '', '', '', '', 'd' FROM numbers",
        "ANALYZE",
    ];
    for statement in statements {
        let sql = statement
            .replace("{numbers}", &numbers)
            .replace("{kind}", kind)
            .replace("{content}", CONTENT)
            .replace("{frozen}", frozen)
            .replace("{DOCUMENTS}", &DOCUMENTS.to_string());
        billing.store().pool().execute(AssertSqlSafe(sql)).await.unwrap();
    }
}

/// What is wrong with a plan as PostgreSQL tells it.
fn problem_of(plan: &str) -> Option<String> {
    for line in plan.lines() {
        let table = line.split("Seq Scan on ").nth(1).and_then(|rest| rest.split_whitespace().next());
        if let Some(table) = table.filter(|table| !SMALL.contains(table)) {
            return Some(format!("reads all of {table}"));
        }
        let number = |name: &str| line.split(name).nth(1).and_then(|rest| rest.split([' ', ')']).next()?.parse::<f64>().ok());
        let loops = number("loops=").unwrap_or(1.0);
        let rows = line.split("actual ").nth(1).and_then(|rest| rest.split("rows=").nth(1)?.split(' ').next()?.parse::<f64>().ok());
        let left_out = line.contains("Rows Removed").then(|| line.rsplit(' ').next()?.parse::<f64>().ok()).flatten();
        let most = rows.unwrap_or(0.0).max(left_out.unwrap_or(0.0)) * loops;
        if most > MOST_ROWS as f64 {
            return Some(format!("{most} rows in: {}", line.trim()));
        }
    }
    None
}

async fn problems_on_postgresql(server: &PostgresServer, billing: &Billing) -> Vec<String> {
    let mut problems = Vec::new();
    for (list, call) in lists() {
        let before = server.log().len();
        assert!(call(billing.clone()).await > 0, "{list}: nothing was found");
        let plans = server.log().split_off(before);
        assert!(plans.contains("Query Text"), "{list}: PostgreSQL does not tell how: {plans}");
        if let Some(problem) = problem_of(&plans) {
            problems.push(format!("{list}: {problem}\n{plans}"));
        }
    }
    problems
}

#[tokio::test]
async fn postgresql_reads_lists_along_indexes() {
    let server = PostgresServer::start();
    let url = server.database();
    let billing = Billing::open(&url, BillingSettings::default()).await.unwrap();
    fill(&billing).await;
    let name: String = sqlx::query("SELECT CAST(current_database() AS TEXT)").fetch_one(billing.store().pool()).await.unwrap().get(0);
    for setting in ["session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0", "auto_explain.log_analyze = on"] {
        let sql = format!("ALTER DATABASE \"{name}\" SET {setting}");
        billing.store().pool().execute(AssertSqlSafe(sql)).await.unwrap();
    }
    let billing = Billing::open(&url, BillingSettings::default()).await.unwrap();
    let mut problems = problems_on_postgresql(&server, &billing).await;
    if !problems.is_empty() {
        // Once in a thousand times the sample of ANALYZE has the very number that is looked for, which then passes for a frequent one.
        billing.store().pool().execute("ANALYZE").await.unwrap();
        problems = problems_on_postgresql(&server, &billing).await;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Keeps the statements that sqlx says it has sent, each with the thread that has run it.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<Vec<(String, String)>>>);

impl Statements {
    fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The threads of a store's connections: other tests talk to stores of their own meanwhile.
    async fn threads_of(&self, billing: &Billing) -> HashSet<String> {
        let marker = "SELECT 'which thread runs this'";
        let pool = billing.store().pool();
        let mut connections = Vec::new();
        for _ in 0..pool.options().get_max_connections() {
            let mut connection = pool.acquire().await.unwrap();
            connection.execute(marker).await.unwrap();
            connections.push(connection);
        }
        self.take().into_iter().filter(|(_, sql)| sql.trim() == marker).map(|(thread, _)| thread).collect()
    }
}

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Text(Option<String>, Option<String>);
        impl Visit for Text {
            fn record_str(&mut self, field: &Field, value: &str) {
                match field.name() {
                    "db.statement" if !value.is_empty() => self.0 = Some(value.to_owned()),
                    "summary" => self.1 = Some(value.to_owned()),
                    _ => {}
                }
            }
            fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
        }
        // SQLite's statements are run by threads of their own, one for each connection.
        let thread = std::thread::current();
        let Some(thread) = thread.name().filter(|name| name.starts_with("sqlx-sqlite")) else { return };
        if event.metadata().target().starts_with("sqlx::query") {
            let mut text = Text(None, None);
            event.record(&mut text);
            self.0.lock().unwrap().extend(text.0.or(text.1).map(|sql| (thread.to_owned(), sql)));
        }
    }
}

#[tokio::test]
async fn sqlite_reads_lists_along_indexes() {
    let folder = temporary_folder();
    let billing = Billing::open(&sqlite_url(&folder.path().join("billing.db")), BillingSettings::default()).await.unwrap();
    fill(&billing).await;
    let statements = Statements::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(statements.clone())).unwrap();
    let threads = statements.threads_of(&billing).await;
    assert!(!threads.is_empty(), "sqlx does not tell what it has sent");
    let mut problems = Vec::new();
    for (list, call) in lists() {
        statements.take();
        assert!(call(billing.clone()).await > 0, "{list}: nothing was found");
        let is_read = |sql: &str| sql.trim_start().to_uppercase().starts_with("SELECT");
        let sent = statements.take().into_iter().filter(|(thread, sql)| threads.contains(thread) && is_read(sql)).map(|(_, sql)| sql);
        let sent: Vec<String> = sent.collect();
        assert!(!sent.is_empty(), "{list}: sqlx does not tell what it has sent");
        for sql in sent {
            let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(billing.store().pool()).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get::<String, _>("detail")).collect();
            // What is scanned by another name is a part of the statement that has a LIMIT of its own, or the keys that were given.
            // What a text finds is sorted only if it is little, and so are the documents of a total.
            let is_little = |step: &String| {
                step.starts_with("CO-ROUTINE") || step.starts_with("SCAN issued_parts VIRTUAL TABLE") || step.contains("documents_by_total")
            };
            let is_bounded = plan.iter().any(is_little);
            let reads_all = |step: &&String| LARGE.iter().any(|table| **step == format!("SCAN {table}"));
            let sorts_all = |step: &&String| !is_bounded && step.contains("USE TEMP B-TREE FOR ORDER BY");
            if let Some(step) = plan.iter().find(|step| reads_all(step) || sorts_all(step)) {
                problems.push(format!("{list}: {step}\n{sql}\n{}", plan.join("\n")));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}
