//! Finance › Bulk convert: many organizations are chosen by a list or by how their names begin; what would become of each is shown first,
//! then it is done, and can be stopped and gone on with.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;

use super::organizations::path_of;
use crate::Console;
use crate::batches::{Batch, BatchPlan, Chosen, MOST_CONVERTED, Progress};
use crate::downloads::csv_file;
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields, Sign};
use crate::locale::Locale;
use crate::navigation::CONVERSIONS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use crate::waiting::path_of_waiting;
use domain::account::{Currency, Mode};
use domain::money::DecimalAmount;
use service::conversions::{Conversion, ConvertedAccount, Limit};
use service::credit::Unit;
use service::error::Error;

/// How many rows are shown; the file has all.
const SHOWN: usize = 200;

/// The form, and what was begun.
#[derive(Template)]
#[template(path = "conversions.html")]
struct Conversions {
    page: Page,
    fields: Fields,
    wrong: Vec<FieldError>,
    /// Those under way and over: address, when, the key of the mode, the key of the state.
    begun: Vec<(String, String, &'static str, &'static str)>,
}

/// One of them.
#[derive(Template)]
#[template(path = "conversion.html")]
struct OneConversion {
    page: Page,
    href: String,
    /// The key of its state.
    state: &'static str,
    is_running: bool,
    is_over: bool,
    is_dry: bool,
    /// Whether there are more organizations than one may be of, and how many that are.
    is_too_large: bool,
    most: String,
    problem: String,
    done: usize,
    done_text: String,
    total: usize,
    total_text: String,
    /// The key of a result, and the number of organizations with it.
    counts: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    has_more: bool,
}

/// The result for an organization.
struct Row {
    id: String,
    href: String,
    state: &'static str,
    colour: &'static str,
    before: String,
    after: String,
    is_less: bool,
    text: String,
    /// Where it waits for a second person; empty if it does not.
    waits: String,
}

impl Row {
    fn new(locale: &Locale, converted: &ConvertedAccount) -> Self {
        let mut row = Self {
            id: converted.id.to_string(),
            href: path_of(&converted.id),
            state: key_of(&converted.conversion),
            colour: "",
            before: String::new(),
            after: String::new(),
            is_less: false,
            text: String::new(),
            waits: String::new(),
        };
        match &converted.conversion {
            Conversion::Done { usable_before, after, now, .. } => {
                let usable = after.usable_credit(*now);
                row.before = locale.money(Unit::of(after), *usable_before);
                row.after = locale.money(Unit::of(after), usable);
                (row.is_less, row.colour) = (usable < *usable_before, "good");
            }
            Conversion::Unchanged { account, now } => row.after = locale.money(Unit::of(account), account.usable_credit(*now)),
            Conversion::Refused(error) => {
                (row.text, row.colour, row.waits) = (locale.refusal(error), "bad", path_of_waiting(error));
            }
        }
        row
    }
}

/// The key of the result for an organization.
fn key_of(conversion: &Conversion) -> &'static str {
    match conversion {
        Conversion::Done { is_mode_changed: true, .. } => "batch-converted",
        Conversion::Done { .. } => "batch-limited",
        Conversion::Unchanged { .. } => "batch-unchanged",
        Conversion::Refused(_) => "batch-refused",
    }
}

/// The key of a state.
fn state_of(progress: &Progress) -> &'static str {
    match (progress.is_running, progress.is_over, progress.is_dry) {
        (true, _, true) => "batch-looking",
        (true, _, false) => "batch-running",
        (false, true, true) => "batch-looked",
        (false, true, false) => "batch-over",
        (false, false, _) => "batch-stopped",
    }
}

/// Shows the form.
pub async fn show(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    let fields = Fields::default().with("request", console.new_request()).with("mode", "postpaid").with("limit-kind", "suggested");
    form(&console, &visitor, fields, Vec::new())
}

fn form(console: &Console, visitor: &Visitor, fields: Fields, wrong: Vec<FieldError>) -> Result<Response, Failure> {
    let (locale, batches) = (&visitor.locale, console.batches.of(&visitor.principal.name));
    let begun = batches.iter().map(|batch| {
        let mode = if batch.plan.mode == Mode::Postpaid { "convert-to-postpaid" } else { "convert-to-prepaid" };
        (path_to(&batch.id), locale.instant(batch.began_at), mode, state_of(&batch.progress()))
    });
    let page = Page::new(visitor, CONVERSIONS, locale.text("bulk-convert"));
    render(&Conversions { page, begun: begun.collect(), fields, wrong })
}

fn path_to(id: &str) -> String {
    format!("{CONVERSIONS}/{id}")
}

/// Handles the submitted form, and previews the result for each.
pub async fn begin(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let request = reader.request();
    let mode = if fields.get("mode") == "prepaid" { Mode::Prepaid } else { Mode::Postpaid };
    let limit = match fields.get("limit-kind") {
        "amount" => Some(Limit { amount: reader.amount("limit", Sign::NotNegative), currency: None }),
        _ => None,
    };
    let chosen = chosen(&fields, &mut reader);
    let plan = BatchPlan {
        chosen,
        mode,
        limit,
        is_suggested: fields.get("limit-kind") == "suggested",
        allow_unusable: reader.is_ticked("allow-unusable"),
        reason: reader.text("reason"),
    };
    if let Err(wrong) = reader.finish() {
        let fields = fields.with("file", "");
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, form(&console, &visitor, fields, wrong)?).into_response());
    }
    let now = console.use_cases.clock().now();
    let batch = Batch::new(request.id, visitor.principal.name.clone(), now, plan);
    let batch = console.batches.keep(batch).ok_or_else(|| Error::overloaded("too many conversions are under way"))?;
    batch.run(&console, &visitor, true);
    Ok(Redirect::to(&path_to(&batch.id)).into_response())
}

