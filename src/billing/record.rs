//! A journal entry with its place: what billing reads, and keeps in SQL.

use serde_json::{Value as Json, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::BillingError;
use super::store::rows::{Table, Type, Value};
use crate::store::Columns;
use domain::account::{Currency, NonUsageBilling};
use domain::command::Metadata;
use domain::entry::{Entry, EntryKind, Settings};
use domain::ids::{AccountId, RequestId};
use domain::money::DecimalAmount;
use domain::time::UnixMillis;
use ledger::codec::entry::EntryNumbers;
use ledger::{IdempotencyKey, codec};

/// An entry, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The partition of its account.
    pub partition: u16,
    /// The partition's number of it.
    pub sequence: u64,
    /// The sequence of the account's entry before it; 0 if it is its first. The journal does not say (`None`).
    pub previous: Option<u64>,
    pub entry: Entry,
}

/// The entries' table.
pub const ENTRIES: Table = Table {
    name: "entries",
    columns: &[
        ("partition", Type::Number),
        ("sequence", Type::Number),
        ("account", Type::Text),
        ("account_sequence", Type::Number),
        ("previous", Type::Number),
        ("kind", Type::Number),
        ("time", Type::Number),
        ("mode", Type::Number),
        ("bill", Type::Number),
        ("amount", Type::Number),
        ("balance", Type::Number),
        ("unbilled", Type::Number),
        ("reserved", Type::Number),
        ("detail_1", Type::Number),
        ("detail_2", Type::Number),
        ("original", Type::Number),
        ("credit_rounding", Type::Number),
        ("refunded_of_bill", Type::Number),
        ("category", Type::Number),
        ("item", Type::Text),
        ("description", Type::Text),
        ("quantity", Type::Text),
        ("unit", Type::Text),
        ("occurred_at", Type::Number),
        ("attributes", Type::Text),
        ("request_id", Type::Text),
        ("request_key", Type::Number),
        ("fingerprint", Type::Number),
        ("refers_to", Type::Text),
        ("actor", Type::Text),
        ("on_behalf_of", Type::Text),
        ("reason", Type::Text),
        ("origin", Type::Text),
        ("invoices", Type::Text),
        ("settings", Type::Text),
    ],
    on_conflict: "",
};

/// All columns of an entry, for a SELECT.
pub const COLUMNS: &str = "partition, sequence, account, account_sequence, previous, kind, time, mode, bill, amount, balance, unbilled, reserved, \
                           detail_1, detail_2, original, credit_rounding, refunded_of_bill, category, item, description, quantity, unit, occurred_at, attributes, request_id, \
                           fingerprint, refers_to, actor, on_behalf_of, reason, origin, invoices, settings";

/// A partition's records behind a sequence, in their order, at most `limit`.
pub async fn behind<'e>(
    executor: impl sqlx::Executor<'e, Database = sqlx::Any>,
    partition: u16,
    after: u64,
    count: i64,
) -> Result<Vec<Record>, BillingError> {
    let sql = format!("SELECT {COLUMNS} FROM entries WHERE partition = $1 AND sequence > $2 ORDER BY sequence LIMIT $3");
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(i64::from(partition)).bind(number(after)).bind(count);
    query.fetch_all(executor).await?.iter().map(Record::from_row).collect()
}

