//! The audit trail: who did what, whole or of an organization.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::organizations::path_of;
use crate::Console;
use crate::downloads::{ROWS_AT_ONCE, csv_list};
use crate::failure::Failure;
use crate::locale::Locale;
use crate::navigation::AUDIT;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use billing::audit::list::{AuditCursor, AuditFilter};
use billing::audit::{AuditRecord, Outcome};
use domain::ids::AccountId;
use domain::time::UnixMillis;
use jiff::civil::Date;

/// How many rows a page has.
const ROWS: usize = 50;

/// The query string of the page.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PageQuery {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    account: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    actor: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    action: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    outcome: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    from: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    to: String,
    /// Behind which record the page begins: its time, chain and place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<i64>,
}

/// The page.
#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    page: Page,
    wanted: PageQuery,
    rows: Vec<Row>,
    next: String,
    file: String,
}

/// A record.
struct Row {
    at: String,
    machine: String,
    who: String,
    origin: String,
    action: String,
    account: String,
    organization: String,
    /// The key of what came of it, and how that is coloured.
    outcome: &'static str,
    colour: &'static str,
    /// What it says: a name and a value each.
    content: Vec<(String, String)>,
    is_erased: bool,
    place: String,
}

/// The key of an outcome's name.
fn outcome_key(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "audit-done",
        Outcome::Refused => "audit-refused",
        Outcome::Failed => "audit-failed",
    }
}

impl Row {
    fn new(locale: &Locale, record: &AuditRecord) -> Self {
        let act = &record.act;
        let shown = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let content = act.content.iter().chain(&act.personal).filter(|(_, value)| !value.is_null());
        let whom = [&act.actor, &act.on_behalf_of].into_iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>();
        let origin =
            [&act.origin.authenticated_by, &act.origin.protocol, &act.origin.address].into_iter().filter(|text| !text.is_empty()).cloned();
        Self {
            at: locale.instant(act.at),
            machine: locale.machine(act.at),
            who: whom.join(" → "),
            origin: origin.collect::<Vec<_>>().join(" · "),
            action: act.action.clone(),
            account: act.account.to_string(),
            organization: if act.account.is_empty() { String::new() } else { path_of(&act.account) },
            outcome: outcome_key(act.outcome),
            colour: match act.outcome {
                Outcome::Done => "",
                Outcome::Refused => "warn",
                Outcome::Failed => "bad",
            },
            content: content.map(|(name, value)| (name.clone(), shown(value))).collect(),
            is_erased: record.is_erased,
            place: format!("{}-{}", record.chain, record.place),
        }
    }
}

impl PageQuery {
    fn filter(&self, console: &Console) -> AuditFilter {
        let said = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let clock = console.use_cases.clock();
        let day = |text: &str| text.parse::<Date>().ok();
        AuditFilter {
            account: said(&self.account).map(AccountId::from),
            actor: said(&self.actor),
            action: said(&self.action),
            outcome: Outcome::ALL.into_iter().find(|outcome| outcome.name() == self.outcome),
            from: day(&self.from).and_then(|day| clock.start_of_day(day)),
            to: day(&self.to).and_then(|day| day.tomorrow().ok()).and_then(|day| clock.start_of_day(day)),
            scope: None,
        }
    }

    fn after(&self) -> Option<AuditCursor> {
        Some((self.at?, self.chain?, self.place?))
    }

    fn behind(&self, place: Option<AuditCursor>) -> Self {
        Self { at: place.map(|place| place.0), chain: place.map(|place| place.1), place: place.map(|place| place.2), ..self.clone() }
    }

    fn query(&self) -> String {
        serde_urlencoded::to_string(self).unwrap_or_default()
    }

    /// Whether anything is left out.
    pub fn is_narrow(&self) -> bool {
        [&self.account, &self.actor, &self.action, &self.outcome, &self.from, &self.to].iter().any(|text| !text.trim().is_empty())
    }
}

/// Shows the page.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let (context, filter) = (visitor.context(), wanted.filter(&console));
    let listing = console.use_cases.list_audit_records(&context, &filter, wanted.after(), ROWS);
    let found = console.use_cases.handle(&context, listing).await?;
    render(&Audit {
        page: Page::new(&visitor, AUDIT, visitor.locale.text("audit")),
        rows: found.records.iter().map(|record| Row::new(&visitor.locale, record)).collect(),
        next: found.next.map(|place| format!("{AUDIT}?{}", wanted.behind(Some(place)).query())).unwrap_or_default(),
        file: format!("{AUDIT}.csv?{}", wanted.behind(None).query()),
        wanted,
    })
}

/// Sends the list as CSV, for machines.
pub async fn download(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let header = [
        "at",
        "chain",
        "place",
        "actor",
        "on_behalf_of",
        "action",
        "account",
        "outcome",
        "request_id",
        "protocol",
        "address",
        "content",
        "personal",
        "authenticated_by",
    ];
    csv_list(&console, &visitor, "audit.csv", &header, move |console, visitor, after| {
        let filter = wanted.filter(&console);
        async move {
            let (context, use_cases) = (visitor.context(), &console.use_cases);
            let page = use_cases.handle(&context, use_cases.list_audit_records(&context, &filter, after, ROWS_AT_ONCE)).await?;
            Ok((page.records.into_iter().map(|found| record(&visitor.locale, found)).collect(), page.next))
        }
    })
    .await
}

fn record(locale: &Locale, found: AuditRecord) -> Vec<String> {
    let act = found.act;
    let json = |map| serde_json::Value::Object(map).to_string();
    vec![
        locale.machine(act.at),
        found.chain.to_string(),
        found.place.to_string(),
        act.actor,
        act.on_behalf_of,
        act.action,
        act.account.into(),
        act.outcome.name().to_owned(),
        act.request_id.into(),
        act.origin.protocol,
        act.origin.address,
        json(act.content),
        json(act.personal),
        act.origin.authenticated_by,
    ]
}
