//! Who issues documents, from a day on.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::super::you::Done;
use super::{Form, Tab, change, tabs_of_service, taken};
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields};
use crate::navigation::ISSUER;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::change::Change;
use billing::document::{Issuer, Logo};
use billing::issuer::{Dated, MAIN, in_force};

/// The most lines of an address, and of what stands at the end of documents.
const ADDRESS_LINES: usize = 6;
const OTHER_LINES: usize = 8;
const LONGEST_LINE: usize = 200;

#[derive(Template)]
#[template(path = "settings/issuer.html")]
struct IssuerPage {
    page: Page,
    tabs: Vec<Tab>,
    form: Form,
    may_set: bool,
    /// The versions: from which day, the name, the town, whether it is in force.
    versions: Vec<(String, String, String, bool)>,
    /// How large the logo is; empty for none.
    logo: String,
}

/// Shows who issues documents.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(Done { done }): Query<Done>) -> Result<Response, Failure> {
    let form = Form::new(&console);
    page(&console, &visitor, &done, form, true).await
}

async fn page(console: &Console, visitor: &Visitor, done: &str, form: Form, is_new: bool) -> Result<Response, Failure> {
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let versions = use_cases.handle(&context, use_cases.issuer(&context, MAIN)).await?.versions;
    let today = locale.machine_day(use_cases.clock().now());
    let current = today.parse().ok().and_then(|today| in_force(&versions, today));
    let shown = current.or(versions.last().map(|dated| &dated.value)).cloned().unwrap_or_default();
    let logo = shown.logo.as_ref().map(|logo| format!("{} × {}", logo.width, logo.height)).unwrap_or_default();
    let form = if is_new { filled(form, &shown).with("valid-from", today) } else { form };
    let row = |Dated { valid_from, value }: &Dated<Issuer>| {
        (locale.date(*valid_from), value.name.clone(), value.city.clone(), current.is_some_and(|current| std::ptr::eq(current, value)))
    };
    let status = form.status();
    let page = render(&IssuerPage {
        page: Page::new(visitor, ISSUER, locale.text("issuer")).after(done),
        tabs: tabs_of_service(ISSUER),
        may_set: visitor.may_everywhere(Permission::SetSettings),
        versions: versions.iter().map(row).collect(),
        logo,
        form,
    })?;
    Ok(Form::shown(status, page))
}

fn filled(form: Form, issuer: &Issuer) -> Form {
    let fields = [
        ("name", issuer.name.clone()),
        ("address", issuer.address.join("\n")),
        ("postal-code", issuer.postal_code.clone()),
        ("city", issuer.city.clone()),
        ("country", issuer.country.clone()),
        ("tax-id", issuer.tax_id.clone()),
        ("email", issuer.email.clone()),
        ("phone", issuer.phone.clone()),
        ("website", issuer.website.clone()),
        ("payment-lines", issuer.payment.join("\n")),
        ("footer-lines", issuer.footer.join("\n")),
        ("keep-logo", if issuer.logo.is_some() { "yes".to_owned() } else { String::new() }),
    ];
    fields.into_iter().fold(form, |form, (name, value)| form.with(name, value))
}

/// Handles the submitted form.
pub async fn set(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(&console, &visitor, &mut reader);
    let asked = Change { valid_from: reader.optional_day("valid-from"), ..asked };
    let mut issuer = read(&mut reader);
    if let Some(content) = fields.file("logo") {
        match Logo::read(content.to_vec()) {
            Ok(logo) => issuer.logo = Some(logo),
            Err(error) => {
                tracing::info!(%error, "a logo was not taken");
                reader.refuse("logo", "wrong-logo");
            }
        }
    } else if reader.is_ticked("keep-logo") {
        let versions = use_cases.handle(&context, use_cases.issuer(&context, MAIN)).await?.versions;
        let today = visitor.locale.machine_day(use_cases.clock().now()).parse().ok();
        let current = today.and_then(|today| in_force(&versions, today)).or(versions.last().map(|dated| &dated.value));
        issuer.logo = current.and_then(|current| current.logo.clone());
    }
    if let Err(wrong) = reader.finish() {
        return page(&console, &visitor, "", Form { wrong, ..Form::of(fields) }, false).await;
    }
    let result = use_cases.handle(&context, use_cases.set_issuer(&context, MAIN, &issuer, &asked)).await;
    match taken(&visitor, fields, result)? {
        Ok(_) => Ok(Redirect::to(&format!("{ISSUER}?done=setting")).into_response()),
        Err(form) => page(&console, &visitor, "", form, false).await,
    }
}

fn read(reader: &mut FieldReader) -> Issuer {
    reader.text("name");
    let country = reader.short_text("country", 2);
    if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        reader.refuse("country", "wrong-country");
    }
    Issuer {
        name: reader.short_text("name", 200),
        address: reader.lines("address", ADDRESS_LINES, LONGEST_LINE),
        postal_code: reader.short_text("postal-code", 20),
        city: reader.short_text("city", 100),
        country,
        tax_id: reader.short_text("tax-id", 64),
        email: reader.short_text("email", 200),
        phone: reader.short_text("phone", 64),
        website: reader.short_text("website", 200),
        payment: reader.lines("payment-lines", OTHER_LINES, LONGEST_LINE),
        footer: reader.lines("footer-lines", OTHER_LINES, LONGEST_LINE),
        logo: None,
    }
}