/// Which organizations are chosen: by a file, a list, or how names begin.
fn chosen(fields: &Fields, reader: &mut FieldReader) -> Chosen {
    let listed = [fields.whole("file"), fields.whole("list")].into_iter().find(|text| !text.trim().is_empty());
    let Some(listed) = listed else {
        let code = fields.get("currency").to_uppercase();
        let currency = Currency::parse(&code);
        if currency.is_none() && !code.is_empty() {
            reader.refuse("currency", "bank-currency");
        }
        let prefix = fields.get("prefix");
        if prefix.is_empty() {
            reader.refuse("list", "wrong-none-chosen");
        }
        return Chosen::Filter(prefix.to_owned(), currency);
    };
    let mut list = Vec::new();
    for line in listed.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (id, limit) = match line.split_once(';').or_else(|| line.split_once(',')) {
            Some((id, limit)) => (id.trim(), limit.trim()),
            None => (line, ""),
        };
        let amount = DecimalAmount::parse(&limit.replace(',', ".")).ok().filter(|amount| !amount.is_negative());
        let is_id = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_id || (amount.is_none() && !limit.is_empty()) || list.len() >= MOST_CONVERTED {
            reader.refuse("list", "wrong-batch-list");
            break;
        }
        list.push((id.into(), amount.map(|amount| Limit { amount, currency: None })));
    }
    Chosen::List(list)
}

fn found(console: &Console, visitor: &Visitor, id: &str) -> Result<Arc<Batch>, Failure> {
    console.batches.find(id, &visitor.principal.name).ok_or_else(Failure::not_found)
}

/// Shows how far it is.
pub async fn one(State(console): State<Console>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Failure> {
    let batch = found(&console, &visitor, &id)?;
    let locale = &visitor.locale;
    let title = if batch.plan.mode == Mode::Postpaid { "convert-to-postpaid" } else { "convert-to-prepaid" };
    let page = Page::new(&visitor, CONVERSIONS, locale.text(title));
    let progress = batch.progress();
    let total = batch.total(&progress);
    let keys = ["batch-converted", "batch-limited", "batch-unchanged", "batch-refused"];
    let counts = keys.into_iter().map(|key| (key, progress.done.iter().filter(|one| key_of(&one.conversion) == key).count()));
    // What was refused is what has to be looked at.
    let is_refused = |one: &&ConvertedAccount| matches!(one.conversion, Conversion::Refused(_));
    let (refused, others): (Vec<_>, Vec<_>) = progress.done.iter().partition(is_refused);
    let rows = refused.into_iter().chain(others).take(SHOWN).map(|one| Row::new(locale, one)).collect();
    render(&OneConversion {
        page,
        href: path_to(&id),
        state: state_of(&progress),
        is_running: progress.is_running,
        is_over: progress.is_over,
        is_dry: progress.is_dry,
        is_too_large: progress.is_too_large,
        most: locale.number(MOST_CONVERTED),
        problem: progress.problem.as_ref().map(|error| locale.refusal(error)).unwrap_or_default(),
        done: progress.done.len(),
        done_text: locale.number(progress.done.len()),
        total: if progress.is_over { progress.done.len() } else { total },
        total_text: locale.number(total),
        counts: counts.filter(|(_, count)| *count > 0).map(|(key, count)| (key, locale.number(count))).collect(),
        rows,
        has_more: progress.done.len() > SHOWN,
    })
}

/// Starts it, goes on with it, or stops it.
pub async fn go(State(console): State<Console>, visitor: Visitor, Path((id, what)): Path<(String, String)>) -> Result<Redirect, Failure> {
    let batch = found(&console, &visitor, &id)?;
    match what.as_str() {
        "run" => batch.run(&console, &visitor, false),
        "resume" => {
            let is_dry = batch.progress().is_dry;
            batch.run(&console, &visitor, is_dry);
        }
        "stop" => batch.stop(),
        _ => return Err(Failure::not_found()),
    }
    Ok(Redirect::to(&path_to(&id)))
}

/// Sends the report as CSV.
pub async fn download(State(console): State<Console>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Failure> {
    let batch = found(&console, &visitor, &id)?;
    let progress = batch.progress();
    let header = ["account", "outcome", "dry_run", "currency", "usable_before", "usable_after", "reason", "text"];
    let rows = progress.done.iter().map(|one| {
        let dry = progress.is_dry.to_string();
        let outcome = key_of(&one.conversion).trim_start_matches("batch-").to_owned();
        let (currency, before, after, reason, text) = match &one.conversion {
            Conversion::Done { usable_before, after, now, .. } => {
                let unit = Unit::of(after);
                let usable = unit.amount(after.usable_credit(*now));
                (unit.currency.code().to_owned(), unit.amount(*usable_before), usable, "", String::new())
            }
            Conversion::Unchanged { account, now } => {
                let unit = Unit::of(account);
                let usable = unit.amount(account.usable_credit(*now));
                (unit.currency.code().to_owned(), usable.clone(), usable, "", String::new())
            }
            Conversion::Refused(error) => (String::new(), String::new(), String::new(), error.reason, visitor.locale.refusal(error)),
        };
        vec![one.id.to_string(), outcome, dry, currency, before, after, reason.to_owned(), text]
    });
    Ok(csv_file("conversion.csv", &header, rows.collect::<Vec<_>>().into_iter()))
}
