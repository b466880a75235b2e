//! The list of documents as a file.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::{PageQuery, Standing, find, page};
use crate::Console;
use crate::downloads::{ROWS_AT_ONCE, csv_list};
use crate::failure::Failure;
use crate::locale::Locale;
use crate::visitor::Visitor;
use billing::{StoredDocument, name_of};
use domain::money::format_units;
use domain::time::UnixMillis;

/// Sends the list as CSV, for machines: amounts with a point, instants in UTC.
pub async fn download(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let header = [
        "id",
        "number",
        "kind",
        "state",
        "account",
        "customer",
        "currency",
        "total",
        "open",
        "tax_contained",
        "period_from",
        "period_to",
        "issued_at",
        "due_at",
        "refers_to",
        "held_reason",
    ];
    if wanted.total(&visitor.locale).is_err() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&console, &visitor, wanted, Vec::new()).await?).into_response());
    }
    let now = console.use_cases.clock().now();
    csv_list(&console, &visitor, "invoices.csv", &header, move |console, visitor, after| {
        let wanted = wanted.clone();
        async move {
            let (page, has_more) = find(&console, &visitor, &wanted, after, ROWS_AT_ONCE).await?;
            let next = page.documents.last().filter(|_| has_more).map(|last| last.id);
            Ok((page.documents.into_iter().map(|stored| record(&visitor.locale, stored, now)).collect(), next))
        }
    })
    .await
}

fn record(locale: &Locale, stored: StoredDocument, now: UnixMillis) -> Vec<String> {
    let state = Standing::of(&stored, now).0.to_owned();
    let document = &stored.document;
    let amount = |units| format_units(units, document.decimals, document.minor_digits);
    let instant = |at: UnixMillis| if at.is_some() { locale.machine(at) } else { String::new() };
    let (total, open, tax) = (amount(document.total), amount(stored.open_amount), amount(document.tax_contained()));
    let (from, to) = (instant(document.period_from), instant(document.period_to));
    let (issued, due) = (instant(document.issued_at), document.due_at.map(instant).unwrap_or_default());
    let kind = document.kind.name().to_owned();
    let (number, account, customer) = (document.number.clone(), document.account.clone(), document.customer.name.clone());
    let (currency, refers_to) = (document.currency.clone(), document.refers_to.clone());
    let id = name_of(stored.id);
    vec![
        id,
        number,
        kind,
        state,
        account.into(),
        customer,
        currency,
        total,
        open,
        tax,
        from,
        to,
        issued,
        due,
        refers_to,
        stored.held_reason,
    ]
}
