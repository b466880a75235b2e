//! When documents are issued: at once, after a while, or when somebody has approved them; and what waits.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::super::you::Done;
use super::{Form, Tab, change, tabs_of_service, taken};
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields};
use crate::navigation::ISSUING;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::backlog::WaitsFor;
use billing::issuer::MAIN;
use billing::review::{MOST_HOURS, Review};

#[derive(Template)]
#[template(path = "settings/issuing.html")]
struct Issuing {
    page: Page,
    tabs: Vec<Tab>,
    form: Form,
    may_set: bool,
    /// What waits: the key of why, and how many.
    waiting: Vec<(&'static str, String)>,
    most_hours: u16,
}

/// Shows when documents are issued.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(Done { done }): Query<Done>) -> Result<Response, Failure> {
    let form = Form::new(&console);
    page(&console, &visitor, &done, form, true).await
}

async fn page(console: &Console, visitor: &Visitor, done: &str, form: Form, is_new: bool) -> Result<Response, Failure> {
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let (review, backlog) = use_cases.handle(&context, use_cases.issuing(&context, MAIN)).await?;
    let form = match review {
        _ if !is_new => form,
        Review::AtOnce => form.with("when", "at-once"),
        Review::AfterHours(hours) => form.with("when", "after-hours").with("hours", hours.to_string()),
        Review::OnApproval => form.with("when", "on-approval"),
    };
    let waiting = WaitsFor::ALL.into_iter().map(|why| (key_of(why), backlog.queue(why).count)).chain([("waits-held", backlog.held.count)]);
    let status = form.status();
    let page = render(&Issuing {
        page: Page::new(visitor, super::ISSUER, locale.text("issuing")).after(done),
        tabs: tabs_of_service(ISSUING),
        may_set: visitor.may_everywhere(Permission::SetSettings),
        waiting: waiting.filter(|(_, count)| *count > 0).map(|(key, count)| (key, locale.decimal(&count.to_string()))).collect(),
        most_hours: MOST_HOURS,
        form,
    })?;
    Ok(Form::shown(status, page))
}

/// The key of why drafts wait.
fn key_of(why: WaitsFor) -> &'static str {
    match why {
        WaitsFor::Issuer => "waits-for-issuer",
        WaitsFor::TaxRate => "waits-for-tax-rate",
        WaitsFor::Original => "waits-for-original",
        WaitsFor::Approval => "waits-to-approve",
        WaitsFor::Grace => "waits-for-grace",
        WaitsFor::Turn => "waits-for-turn-only",
    }
}

/// Handles the submitted form.
pub async fn set(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(&console, &visitor, &mut reader);
    let review = match fields.get("when") {
        "at-once" => Review::AtOnce,
        "on-approval" => Review::OnApproval,
        "after-hours" => {
            let hours = reader.optional_number("hours", 1, MOST_HOURS.into());
            if fields.get("hours").is_empty() {
                reader.refuse("hours", "wrong-missing");
            }
            Review::AfterHours(hours.and_then(|hours| hours.try_into().ok()).unwrap_or(1))
        }
        _ => {
            reader.refuse("when", "wrong-none-chosen");
            Review::AtOnce
        }
    };
    if let Err(wrong) = reader.finish() {
        return page(&console, &visitor, "", Form { wrong, ..Form::of(fields) }, false).await;
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let result = use_cases.handle(&context, use_cases.set_issuing(&context, MAIN, review, &asked)).await;
    match taken(&visitor, fields, result)? {
        Ok(_) => Ok(Redirect::to(&format!("{ISSUING}?done=setting")).into_response()),
        Err(form) => page(&console, &visitor, "", form, false).await,
    }
}
