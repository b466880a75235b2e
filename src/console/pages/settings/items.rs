//! Item names by language.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::{Form, Tab, change, tabs_of_service, taken};
use crate::Console;
use crate::downloads::{ROWS_AT_ONCE, csv_list};
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields};
use crate::navigation::ITEMS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::document::LANGUAGES;
use billing::issuer::MAIN;
use billing::items::ItemName;

/// How many rows a page has.
const ROWS: usize = 50;

/// The longest code of an item, and the longest name.
const LONGEST_ITEM: usize = 64;
const LONGEST_NAME: usize = 200;

/// The query string of the page.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PageQuery {
    /// Behind which item and language the page begins.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    after: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    after_language: String,
    /// Which one is in the form.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    item: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    language: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    done: String,
}

#[derive(Template)]
#[template(path = "settings/items.html")]
struct Items {
    page: Page,
    tabs: Vec<Tab>,
    form: Form,
    may_set: bool,
    /// The items: the code, the language's name, what it is called, the address that puts it into the form.
    rows: Vec<(String, String, String, String)>,
    next: String,
    /// The languages: the code, its name, whether it is chosen.
    languages: Vec<(&'static str, String, bool)>,
}

/// Shows the names.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let form = Form::new(&console).with("item", wanted.item.clone()).with("language", wanted.language.clone());
    page(&console, &visitor, &wanted, form).await
}

async fn page(console: &Console, visitor: &Visitor, wanted: &PageQuery, form: Form) -> Result<Response, Failure> {
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let place = Some((wanted.after.clone(), wanted.after_language.clone())).filter(|(item, _)| !item.is_empty());
    let listing = use_cases.list_items(&context, MAIN, place.as_ref(), ROWS);
    let (names, next) = use_cases.handle(&context, listing).await?;
    let called = names.iter().find(|name| name.item == wanted.item && name.language == wanted.language).map(|name| name.name.clone());
    let form = match called.filter(|_| form.fields.get("name").is_empty()) {
        Some(called) => form.with("name", called),
        None => form,
    };
    let language_of = |code: &str| locale.text(&format!("item-language-{}", if code.is_empty() { "any" } else { code }));
    let address = |wanted: &PageQuery| format!("{ITEMS}?{}", serde_urlencoded::to_string(wanted).unwrap_or_default());
    let row = |name: &ItemName| {
        let edit = PageQuery { item: name.item.clone(), language: name.language.clone(), done: String::new(), ..wanted.clone() };
        (name.item.clone(), language_of(&name.language), name.name.clone(), address(&edit))
    };
    let (status, chosen) = (form.status(), form.fields.get("language").to_owned());
    let codes = std::iter::once("").chain(LANGUAGES);
    let page = render(&Items {
        page: Page::new(visitor, super::ISSUER, locale.text("item-names")).after(&wanted.done),
        tabs: tabs_of_service(ITEMS),
        may_set: visitor.may_everywhere(Permission::SetSettings),
        rows: names.iter().map(row).collect(),
        next: next.map(|(after, after_language)| address(&PageQuery { after, after_language, ..PageQuery::default() })).unwrap_or_default(),
        languages: codes.map(|code| (code, language_of(code), code == chosen)).collect(),
        form,
    })?;
    Ok(Form::shown(status, page))
}

/// Sends the names as CSV.
pub async fn download(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    csv_list(&console, &visitor, "items.csv", &["item", "language", "name"], |console, visitor, after| async move {
        let (context, use_cases) = (visitor.context(), &console.use_cases);
        let (names, next) = use_cases.handle(&context, use_cases.list_items(&context, MAIN, after.as_ref(), ROWS_AT_ONCE)).await?;
        Ok((names.into_iter().map(|ItemName { item, language, name }| vec![item, language, name]).collect(), next))
    })
    .await
}

/// Handles the submitted form: sets the name of an item, or removes it.
pub async fn set(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(&console, &visitor, &mut reader);
    let is_deleted = fields.get("what") == "delete";
    let item = reader.short_text("item", LONGEST_ITEM);
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    if item.is_empty() || !item.bytes().all(is_word) {
        reader.refuse("item", "wrong-item");
    }
    let name = reader.short_text("name", LONGEST_NAME);
    if name.is_empty() && !is_deleted {
        reader.refuse("name", "wrong-missing");
    }
    let language = fields.get("language").to_owned();
    if !language.is_empty() && !LANGUAGES.contains(&language.as_str()) {
        reader.refuse("language", "wrong-id");
    }
    let none = PageQuery::default();
    if let Err(wrong) = reader.finish() {
        return page(&console, &visitor, &none, Form { wrong, ..Form::of(fields) }).await;
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let name = ItemName { item, language, name };
    let result = match is_deleted {
        true => use_cases.handle(&context, use_cases.delete_item(&context, MAIN, &name.item, &name.language, &asked)).await,
        false => use_cases.handle(&context, use_cases.set_item(&context, MAIN, &name, &asked)).await,
    };
    match taken(&visitor, fields, result)? {
        Ok(_) => Ok(Redirect::to(&format!("{ITEMS}?done=setting")).into_response()),
        Err(form) => page(&console, &visitor, &none, form).await,
    }
}
