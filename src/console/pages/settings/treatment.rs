//! Whether an organization is charged tax, from a day on, and why not.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::civil::Date;

use super::super::organizations::path_of;
use super::super::you::Done;
use super::{Form, change, taken};
use crate::Console;
use crate::downloads::csv_file;
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields};
use crate::navigation::ORGANIZATIONS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::change::Change;
use billing::document::{Exemption, Relief};
use billing::issuer::{Dated, in_force};
use domain::ids::AccountId;

/// How tax can be treated: the value, and the key of its name.
const TREATMENTS: [(&str, &str, Option<Relief>); 3] = [
    ("taxed", "treatment-taxed", None),
    ("exempt", "treatment-exempt", Some(Relief::Exempt)),
    ("reverse_charge", "treatment-reverse-charge", Some(Relief::ReverseCharge)),
];

/// The most characters of what documents say of it.
const LONGEST_REASON: usize = 300;

#[derive(Template)]
#[template(path = "settings/treatment.html")]
struct TreatmentPage {
    page: Page,
    href: String,
    form: Form,
    may_set: bool,
    versions: Vec<Row>,
    /// What can be chosen: the value, the key of its name, whether it is chosen.
    treatments: Vec<(&'static str, &'static str, bool)>,
    longest: usize,
}

/// A setting from a day on.
struct Row {
    treatment: &'static str,
    reason: String,
    from: String,
    /// Whether it is in force.
    is_current: bool,
}

/// The value and the key of what an exemption is.
fn named(exemption: Option<&Exemption>) -> (&'static str, &'static str) {
    let relief = exemption.map(|exemption| exemption.relief);
    TREATMENTS.iter().find(|(.., one)| *one == relief).map_or(("", ""), |(value, key, _)| (*value, *key))
}

/// Shows what holds, and the form.
pub async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Path(id): Path<AccountId>,
    Query(Done { done }): Query<Done>,
) -> Result<Response, Failure> {
    let form = Form::new(&console);
    page(&console, &visitor, &id, &done, form).await
}

async fn page(console: &Console, visitor: &Visitor, id: &AccountId, done: &str, form: Form) -> Result<Response, Failure> {
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let versions = use_cases.handle(&context, use_cases.exemptions(&context, id)).await?;
    let today: Date = locale.machine_day(use_cases.clock().now()).parse().unwrap_or_default();
    let current = in_force(&versions, today);
    let row = |dated: &Dated<Option<Exemption>>| Row {
        treatment: named(dated.value.as_ref()).1,
        reason: dated.value.as_ref().map(|exemption| exemption.reason.clone()).unwrap_or_default(),
        from: locale.date(dated.valid_from),
        is_current: current.is_some_and(|current| std::ptr::eq(current, &dated.value)),
    };
    let (status, chosen) = (form.status(), form.fields.get("treatment").to_owned());
    let page = render(&TreatmentPage {
        page: Page::new(visitor, ORGANIZATIONS, locale.text("tax-treatment")).after(done),
        href: path_of(id),
        may_set: visitor.may_on(Permission::SetSettings, id),
        versions: versions.iter().rev().map(row).collect(),
        treatments: TREATMENTS.iter().map(|(value, key, _)| (*value, *key, *value == chosen)).collect(),
        longest: LONGEST_REASON,
        form,
    })?;
    Ok(Form::shown(status, page))
}

/// Sends what holds from which day on as CSV.
pub async fn download(State(console): State<Console>, visitor: Visitor, Path(id): Path<AccountId>) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let versions = use_cases.handle(&context, use_cases.exemptions(&context, &id)).await?;
    let rows = versions.into_iter().map(|Dated { valid_from, value }| {
        let treatment = named(value.as_ref()).0.to_owned();
        vec![treatment, valid_from.to_string(), value.map(|exemption| exemption.reason).unwrap_or_default()]
    });
    Ok(csv_file("tax-treatment.csv", &["treatment", "valid_from", "reason"], rows))
}

/// Handles the submitted form.
pub async fn set(State(console): State<Console>, visitor: Visitor, Path(id): Path<AccountId>, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(&console, &visitor, &mut reader);
    let valid_from = reader.optional_day("valid-from");
    let said = reader.short_text("tax-reason", LONGEST_REASON);
    let treatment = TREATMENTS.iter().find(|(value, ..)| *value == fields.get("treatment"));
    match treatment {
        None => reader.refuse("treatment", "wrong-id"),
        Some((.., None)) if !said.is_empty() => reader.refuse("tax-reason", "wrong-taxed-reason"),
        Some((.., Some(_))) if said.is_empty() => reader.refuse("tax-reason", "wrong-missing"),
        Some(_) => {}
    }
    if let Err(wrong) = reader.finish() {
        return page(&console, &visitor, &id, "", Form { wrong, ..Form::of(fields) }).await;
    }
    let relief = treatment.and_then(|(.., relief)| *relief);
    let exemption = relief.map(|relief| Exemption { relief, reason: said });
    let (context, use_cases, asked) = (visitor.context(), &console.use_cases, Change { valid_from, ..asked });
    let result = use_cases.handle(&context, use_cases.set_exemption(&context, &id, exemption.as_ref(), &asked)).await;
    match taken(&visitor, fields, result)? {
        Ok(_) => Ok(Redirect::to(&format!("{}/tax?done=setting", path_of(&id))).into_response()),
        Err(form) => page(&console, &visitor, &id, "", form).await,
    }
}
