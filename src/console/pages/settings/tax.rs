//! The tax that amounts include, by category, from a day on.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::super::you::Done;
use super::{Form, Tab, change, tabs_of_service, taken};
use crate::Console;
use crate::downloads::csv_file;
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields};
use crate::navigation::TAX;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::change::Change;
use billing::issuer::{CategoryRate, Dated, MAIN};
use billing::tax::TaxRate;
use domain::account::Category;
use jiff::civil::Date;

/// What can be taxed at a rate of its own: the value, and the key of its name.
const CATEGORIES: [(&str, &str, Option<Category>); 5] = [
    ("", "category-all", None),
    ("usage", "category-usage", Some(Category::Usage)),
    ("subscription", "category-subscription", Some(Category::Subscription)),
    ("hardware", "category-hardware", Some(Category::Hardware)),
    ("service", "category-service", Some(Category::Service)),
];

#[derive(Template)]
#[template(path = "settings/tax.html")]
struct TaxPage {
    page: Page,
    tabs: Vec<Tab>,
    form: Form,
    may_set: bool,
    rates: Vec<Row>,
    /// The categories: the value, the key of its name, whether it is chosen.
    categories: Vec<(&'static str, &'static str, bool)>,
}

/// A rate.
struct Row {
    category: &'static str,
    percent: String,
    from: String,
    /// Whether it is in force.
    is_current: bool,
}

/// Shows the rates.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(Done { done }): Query<Done>) -> Result<Response, Failure> {
    let form = Form::new(&console);
    page(&console, &visitor, &done, form).await
}

async fn page(console: &Console, visitor: &Visitor, done: &str, form: Form) -> Result<Response, Failure> {
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let rates = use_cases.handle(&context, use_cases.tax_rates(&context, MAIN)).await?;
    let today: Date = locale.machine_day(use_cases.clock().now()).parse().unwrap_or_default();
    let is_later = |one: &Dated<CategoryRate>, other: &Dated<CategoryRate>| {
        other.value.category == one.value.category && other.valid_from > one.valid_from && other.valid_from <= today
    };
    let row = |dated: &Dated<CategoryRate>| Row {
        category: CATEGORIES.iter().find(|(.., category)| *category == dated.value.category).map_or("", |(_, key, _)| key),
        percent: match dated.value.rate.is_shown() {
            true => format!("{}\u{a0}%", locale.decimal(&dated.value.rate.to_string())),
            false => locale.text("no-tax-shown"),
        },
        from: locale.date(dated.valid_from),
        is_current: dated.valid_from <= today && !rates.iter().any(|other| is_later(dated, other)),
    };
    let (status, chosen) = (form.status(), form.fields.get("category").to_owned());
    let page = render(&TaxPage {
        page: Page::new(visitor, super::ISSUER, locale.text("tax")).after(done),
        tabs: tabs_of_service(TAX),
        may_set: visitor.may_everywhere(Permission::SetSettings),
        rates: rates.iter().rev().map(row).collect(),
        categories: CATEGORIES.iter().map(|(value, key, _)| (*value, *key, *value == chosen)).collect(),
        form,
    })?;
    Ok(Form::shown(status, page))
}

/// Sends the rates as CSV.
pub async fn download(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let rates = use_cases.handle(&context, use_cases.tax_rates(&context, MAIN)).await?;
    let rows = rates.into_iter().map(|Dated { valid_from, value: CategoryRate { category, rate } }| {
        let of = CATEGORIES.iter().find(|(.., one)| *one == category).map_or("", |(value, ..)| *value);
        vec![of.to_owned(), valid_from.to_string(), rate.to_string()]
    });
    Ok(csv_file("tax-rates.csv", &["category", "valid_from", "percent"], rows))
}

/// Handles the submitted form.
pub async fn set(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(&console, &visitor, &mut reader);
    let valid_from = reader.optional_day("valid-from");
    if fields.get("valid-from").is_empty() {
        reader.refuse("valid-from", "wrong-missing");
    }
    let rate = visitor.locale.plain(fields.get("percent")).parse::<TaxRate>().unwrap_or_else(|_| {
        reader.refuse("percent", "wrong-percent");
        TaxRate::default()
    });
    let category = CATEGORIES.iter().find(|(value, ..)| *value == fields.get("category"));
    if category.is_none() {
        reader.refuse("category", "wrong-id");
    }
    if let Err(wrong) = reader.finish() {
        return page(&console, &visitor, "", Form { wrong, ..Form::of(fields) }).await;
    }
    let rate = CategoryRate { category: category.and_then(|(.., category)| *category), rate };
    let (context, use_cases, asked) = (visitor.context(), &console.use_cases, Change { valid_from, ..asked });
    let result = use_cases.handle(&context, use_cases.set_tax_rate(&context, MAIN, rate, &asked)).await;
    match taken(&visitor, fields, result)? {
        Ok(_) => Ok(Redirect::to(&format!("{TAX}?done=setting")).into_response()),
        Err(form) => page(&console, &visitor, "", form).await,
    }
}
