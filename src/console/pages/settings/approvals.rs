//! From which figures on an act needs a second person.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::super::approvals::{act_key, plain};
use super::super::you::Done;
use super::{Form, Tab, change, tabs_of_service, taken};
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields, Sign};
use crate::navigation::APPROVAL_FIGURES;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use domain::account::Currency;
use domain::approval::GuardedAct;

#[derive(Template)]
#[template(path = "settings/approvals.html")]
struct Figures {
    page: Page,
    tabs: Vec<Tab>,
    form: Form,
    may_set: bool,
    /// The figures: the key of the act, the currency, the amount.
    figures: Vec<(&'static str, String, String)>,
    /// The acts: the value, the key of its name, whether it is chosen.
    acts: Vec<(&'static str, &'static str, bool)>,
}

/// Shows the figures.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(Done { done }): Query<Done>) -> Result<Response, Failure> {
    let form = Form::new(&console);
    page(&console, &visitor, &done, form).await
}

async fn page(console: &Console, visitor: &Visitor, done: &str, form: Form) -> Result<Response, Failure> {
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let figures = use_cases.handle(&context, use_cases.approval_figures(&context)).await?;
    let shown = figures.iter().map(|figure| (act_key(figure.act), figure.currency.code().to_owned(), plain(locale, figure.above)));
    let (status, chosen) = (form.status(), form.fields.get("act").to_owned());
    let page = render(&Figures {
        page: Page::new(visitor, super::ISSUER, locale.text("approval-figures")).after(done),
        tabs: tabs_of_service(APPROVAL_FIGURES),
        may_set: visitor.may_everywhere(Permission::ManageAccess),
        figures: shown.collect(),
        acts: GuardedAct::ALL.map(|act| (act.name(), act_key(act), act.name() == chosen)).into(),
        form,
    })?;
    Ok(Form::shown(status, page))
}

/// Handles the submitted form.
pub async fn set(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(&console, &visitor, &mut reader);
    let act = GuardedAct::named(fields.get("act"));
    if act.is_none() {
        reader.refuse("act", "wrong-none-chosen");
    }
    let currency = Currency::parse(&fields.get("currency").to_uppercase());
    if currency.is_none() {
        reader.refuse("currency", "bank-currency");
    }
    let is_off = reader.is_ticked("off");
    let above = reader.optional_amount("above", Sign::NotNegative);
    if is_off != fields.get("above").is_empty() {
        reader.refuse("above", "wrong-figure");
    }
    let (act, currency) = match (reader.finish(), act, currency) {
        (Ok(()), Some(act), Some(currency)) => (act, currency),
        (finished, ..) => {
            let wrong = finished.err().unwrap_or_default();
            return page(&console, &visitor, "", Form { wrong, ..Form::of(fields) }).await;
        }
    };
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let setting = use_cases.set_approval_figure(&context, act, currency, above, &asked);
    let result = use_cases.handle(&context, setting).await;
    match taken(&visitor, fields, result)? {
        Ok(_) => Ok(Redirect::to(&format!("{APPROVAL_FIGURES}?done=figure")).into_response()),
        Err(form) => page(&console, &visitor, "", form).await,
    }
}
