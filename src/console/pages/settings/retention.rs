//! How long audit records, documents and details of entries are kept, and what has gone. Terms are options of the aggregators: what deletes
//! is set by who runs the machines, and by nobody who has only signed in here.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::{Tab, tabs_of_service};
use crate::Console;
use crate::failure::Failure;
use crate::locale::Locale;
use crate::navigation::RETENTION;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use billing::retention::{RetainedKind, RetentionStatus};
use domain::time::UnixMillis;

#[derive(Template)]
#[template(path = "settings/retention.html")]
struct Retention {
    page: Page,
    tabs: Vec<Tab>,
    rows: Vec<Row>,
}

/// A kind of data that is kept for a limited time, as a row.
struct Row {
    what: &'static str,
    option: &'static str,
    term: String,
    /// The key of why nothing goes yet, and until when; empty if it goes.
    waits_for: &'static str,
    waits_until: String,
    before: String,
    dropped: String,
    last: String,
}

/// Shows the terms.
pub async fn show(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let statuses = use_cases.handle(&context, use_cases.retention(&context)).await?;
    let now = use_cases.clock().now();
    let row = |what: RetainedKind| Row::new(locale, what, statuses.iter().find(|status| status.what == what.name()), now);
    render(&Retention {
        page: Page::new(&visitor, super::ISSUER, locale.text("retention")),
        tabs: tabs_of_service(RETENTION),
        rows: RetainedKind::ALL.map(row).into(),
    })
}

impl Row {
    fn new(locale: &Locale, what: RetainedKind, status: Option<&RetentionStatus>, now: UnixMillis) -> Self {
        let (what, option) = match what {
            RetainedKind::AuditRecords => ("retention-audit-records", "--keep-audit-days"),
            RetainedKind::Documents => ("retention-documents", "--keep-documents-years"),
            RetainedKind::EntryDetails => ("retention-entry-details", "--keep-entry-details-days"),
        };
        let waits = status.filter(|status| !status.term.is_empty() && status.waits_until > now);
        Self {
            what,
            option,
            term: term(locale, status.map_or("", |status| &status.term)),
            waits_for: waits.map_or("", |status| match status.waits_for.as_str() {
                "changed" => "retention-waits-changed",
                "disputed" => "retention-waits-disputed",
                _ => "retention-waits-clock",
            }),
            waits_until: waits.map(|status| locale.instant(status.waits_until)).unwrap_or_default(),
            before: status.and_then(|status| status.before).map(|before| locale.day(before)).unwrap_or_default(),
            dropped: locale.decimal(&status.map_or(0, |status| status.dropped).to_string()),
            last: status.and_then(|status| status.last_dropped_at).map(|at| locale.instant(at)).unwrap_or_default(),
        }
    }
}

/// A term such as "8 years" in the reader's language.
fn term(locale: &Locale, term: &str) -> String {
    match term.split_once(' ') {
        Some((count, "day" | "days")) => locale.text_with("retention-days", &[("value", count)]),
        Some((count, "year" | "years")) => locale.text_with("retention-years", &[("value", count)]),
        _ => locale.text("retention-for-ever"),
    }
}
