//! The pages of mail templates: the list, and one of them with its preview.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::super::you::Done;
use super::{Form, Tab, change, tabs_of_service, taken};
use crate::Console;
use crate::downloads::framed;
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields};
use crate::navigation::TEMPLATES;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::document::LANGUAGES;
use billing::rendering::letter::{LetterKind, Written};
use billing::rendering::template::MailTemplate;
use service::error::Error;
use service::papers::File;

/// The list.
#[derive(Template)]
#[template(path = "settings/templates.html")]
struct Templates {
    page: Page,
    tabs: Vec<Tab>,
    rows: Vec<Row>,
}

/// A kind of mail in a language.
struct Row {
    href: String,
    kind: &'static str,
    language: String,
    /// Whether it is not as usual.
    is_own: bool,
    changed: String,
}

#[derive(Template)]
#[template(path = "settings/template.html")]
struct OneTemplate {
    page: Page,
    tabs: Vec<Tab>,
    form: Form,
    may_set: bool,
    href: String,
    is_own: bool,
    /// The names that it may use, as they are written, and an example of each.
    names: Vec<(String, String)>,
    /// When, by whom and why each version was saved.
    versions: Vec<[String; 4]>,
}

/// What a preview shows where there is no page: a text, or what is wrong.
#[derive(Template)]
#[template(path = "settings/template_text.html")]
struct PreviewText {
    language: &'static str,
    title: String,
    text: String,
}

/// The key of the name of a kind.
fn key_of(kind: LetterKind) -> &'static str {
    match kind {
        LetterKind::Invoice => "kind-invoice",
        LetterKind::Statement => "kind-statement",
        LetterKind::CreditNote => "kind-credit-note",
        LetterKind::Receipt => "receipt",
        LetterKind::Reminder => "mail-reminder",
        LetterKind::LowCredit => "mail-low-credit",
    }
}

/// How a language is called by itself.
fn name_of_language(code: &str) -> String {
    crate::texts::Language::named(code)
        .and_then(|language| crate::texts::Language::ALL.into_iter().find(|(one, _)| *one == language))
        .map_or_else(|| code.to_owned(), |(_, name)| name.to_owned())
}

fn address(kind: LetterKind, language: &str) -> String {
    format!("{TEMPLATES}/{}/{language}", kind.name())
}

/// The kind and the language that an address names.
fn named((kind, language): &(String, String)) -> Result<(LetterKind, String), Failure> {
    let kind = LetterKind::of_name(kind).ok_or_else(Failure::not_found)?;
    if !LANGUAGES.contains(&language.as_str()) {
        return Err(Failure::not_found());
    }
    Ok((kind, language.clone()))
}

/// Shows the list.
pub async fn show(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let own = use_cases.handle(&context, use_cases.mail_templates(&context)).await?;
    let mut rows = Vec::new();
    for kind in LetterKind::ALL {
        for language in LANGUAGES {
            let found = own.iter().find(|version| version.kind == *kind && version.language == language);
            rows.push(Row {
                href: address(*kind, language),
                kind: key_of(*kind),
                language: name_of_language(language),
                is_own: found.is_some(),
                changed: found.map(|version| locale.instant(version.changed_at)).unwrap_or_default(),
            });
        }
    }
    render(&Templates { page: Page::new(&visitor, super::ISSUER, locale.text("mail-templates")), tabs: tabs_of_service(TEMPLATES), rows })
}

/// Shows one.
pub async fn one(
    State(console): State<Console>,
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    Query(Done { done }): Query<Done>,
) -> Result<Response, Failure> {
    page(&console, &visitor, named(&place)?, &done, None).await
}

