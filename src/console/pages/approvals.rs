//! Acts above a figure: those that wait for a second person, and the results of the others; and one of them, with what approves or rejects
//! it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::invoices::change_of;
use super::organizations::path_of;
use super::you::Done;
use crate::Console;
use crate::downloads::{ROWS_AT_ONCE, csv_list};
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields};
use crate::locale::Locale;
use crate::navigation::APPROVALS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use crate::waiting::{path_of_waiting, path_to};
use access::Permission;
use billing::approvals::{Approval, ApprovalFilter, Party, State as Standing};
use domain::account::{Currency, Mode};
use domain::approval::GuardedAct;
use domain::command::{Action, LimitChange, TemporaryChange, Until};
use domain::ids::AccountId;
use domain::money::DecimalAmount;
use domain::time::UnixMillis;
use service::error::{Error, Kind};

/// How many rows a page has.
const ROWS: usize = 50;

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// The query string of the page.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PageQuery {
    /// "all", or only what waits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    state: String,
    /// The id of an organization.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    account: String,
    /// Before which number the page begins.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    before: String,
}

/// The list.
#[derive(Template)]
#[template(path = "approvals.html")]
struct Approvals {
    page: Page,
    wanted: PageQuery,
    /// The key of a name, the address, whether it is shown.
    states: Vec<(&'static str, String, bool)>,
    rows: Vec<Row>,
    next: String,
    /// The address of the file.
    file: String,
}

/// An act that was asked for, in a row.
struct Row {
    href: String,
    number: String,
    act: &'static str,
    amount: String,
    account: String,
    organization: String,
    asked_by: String,
    asked_at: String,
    ends_at: String,
    state: &'static str,
    colour: &'static str,
}

/// One of them.
#[derive(Template)]
#[template(path = "approval.html")]
struct OneApproval {
    page: Page,
    row: Row,
    request_id: String,
    /// What is to be done: the key of a name, and what it is.
    to_do: Vec<(&'static str, String)>,
    /// Who asked, and who decided: name, when, why.
    asked: Remark,
    decided: Option<Remark>,
    /// Why it could not be done; empty if it was not tried.
    failure: String,
    can_reject: bool,
    can_approve: bool,
    /// Whether it is the visitor's own, which somebody else has to approve.
    is_own: bool,
    fields: Fields,
    wrong: Vec<FieldError>,
    refused: String,
}

/// A request or a decision: who, when, and why.
struct Remark {
    who: String,
    at: String,
    reason: String,
}

impl PageQuery {
    fn address(&self, path: &str) -> String {
        let query = serde_urlencoded::to_string(self).unwrap_or_default();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    fn filter(&self) -> ApprovalFilter {
        let account = Some(self.account.trim().to_owned()).filter(|account| !account.is_empty()).map(AccountId::from);
        ApprovalFilter { is_waiting: self.state != "all", account, scope: None }
    }

    /// Whether anything is left out.
    pub fn is_narrow(&self) -> bool {
        !self.account.trim().is_empty()
    }
}

impl Row {
    fn new(locale: &Locale, approval: &Approval) -> Self {
        let (state, colour) = state(approval.state);
        let amount = amount(approval);
        Self {
            href: path_to(approval.id),
            number: approval.id.to_string(),
            act: act_key(approval.act),
            amount: amount.map_or_else(|| locale.text("approval-all-due"), |amount| money(locale, amount, approval.currency)),
            account: approval.account.to_string(),
            organization: path_of(&approval.account),
            asked_by: who(locale, &approval.asked),
            asked_at: locale.instant(approval.asked.at),
            ends_at: if approval.state == Standing::Waiting { locale.instant(approval.ends_at) } else { String::new() },
            state,
            colour,
        }
    }
}

/// Leads to the act that waits, in place of a form that would ask for it again; `None` if it was refused for another reason.
#[must_use]
pub fn waits(error: &Error) -> Option<Response> {
    let path = path_of_waiting(error);
    if error.reason != "APPROVAL_NEEDED" || path.is_empty() {
        return None;
    }
    error.log();
    Some(Redirect::to(&format!("{path}?done=act-asked")).into_response())
}

/// The key of an act's name.
#[must_use]
pub fn act_key(act: GuardedAct) -> &'static str {
    match act {
        GuardedAct::WriteOff => "act-write-off",
        GuardedAct::Adjust => "act-adjust",
        GuardedAct::RaiseLimit => "approval-raise-limit",
    }
}

fn state(state: Standing) -> (&'static str, &'static str) {
    match state {
        Standing::Waiting => ("approval-waiting", "warn"),
        Standing::Approved => ("approval-approved", "warn"),
        Standing::Done => ("approval-done", "good"),
        Standing::Failed => ("approval-failed", "bad"),
        Standing::Rejected => ("approval-rejected", ""),
        Standing::Expired => ("approval-expired", ""),
    }
}

fn money(locale: &Locale, amount: DecimalAmount, currency: Currency) -> String {
    format!("{}\u{a0}{}", plain(locale, amount), currency.code())
}

/// An amount as it was said: how many decimals its currency has is not known here.
#[must_use]
pub fn plain(locale: &Locale, amount: DecimalAmount) -> String {
    let mut text = amount.to_string();
    if text.split_once('.').is_some_and(|(_, fraction)| fraction.len() == 1) {
        text.push('0');
    }
    locale.decimal(&text)
}

fn who(locale: &Locale, party: &Party) -> String {
    if party.on_behalf_of.is_empty() {
        return party.name.clone();
    }
    locale.text_with("approval-on-behalf", &[("name", &party.name), ("person", &party.on_behalf_of)])
}

/// Shows the list.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let (context, locale) = (visitor.context(), &visitor.locale);
    let filter = wanted.filter();
    let listing = console.use_cases.list_approvals(&context, &filter, wanted.before.parse().ok(), ROWS);
    let found = console.use_cases.handle(&context, listing).await?;
    let at = |state: &str, before: String| PageQuery { state: state.to_owned(), before, ..wanted.clone() }.address(APPROVALS);
    let states = [("approvals-waiting", ""), ("approvals-all", "all")];
    render(&Approvals {
        page: Page::new(&visitor, APPROVALS, locale.text("approvals")),
        states: states.map(|(name, state)| (name, at(state, String::new()), state == wanted.state)).into(),
        rows: found.approvals.iter().map(|approval| Row::new(locale, approval)).collect(),
        next: found.next.map(|before| at(&wanted.state, before.to_string())).unwrap_or_default(),
        file: PageQuery { before: String::new(), ..wanted.clone() }.address(&format!("{APPROVALS}.csv")),
        wanted,
    })
}

/// Sends the list as CSV, for machines.
pub async fn download(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let header = [
        "number",
        "act",
        "account",
        "currency",
        "amount",
        "state",
        "request_id",
        "asked_by",
        "asked_for",
        "asked_at",
        "reason",
        "ends_at",
        "decided_by",
        "decided_at",
        "decided_reason",
        "failure",
    ];
    csv_list(&console, &visitor, "approvals.csv", &header, move |console, visitor, before| {
        let filter = wanted.filter();
        async move {
            let (context, use_cases) = (visitor.context(), &console.use_cases);
            let found = use_cases.handle(&context, use_cases.list_approvals(&context, &filter, before, ROWS_AT_ONCE)).await?;
            Ok((found.approvals.into_iter().map(|approval| record(&visitor.locale, approval)).collect(), found.next))
        }
    })
    .await
}

fn record(locale: &Locale, approval: Approval) -> Vec<String> {
    let instant = |at: UnixMillis| if at.is_some() { locale.machine(at) } else { String::new() };
    let amount = amount(&approval).map(|amount| amount.to_string()).unwrap_or_default();
    let (number, act, state) = (approval.id.to_string(), approval.act.name().to_owned(), approval.state.name().to_owned());
    let (currency, ends_at) = (approval.currency.code().to_owned(), instant(approval.ends_at));
    let Approval { account, request_id, asked, decided, failure, .. } = approval;
    let (asked_at, decided_at) = (instant(asked.at), instant(decided.at));
    let said =
        [number, act, account.into(), currency, amount, state, request_id.into(), asked.name, asked.on_behalf_of, asked_at, asked.reason];
    said.into_iter().chain([ends_at, decided.name, decided_at, decided.reason, failure]).collect()
}

/// How much of it; `None`: all that there is.
fn amount(approval: &Approval) -> Option<DecimalAmount> {
    match approval.action() {
        // An adjustment goes up or down.
        Ok(Action::Adjust { amount }) => Some(amount),
        _ => approval.amount,
    }
}

/// Shows one.
pub async fn one(
    State(console): State<Console>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(Done { done }): Query<Done>,
) -> Result<Response, Failure> {
    let fields = Fields::default().with("request", console.new_request());
    page(&console, &visitor, numbered(&id)?, &done, fields, Vec::new(), String::new()).await
}

fn numbered(id: &str) -> Result<i64, Failure> {
    id.parse().map_err(|_| Failure::not_found())
}

async fn page(
    console: &Console,
    visitor: &Visitor,
    id: i64,
    done: &str,
    fields: Fields,
    wrong: Vec<FieldError>,
    refused: String,
) -> Result<Response, Failure> {
    let (context, locale) = (visitor.context(), &visitor.locale);
    let approval = console.use_cases.handle(&context, console.use_cases.approval(&context, id)).await?;
    let said = |party: &Party| Remark { who: who(locale, party), at: locale.instant(party.at), reason: party.reason.clone() };
    let may_decide = approval.state == Standing::Waiting && visitor.may_on(Permission::ApproveActs, &approval.account);
    let is_own = [&approval.asked.name, &approval.asked.on_behalf_of].contains(&&visitor.principal.name);
    let action = approval.action().map_err(Error::from)?;
    let failure = Some(format!("reason-{}", approval.failure)).filter(|_| !approval.failure.is_empty()).map(|key| {
        let text = locale.text(&key);
        if text == key { approval.failure.clone() } else { text }
    });
    render(&OneApproval {
        page: Page::new(visitor, APPROVALS, locale.text_with("approval-called", &[("value", &id.to_string())])).after(done),
        row: Row::new(locale, &approval),
        request_id: approval.request_id.to_string(),
        to_do: to_do(locale, &action, approval.currency),
        asked: said(&approval.asked),
        decided: (approval.decided.at.is_some()).then(|| said(&approval.decided)),
        failure: failure.unwrap_or_default(),
        can_reject: may_decide,
        can_approve: may_decide && !is_own,
        is_own,
        fields,
        wrong,
        refused,
    })
}

/// What is to be done: the key of a name, and what it is.
fn to_do(locale: &Locale, action: &Action, currency: Currency) -> Vec<(&'static str, String)> {
    let money = |amount| money(locale, amount, currency);
    match action {
        Action::WriteOff { amount } => vec![("amount", amount.map_or_else(|| locale.text("approval-all-due"), money))],
        Action::Adjust { amount } => vec![("amount", money(*amount))],
        Action::SetCreditLimit { limit, .. } => limits(locale, limit, currency),
        Action::Convert { mode, limit, .. } => [vec![converted(locale, *mode)], limits(locale, limit, currency)].concat(),
        Action::Create(create) => {
            let opened = vec![("approval-new-account", create.name.clone()), ("payment-mode", mode(locale, create.mode))];
            [opened, limits(locale, &create.limit, currency)].concat()
        }
        _ => Vec::new(),
    }
}

fn converted(locale: &Locale, to: Mode) -> (&'static str, String) {
    ("approval-converts", mode(locale, to))
}

fn mode(locale: &Locale, mode: Mode) -> String {
    locale.text(match mode {
        Mode::Prepaid => "prepaid",
        Mode::Postpaid => "postpaid",
    })
}

fn limits(locale: &Locale, limit: &LimitChange, currency: Currency) -> Vec<(&'static str, String)> {
    let permanent = limit.permanent.map(|amount| ("permanent-limit", money(locale, amount, currency)));
    let temporary = match limit.temporary {
        TemporaryChange::Keep => None,
        TemporaryChange::Remove => Some(("temporary-limit", locale.text("approval-removed"))),
        TemporaryChange::Set { amount, until } => {
            let (amount, key) = (money(locale, amount, currency), "approval-until");
            let text = match until {
                Until::Instant(at) => locale.text_with(key, &[("amount", &amount), ("until", &locale.instant(at))]),
                Until::After(span) if span % DAY == 0 => {
                    locale.text_with("approval-for-days", &[("amount", &amount), ("days", &(span / DAY).to_string())])
                }
                Until::After(span) => {
                    locale.text_with("approval-for-seconds", &[("amount", &amount), ("seconds", &(span / 1_000).to_string())])
                }
            };
            Some(("temporary-limit", text))
        }
    };
    permanent.into_iter().chain(temporary).collect()
}

pub async fn approve(
    State(console): State<Console>,
    visitor: Visitor,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Failure> {
    let id = numbered(&id)?;
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let (request, reason) = (reader.request(), reader.optional_text("reason"));
    if let Err(wrong) = reader.finish() {
        return again(&console, &visitor, id, fields, wrong).await;
    }
    let (context, change) = (visitor.context(), change_of(&console, &visitor, request, reason));
    let result = console.use_cases.handle(&context, console.use_cases.approve(&context, id, &change)).await;
    decided(&console, &visitor, id, fields, result, "act-approved").await
}

/// Rejects it, for a reason.
pub async fn reject(State(console): State<Console>, visitor: Visitor, Path(id): Path<String>, fields: Fields) -> Result<Response, Failure> {
    let id = numbered(&id)?;
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let (request, reason) = (reader.request(), reader.text("reason"));
    if let Err(wrong) = reader.finish() {
        return again(&console, &visitor, id, fields, wrong).await;
    }
    let (context, change) = (visitor.context(), change_of(&console, &visitor, request, reason));
    let result = console.use_cases.handle(&context, console.use_cases.reject(&context, id, &change)).await;
    decided(&console, &visitor, id, fields, result, "act-rejected").await
}

async fn again(console: &Console, visitor: &Visitor, id: i64, fields: Fields, wrong: Vec<FieldError>) -> Result<Response, Failure> {
    let shown = page(console, visitor, id, "", fields, wrong, String::new()).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response())
}

/// Shows the result; or the page again, with why it was refused.
async fn decided(
    console: &Console,
    visitor: &Visitor,
    id: i64,
    fields: Fields,
    result: Result<(Approval, bool), Error>,
    done: &str,
) -> Result<Response, Failure> {
    match result {
        Ok(_) => Ok(Redirect::to(&format!("{}?done={done}", path_to(id))).into_response()),
        Err(error) if error.leaves_open() || error.kind == Kind::NotFound || error.reason == "PERMISSION_DENIED" => Err(error.into()),
        Err(error) => {
            error.log();
            let refused = visitor.locale.refusal(&error);
            // What was refused for good is not asked for again under the same id.
            let fields = fields.with("request", console.new_request());
            Ok((StatusCode::CONFLICT, page(console, visitor, id, "", fields, Vec::new(), refused).await?).into_response())
        }
    }
}