/// What an account's request is looked up by; another may have the same.
#[must_use]
pub fn request_key(account: &AccountId, request_id: &RequestId) -> i64 {
    let IdempotencyKey([a, b, c, d, e, f, g, h, ..]) = IdempotencyKey::of(account, request_id);
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Record {
    /// The entry's id in the API: unique in the store, and the same for ever.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-{}", self.partition, self.sequence)
    }

    /// Whether a document may follow from it.
    #[must_use]
    pub fn may_draft(&self) -> bool {
        use EntryKind::{ChargedOwnBill, FinalBilled, PeriodClosed, RefundedBalance};
        matches!(self.entry.kind(), PeriodClosed | FinalBilled | ChargedOwnBill | RefundedBalance)
    }

    /// The record as a row of [`ENTRIES`].
    #[must_use]
    pub fn to_row(&self) -> Vec<Value<'_>> {
        let entry = &self.entry;
        let metadata = &entry.metadata;
        let EntryNumbers { kind, amount, details, given_back } = EntryNumbers::of(&entry.data);
        vec![
            i64::from(self.partition).into(),
            number(self.sequence).into(),
            entry.account.as_str().into(),
            number(entry.account_sequence).into(),
            number(self.previous.unwrap_or(0)).into(),
            (kind as i64).into(),
            entry.time.into(),
            (entry.mode as i64).into(),
            i64::from(entry.bill).into(),
            amount.into(),
            entry.balance.into(),
            entry.unbilled.into(),
            entry.reserved.into(),
            details[0].into(),
            details[1].into(),
            given_back[0].into(),
            given_back[1].into(),
            given_back[2].into(),
            metadata.category.map_or(0, |category| category as i64).into(),
            metadata.item.as_str().into(),
            metadata.description.as_str().into(),
            metadata.quantity.as_str().into(),
            metadata.unit.as_str().into(),
            Value::Optional(metadata.occurred_at.map(UnixMillis::get)),
            json_text(&metadata.attributes, metadata.attributes.is_empty()).into(),
            entry.request_id.as_str().into(),
            request_key(&entry.account, &entry.request_id).into(),
            i64::from_le_bytes(entry.fingerprint).into(),
            entry.refers_to.as_str().into(),
            metadata.actor.as_str().into(),
            metadata.on_behalf_of.as_str().into(),
            metadata.reason.as_str().into(),
            metadata.origin.as_str().into(),
            json_text(&metadata.invoices, metadata.invoices.is_empty()).into(),
            entry.data.settings().map_or_else(String::new, settings_text).into(),
        ]
    }

    /// The record of a row with all [`COLUMNS`].
    pub fn from_row(row: &AnyRow) -> Result<Self, BillingError> {
        let settings: String = row.try_get("settings")?;
        let settings = read_settings(&settings).ok_or_else(|| BillingError::corrupt(format!("settings {settings:?}")))?;
        let mode = coded(row, "mode", codec::mode)?;
        let numbers = EntryNumbers {
            kind: coded(row, "kind", EntryKind::from_number)?,
            amount: row.units("amount")?,
            details: [row.try_get("detail_1")?, row.try_get("detail_2")?],
            given_back: [row.try_get("original")?, row.units("credit_rounding")?.get(), row.units("refunded_of_bill")?.get()],
        };
        Ok(Self {
            partition: narrow(row, "partition")?,
            sequence: narrow(row, "sequence")?,
            previous: Some(narrow(row, "previous")?),
            entry: Entry {
                data: numbers.data(mode, settings).map_err(|error| BillingError::corrupt(format!("{error}: {numbers:?}")))?,
                account: row.account_id("account")?,
                request_id: row.request_id("request_id")?,
                fingerprint: row.try_get::<i64, _>("fingerprint")?.to_le_bytes(),
                account_sequence: narrow(row, "account_sequence")?,
                time: row.instant("time")?,
                mode,
                bill: narrow(row, "bill")?,
                balance: row.units("balance")?,
                unbilled: row.units("unbilled")?,
                reserved: row.units("reserved")?,
                metadata: Metadata {
                    category: match row.try_get::<i64, _>("category")? {
                        0 => None,
                        _ => Some(coded(row, "category", codec::category)?),
                    },
                    item: row.try_get("item")?,
                    description: row.try_get("description")?,
                    quantity: row.try_get("quantity")?,
                    unit: row.try_get("unit")?,
                    occurred_at: row.try_get::<Option<i64>, _>("occurred_at")?.map(UnixMillis::new),
                    attributes: from_json(row, "attributes")?,
                    actor: row.try_get("actor")?,
                    on_behalf_of: row.try_get("on_behalf_of")?,
                    reason: row.try_get("reason")?,
                    origin: row.try_get("origin")?,
                    invoices: from_json(row, "invoices")?,
                },
                refers_to: row.request_id("refers_to")?,
            },
        })
    }
}

/// A number of a column that is never negative.
pub fn narrow<T: TryFrom<i64>>(row: &AnyRow, column: &str) -> Result<T, BillingError> {
    let number: i64 = row.try_get(column)?;
    T::try_from(number).map_err(|_| unknown(column, number))
}

/// A value of a column that is kept by its number.
pub fn coded<T>(row: &AnyRow, column: &str, decode: impl Fn(u8) -> Option<T>) -> Result<T, BillingError> {
    let number: i64 = row.try_get(column)?;
    u8::try_from(number).ok().and_then(decode).ok_or_else(|| unknown(column, number))
}

fn unknown(column: &str, number: i64) -> BillingError {
    BillingError::corrupt(format!("{column} {number}"))
}

/// Sequences stay far below 2^63.
#[must_use]
pub fn number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn json_text(value: &impl serde::Serialize, is_empty: bool) -> String {
    if is_empty { String::new() } else { serde_json::to_string(value).unwrap_or_default() }
}

fn from_json<T: serde::de::DeserializeOwned + Default>(row: &AnyRow, column: &str) -> Result<T, BillingError> {
    let text: String = row.try_get(column)?;
    if text.is_empty() {
        Ok(T::default())
    } else {
        serde_json::from_str(&text).map_err(|_| BillingError::corrupt(format!("{column} {text:?}")))
    }
}

fn settings_text(settings: &Settings) -> String {
    if *settings == Settings::default() {
        return String::new();
    }
    let mut object = serde_json::Map::new();
    if let Some(name) = &settings.name {
        object.insert("name".into(), json!(name));
    }
    if let Some(threshold) = settings.low_credit_threshold {
        object.insert("low_credit_threshold".into(), threshold.map_or(Json::Null, |decimal| json!(decimal.to_string())));
    }
    if let Some(billing) = settings.non_usage_billing {
        object.insert("non_usage_billing".into(), json!(billing as u8));
    }
    if let Some((currency, decimals, minor_digits)) = settings.denomination {
        object.insert("currency".into(), json!(currency.code()));
        object.insert("decimals".into(), json!(decimals));
        object.insert("minor_digits".into(), json!(minor_digits));
    }
    Json::Object(object).to_string()
}

