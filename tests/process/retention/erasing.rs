//! Who erases an account and who drops what is old never wait for each other in PostgreSQL, though both empty the same rows; and what is
//! written of the account meanwhile is erased with it.

use serde_json::json;
use sqlx::{AssertSqlSafe, Row};
use tollgate::billing::change::{Applied, Change};
use tollgate::billing::document::{Exemption, Party, Relief};
use tollgate::billing::erase::Erased;
use tollgate::billing::links::LinkOutcome;
use tollgate::billing::retention::entries::drop_slice;
use tollgate::billing::sending::settings::AccountSending;
use tollgate::billing::{Billing, BillingError, BillingSettings};
use tollgate::domain::origin::Origin;
use tollgate::domain::time::UnixMillis;

use super::{House, billed, done, euros, issues, millis};
use crate::postgres::PostgresServer;
use crate::service::until;
use crate::support::RedisServer;

/// A settled account whose first entry with details lies behind its others, and is waited at by who changes it.
async fn settled(house: &House) -> Billing {
    let service = house.serve_at("2026-06-10T12:00:00Z", &[]);
    issues(&service);
    billed(&service, "gone", "INV-000001").await;
    done(&service, "BillingService/RecordPayment", json!({ "accountId": "gone", "requestId": "pay", "amount": euros("11.90") }));
    let is_paid = async || (house.number("SELECT MAX(open_amount) FROM payables").await? == 0).then_some(());
    until("the invoice is paid", is_paid).await;
    assert!(service.stopped().await.success());
    let billing = Billing::connect_lazily(&house.billing, BillingSettings::default()).unwrap();
    for sql in [
        "UPDATE entries SET reason = reason WHERE request_id = 'usage'",
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$",
        "CREATE TRIGGER waits BEFORE UPDATE ON entries FOR EACH ROW WHEN (OLD.request_id = 'usage') EXECUTE FUNCTION wait()",
    ] {
        sqlx::raw_sql(sql).execute(billing.store().pool()).await.unwrap();
    }
    billing
}

fn change(request_id: &str, at: i64) -> Change {
    Change {
        request_id: request_id.into(),
        actor: "eve".to_owned(),
        on_behalf_of: String::new(),
        reason: "asked for".to_owned(),
        at: UnixMillis::new(at),
        origin: Origin::local(),
        first_sent_at: None,
        valid_from: None,
    }
}

/// Waits until this many sessions wait for a lock.
async fn waiting(billing: &Billing, count: i64) {
    let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("they wait for each other", async || {
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(billing.store().pool()).await.unwrap();
        (row.get::<i64, _>(0) == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_an_account_and_dropping_what_is_old_wait_for_one_another_in_one_order() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let house = House::new(Some(&redis), Some(&postgres));
    let billing = settled(&house).await;
    let partition = house.number("SELECT partition FROM entries WHERE request_id = 'usage'").await.unwrap();
    let mut holding = billing.store().pool().acquire().await.unwrap();
    sqlx::raw_sql("DO $$ BEGIN PERFORM pg_advisory_lock(42); END $$").execute(&mut *holding).await.unwrap();

    let now = millis("2027-06-10T12:00:00Z");
    // A term is known before anything goes by it.
    let known = "INSERT INTO retention (what, term, kept_since, dropped, last_dropped_at) VALUES ('entry_details', '1 day', 0, 0, 0)";
    sqlx::raw_sql(known).execute(billing.store().pool()).await.unwrap();
    let (dropping, erasing) = (billing.clone(), billing.clone());
    let dropped = tokio::spawn(async move { drop_slice(dropping.store(), partition, UnixMillis::new(now), UnixMillis::new(now)).await });
    waiting(&billing, 1).await;
    let change = change("erase", now);
    let erased = tokio::spawn(async move { erasing.erase_account(&"gone".into(), &change).await });
    waiting(&billing, 2).await;
    sqlx::raw_sql("DO $$ BEGIN PERFORM pg_advisory_unlock(42); END $$").execute(&mut *holding).await.unwrap();
    let (dropped, erased) = (dropped.await.unwrap(), erased.await.unwrap());
    assert!(dropped.as_ref().is_ok_and(|count| count.is_some_and(|count| count > 0)), "{dropped:?}");
    assert!(matches!(erased, Ok(Erased::Applied(_))), "{erased:?}");
    assert!(!house.entries_say("to Trillian").await && !house.entries_say("a test").await);
    drop(holding);
    billing.store().close().await;
}

/// What says something of the customer, but for what the journal says.
const WRITTEN: [&str; 5] = ["account_notes", "customers", "exemptions", "account_sending", "document_links"];

/// Has this table say something of the customer.
async fn write(billing: &Billing, table: &str, change: &Change) -> Result<Applied, BillingError> {
    let trillian = || "Trillian".to_owned();
    match table {
        "account_notes" => billing.add_note(&"gone".into(), "Trillian rang", change).await,
        "customers" => billing.set_customer(&"gone".into(), Party { name: trillian(), ..Party::default() }, change).await,
        "exemptions" => {
            let exemption = Exemption { relief: Relief::Exempt, reason: trillian() };
            billing.set_exemption(&"gone".into(), Some(&exemption), change).await
        }
        "document_links" => {
            let made = billing.create_link(&billing.document("INV-000001", None).await?, 9, change).await?;
            Ok(if let LinkOutcome::Done(applied, _) = made { applied } else { panic!("{made:?}") })
        }
        _ => {
            let sending = AccountSending { recipients: vec!["trillian@example.org".to_owned()], ..AccountSending::default() };
            billing.set_account_sending(&"gone".into(), &sending, change).await
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_of_an_account_while_it_is_erased_is_erased_with_it() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let house = House::new(Some(&redis), Some(&postgres));
    let billing = settled(&house).await;
    sqlx::raw_sql("DROP TRIGGER waits ON entries").execute(billing.store().pool()).await.unwrap();
    for table in WRITTEN {
        let sql = format!("CREATE TRIGGER waits AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION wait()");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(billing.store().pool()).await.unwrap();
    }
    let now = millis("2027-06-10T12:00:00Z");
    for table in WRITTEN {
        let mut holding = billing.store().pool().acquire().await.unwrap();
        sqlx::raw_sql("DO $$ BEGIN PERFORM pg_advisory_lock(42); END $$").execute(&mut *holding).await.unwrap();
        let (writing, erasing) = (billing.clone(), billing.clone());
        let written = tokio::spawn(async move { write(&writing, table, &change(table, now)).await });
        waiting(&billing, 1).await;
        let erased = tokio::spawn(async move { erasing.erase_account(&"gone".into(), &change(&format!("erase-{table}"), now)).await });
        waiting(&billing, 2).await;
        sqlx::raw_sql("DO $$ BEGIN PERFORM pg_advisory_unlock(42); END $$").execute(&mut *holding).await.unwrap();
        let (written, erased) = (written.await.unwrap(), erased.await.unwrap());
        assert!(written.is_ok() && matches!(erased, Ok(Erased::Applied(_))), "{written:?} {erased:?}");
    }
    for found in WRITTEN.into_iter().chain(["audit WHERE personal LIKE '%rillian%'"]) {
        let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {found}"));
        let count: i64 = sqlx::query(sql).fetch_one(billing.store().pool()).await.unwrap().get(0);
        assert_eq!(count, 0, "{found}");
    }
    billing.store().close().await;
}