async fn page(
    console: &Console,
    visitor: &Visitor,
    (kind, language): (LetterKind, String),
    done: &str,
    form: Option<Form>,
) -> Result<Response, Failure> {
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let view = use_cases.handle(&context, use_cases.mail_template(&context, kind, &language)).await?;
    let is_own = !view.template.is_usual();
    let form = form.unwrap_or_else(|| {
        let MailTemplate { subject, text, html } = view.template;
        Form::new(console).with("subject", subject).with("text", text).with("html", html)
    });
    let versions = view.versions.iter().map(|version| {
        let what = if version.template.is_usual() { "template-usual" } else { "template-own" };
        [locale.instant(version.changed_at), locale.text(what), version.changed_by.clone(), version.reason.clone()]
    });
    let title = format!("{} ({})", locale.text(key_of(kind)), name_of_language(&language));
    let status = form.status();
    let page = render(&OneTemplate {
        page: Page::new(visitor, super::ISSUER, title).after(done),
        tabs: tabs_of_service(TEMPLATES),
        may_set: visitor.may_everywhere(Permission::SetSettings),
        href: address(kind, &language),
        is_own,
        names: view.names.into_iter().map(|(name, example)| (format!("{{{{ {name} }}}}"), example)).collect(),
        versions: versions.collect(),
        form,
    })?;
    Ok(Form::shown(status, page))
}

/// What is in the form. Browsers end lines with CR LF.
fn read(fields: &Fields) -> MailTemplate {
    let part = |name| fields.get(name).replace("\r\n", "\n");
    MailTemplate { subject: part("subject").trim().to_owned(), text: part("text"), html: part("html") }
}

/// Saves it.
pub async fn set(
    State(console): State<Console>,
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, Failure> {
    let template = read(&fields);
    save(&console, &visitor, named(&place)?, fields, template).await
}

/// Resets a template to the default mail.
pub async fn reset(
    State(console): State<Console>,
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, Failure> {
    save(&console, &visitor, named(&place)?, fields, MailTemplate::default()).await
}

async fn save(
    console: &Console,
    visitor: &Visitor,
    (kind, language): (LetterKind, String),
    fields: Fields,
    template: MailTemplate,
) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(console, visitor, &mut reader);
    if let Err(wrong) = reader.finish() {
        return page(console, visitor, (kind, language), "", Some(Form { wrong, ..Form::of(fields) })).await;
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let result = use_cases.handle(&context, use_cases.set_mail_template(&context, kind, &language, &template, &asked)).await;
    match taken(visitor, fields, result)? {
        Ok(_) => Ok(Redirect::to(&format!("{}?done=template", address(kind, &language))).into_response()),
        Err(form) => page(console, visitor, (kind, language), "", Some(form)).await,
    }
}

/// What the template in force makes of an example.
pub async fn preview_saved(
    State(console): State<Console>,
    visitor: Visitor,
    Path(place): Path<(String, String)>,
) -> Result<Response, Failure> {
    let (kind, language) = named(&place)?;
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let view = use_cases.handle(&context, use_cases.mail_template(&context, kind, &language)).await?;
    preview(&console, &visitor, kind, &language, &view.template, false)
}

/// What the template in the form makes of an example: as a page, or as a text.
pub async fn preview_typed(
    State(console): State<Console>,
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, Failure> {
    let (kind, language) = named(&place)?;
    preview(&console, &visitor, kind, &language, &read(&fields), fields.get("as") == "text")
}

fn preview(
    console: &Console,
    visitor: &Visitor,
    kind: LetterKind,
    language: &str,
    template: &MailTemplate,
    as_text: bool,
) -> Result<Response, Failure> {
    let text_page = |title: String, text: String| PreviewText { language: visitor.locale.language.code(), title, text }.render();
    let content = match console.use_cases.preview_mail_template(&visitor.context(), kind, language, template) {
        Ok(Written { subject, text, .. }) if as_text => text_page(subject, text),
        Ok(Written { html, .. }) => Ok(html),
        Err(error) if error.reason == "INVALID_REQUEST" || !error.violations.is_empty() => {
            text_page(visitor.locale.text("template-broken"), reason(&error))
        }
        Err(error) => return Err(error.into()),
    };
    let content = content.map_err(|error| Failure::of_template(&error))?.into_bytes();
    Ok(framed(File { content_type: "text/html; charset=utf-8", name: "preview.html".to_owned(), content }))
}

fn reason(error: &Error) -> String {
    let violations: Vec<String> = error.violations.iter().map(|violation| violation.rule.clone()).collect();
    if violations.is_empty() { error.text.clone() } else { violations.join("\n") }
}
