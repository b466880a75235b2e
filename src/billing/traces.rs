//! From a charge that was traced to the line of the bill that it is in, the document, and its mail.
//!
//! An entry whose call was sampled carries the place of its span. The step that takes it in is linked to it, and keeps it for its line of the
//! bill: one place for each item, the newest. The document is linked to these, and its mail is part of the document's trace.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{AnyConnection, Row};

use crate::record::Record;
use crate::store::Dialect;
use crate::store::rows::{Table, Type, Value};
use crate::{Billing, BillingError};
use domain::entry::Entry;
use domain::ids::AccountId;
use domain::origin::Origin;
use platform::telemetry::traces::{MAX_LINKS, Span, SpanReference, are_exported};

const TRACES: Table = Table {
    name: "traces",
    columns: &[("account", Type::Text), ("bill", Type::Number), ("subject", Type::Text), ("place", Type::Text)],
    on_conflict: "ON CONFLICT (account, bill, subject) DO UPDATE SET place = excluded.place",
};

const OF_ITEMS: Table = Table {
    name: "(SELECT account, bill, place FROM traces WHERE subject LIKE 'item:%') AS of_items",
    columns: &[("account", Type::Text), ("bill", Type::Number)],
    on_conflict: "",
};

/// The place of the span that made an entry, if it was recorded.
fn place_of(entry: &Entry) -> Option<SpanReference> {
    if entry.metadata.origin.is_empty() {
        return None;
    }
    let Origin { trace_id, span_id, .. } = Origin::read(&entry.metadata.origin);
    SpanReference::parse(&format!("{trace_id}-{span_id}"))
}

/// The span of a step, linked to the calls that it takes in; `None` if none of them is traced.
pub(crate) fn of_step(partition: u16, records: &[Record]) -> Option<Span> {
    if !are_exported() {
        return None;
    }
    let places: Vec<SpanReference> = records.iter().filter_map(|record| place_of(&record.entry)).take(MAX_LINKS).collect();
    let span = Span::linked("aggregate", &places)?;
    span.set("tollgate.partition", i64::from(partition));
    span.set("tollgate.batch.size", i64::try_from(records.len()).unwrap_or(i64::MAX));
    Some(span)
}

/// Keeps the places of the charges that were traced, for the lines of their bills.
pub(crate) async fn keep(connection: &mut AnyConnection, dialect: Dialect, records: &[Record]) -> Result<(), BillingError> {
    let mut of_items = BTreeMap::new();
    for Record { entry, .. } in records {
        if let Some(place) = place_of(entry).filter(|_| entry.kind().is_charge()) {
            of_items.insert((entry.account.as_str(), entry.bill, entry.metadata.item.as_str()), place);
        }
    }
    let rows = of_items.into_iter().map(|((account, bill, item), place)| row(account, bill, format!("item:{item}"), place));
    TRACES.insert(connection, dialect, rows).await
}

/// Spans of documents that are being issued.
#[derive(Default)]
pub(crate) struct IssuedSpans {
    spans: Vec<(String, u32, i64, Span)>,
}

impl IssuedSpans {
    /// Begins a span for each of these documents (account, bill, id and kind) whose charges were traced.
    pub async fn begin<'a>(
        connection: &mut AnyConnection,
        dialect: Dialect,
        documents: impl Iterator<Item = (&'a str, u32, i64, &'static str)>,
    ) -> Result<Self, BillingError> {
        if !are_exported() {
            return Ok(Self::default());
        }
        let documents: Vec<_> = documents.collect();
        let bills: BTreeSet<(&str, u32)> = documents.iter().map(|(account, bill, ..)| (*account, *bill)).collect();
        let keys: Vec<_> = bills.into_iter().map(|(account, bill)| vec![account.into(), i64::from(bill).into()]).collect();
        let mut places: HashMap<(String, i64), Vec<SpanReference>> = HashMap::new();
        for row in OF_ITEMS.find(connection, dialect, "*", &keys).await? {
            let place = SpanReference::parse(&row.try_get::<String, _>("place")?);
            places.entry((row.try_get("account")?, row.try_get("bill")?)).or_default().extend(place);
        }
        let spans = documents.into_iter().filter_map(|(account, bill, id, kind)| {
            let span = Span::linked("issue document", places.get(&(account.to_owned(), i64::from(bill)))?)?;
            span.set("tollgate.document.kind", kind);
            Some((account.to_owned(), bill, id, span))
        });
        Ok(Self { spans: spans.collect() })
    }

    /// Keeps where the documents were issued, for their mails.
    pub async fn keep(&self, connection: &mut AnyConnection, dialect: Dialect) -> Result<(), BillingError> {
        let rows = self.spans.iter().map(|(account, bill, id, span)| row(account, *bill, subject(*id), span.place()));
        TRACES.insert(connection, dialect, rows).await
    }
}

impl Billing {
    /// Where a document of an account was issued, if that was traced.
    pub async fn trace_of_document(&self, account: &AccountId, id: i64) -> Result<Option<SpanReference>, BillingError> {
        let query = sqlx::query("SELECT place FROM traces WHERE account = $1 AND subject = $2").bind(account.to_string()).bind(subject(id));
        let row = query.fetch_optional(self.store().pool()).await?;
        let place = row.map(|row| row.try_get::<String, _>(0)).transpose()?;
        Ok(place.as_deref().and_then(SpanReference::parse))
    }
}

fn subject(document: i64) -> String {
    format!("document:{document}")
}

fn row<'a>(account: &'a str, bill: u32, subject: String, place: SpanReference) -> Vec<Value<'a>> {
    vec![account.into(), i64::from(bill).into(), subject.into(), place.to_string().into()]
}