fn read_settings(text: &str) -> Option<Settings> {
    if text.is_empty() {
        return Some(Settings::default());
    }
    let object: serde_json::Map<String, Json> = serde_json::from_str(text).ok()?;
    let small = |name: &str| object.get(name).and_then(Json::as_u64).and_then(|number| u8::try_from(number).ok());
    Some(Settings {
        name: object.get("name").map(|name| name.as_str().map(str::to_owned)).map_or(Some(None), |name| name.map(Some))?,
        low_credit_threshold: match object.get("low_credit_threshold") {
            None => None,
            Some(Json::Null) => Some(None),
            Some(threshold) => Some(Some(DecimalAmount::parse(threshold.as_str()?).ok()?)),
        },
        non_usage_billing: match object.get("non_usage_billing") {
            None => None,
            Some(_) => Some(small("non_usage_billing").and_then(codec::non_usage_billing)?) as Option<NonUsageBilling>,
        },
        denomination: match object.get("currency") {
            None => None,
            Some(currency) => Some((Currency::parse(currency.as_str()?)?, small("decimals")?, small("minor_digits")?)),
        },
    })
}

/// A record with something in each field.
#[cfg(test)]
pub(crate) fn sample_record() -> Record {
    use domain::account::{Category, Mode};
    use domain::entry::{EntryData, Limits};
    use domain::money::Units;

    Record {
        partition: 3,
        sequence: 17,
        previous: Some(5),
        entry: Entry {
            data: EntryData::Created {
                limits: Limits { permanent: Units::new(-12), temporary: Units::new(-1), temporary_until: UnixMillis::new(7) },
                settings: Settings {
                    name: Some("Acme".into()),
                    low_credit_threshold: Some(Some(DecimalAmount::new(15, 1))),
                    non_usage_billing: Some(NonUsageBilling::OneByOne),
                    denomination: Currency::parse("EUR").map(|euros| (euros, 6, 2)),
                },
            },
            account: "acme/7".into(),
            request_id: "r-1".into(),
            fingerprint: [0xff, 1, 2, 3, 4, 5, 6, 0xfe],
            account_sequence: 3,
            time: UnixMillis::new(1_700_000_000_000),
            mode: Mode::Postpaid,
            bill: 9,
            balance: Units::new(-(1 << 51)),
            unbilled: Units::new(1 << 51),
            reserved: Units::new(4),
            metadata: Metadata {
                category: Some(Category::Hardware),
                item: "sms".into(),
                description: "Grüße \"an\" {alle}, \\ NULL".into(),
                quantity: "1.5".into(),
                unit: "message".into(),
                occurred_at: Some(UnixMillis::new(-1)),
                attributes: vec![("b".into(), "1".into()), ("a".into(), "\"".into())],
                actor: "eve".into(),
                on_behalf_of: "alice".into(),
                reason: "goodwill".into(),
                origin: "grpc 192.0.2.7".into(),
                invoices: vec!["INV-1".into(), "INV-2".into()],
            },
            refers_to: "r-0".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, sqlite_url};
    use domain::entry::{EntryData, GivenBack, RefundedTo};
    use domain::money::Units;

    #[tokio::test]
    async fn what_was_stored_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&sqlite_url(&folder.path().join("billing.db"))).await.unwrap();
        let full = sample_record();
        let mut plain = full.clone();
        plain.sequence = 18;
        plain.entry.data = EntryData::Updated { settings: Settings { low_credit_threshold: Some(None), ..Settings::default() } };
        plain.entry.metadata = Metadata::default();
        let given_back =
            GivenBack { original: Some(12), total: Units::new(20), rounding: Units::new(-3), bill: 8, of_bill: Some(Units::new(40)) };
        let refund = EntryData::Refunded { to: RefundedTo::Balance, amount: Units::new(-12), given_back };
        let refund = Record { sequence: 19, entry: Entry { data: refund, ..full.entry.clone() }, ..full.clone() };
        let mut connection = store.pool().acquire().await.unwrap();
        ENTRIES.insert(&mut connection, store.dialect(), [full.to_row(), plain.to_row(), refund.to_row()].into_iter()).await.unwrap();
        let sql = format!("SELECT {COLUMNS} FROM entries ORDER BY partition, sequence");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(store.pool()).await.unwrap();
        let read: Vec<_> = rows.iter().map(|row| Record::from_row(row).unwrap()).collect();
        assert_eq!(read, [full, plain, refund]);
    }
    #[tokio::test]
    async fn what_is_taken_out_of_the_entries_has_a_place_for_each_of_their_columns() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&sqlite_url(&folder.path().join("billing.db"))).await.unwrap();
        let sql = format!("SELECT {COLUMNS} FROM lost_entries");
        assert!(sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(store.pool()).await.unwrap().is_empty());
    }
}
