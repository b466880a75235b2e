//! Who may call: keys and client certificates of the billing store. A key is shown once, and known by its beginning from then on.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::grants::{self, Role};
use super::{Form, Tab, change, tabs_of_access, taken};
use crate::Console;
use crate::downloads::{ROWS_AT_ONCE, csv_list};
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields};
use crate::locale::Locale;
use crate::navigation::{KEYS, USERS};
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use access::file::GrantEntry;
use billing::callers::CallerKind;
use domain::time::UnixMillis;
use platform::clock::system_now;
use service::callers::{Caller, MadeKey, NewCaller};

/// How many rows a page has.
const ROWS: usize = 50;

/// The query string of the page.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PageQuery {
    /// Behind which caller the page begins: its kind and name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    after: String,
    /// The name of the one that is shown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    done: String,
}

#[derive(Template)]
#[template(path = "settings/keys.html")]
struct Keys {
    page: Page,
    tabs: Vec<Tab>,
    form: Form,
    may_manage: bool,
    /// Whether nobody is named yet who may call.
    is_open: bool,
    rows: Vec<Row>,
    next: String,
    roles: Vec<Role>,
}

#[derive(Template)]
#[template(path = "settings/key.html")]
struct OneKey {
    page: Page,
    form: Form,
    row: Row,
    may_revoke: bool,
    particulars: Vec<(&'static str, String)>,
    bounds: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "settings/key_made.html")]
struct KeyMade {
    page: Page,
    href: String,
    /// The key; empty if it was shown before.
    text: String,
}

/// A caller, as a row.
struct Row {
    name: String,
    href: String,
    /// The key of what it is.
    kind: &'static str,
    /// The path of what revokes it.
    revoke: String,
    /// How a key begins; empty of a certificate.
    begins: String,
    roles: String,
    accounts: String,
    state: &'static str,
    colour: &'static str,
    last_used: String,
    /// Whether it is let in.
    is_active: bool,
}

impl Row {
    fn new(visitor: &Visitor, Caller { stored, grant }: &Caller) -> Self {
        let (state, colour) = match (stored.revoked_at.is_some(), stored.expires_at.is_some() && stored.expires_at <= system_now()) {
            (true, _) => ("caller-revoked", "bad"),
            (false, true) => ("caller-expired", "bad"),
            (false, false) => ("caller-active", "good"),
        };
        let (kind, begins) = match stored.kind {
            CallerKind::Key => ("caller-key", format!("tg_{}_…", stored.id)),
            CallerKind::Certificate => ("caller-certificate", String::new()),
        };
        let path = format!("{KEYS}/{}", stored.kind.name());
        let wanted = PageQuery { name: stored.name.clone(), ..PageQuery::default() };
        Self {
            name: stored.name.clone(),
            href: format!("{path}?{}", serde_urlencoded::to_string(wanted).unwrap_or_default()),
            kind,
            revoke: format!("{path}/revoke"),
            begins,
            roles: grant.roles.join(", "),
            accounts: grants::accounts([grant]),
            state,
            colour,
            last_used: instant(visitor, stored.last_used_at),
            is_active: state == "caller-active",
        }
    }
}

fn instant(visitor: &Visitor, at: UnixMillis) -> String {
    if at.is_some() { visitor.locale.instant(at) } else { String::new() }
}

/// Shows who may call.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let form = Form::new(&console).with("kind", "key");
    page(&console, &visitor, &wanted, form).await
}

async fn page(console: &Console, visitor: &Visitor, wanted: &PageQuery, form: Form) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let place = CallerKind::named(&wanted.kind).map(|kind| (kind, wanted.after.clone()));
    let listed = use_cases.handle(&context, use_cases.list_callers(&context, place.as_ref(), ROWS)).await?;
    let next = listed.next.map(|(kind, after)| PageQuery { kind: kind.name().to_owned(), after, ..PageQuery::default() });
    let (status, roles) = (form.status(), grants::roles(&visitor.locale, use_cases.roles(&context)?, &form.fields));
    let page = render(&Keys {
        page: Page::new(visitor, USERS, visitor.locale.text("callers")).after(&wanted.done),
        tabs: tabs_of_access(KEYS),
        may_manage: visitor.may_everywhere(Permission::ManageAccess),
        is_open: use_cases.lets_everybody_call(&context)?,
        rows: listed.callers.iter().map(|caller| Row::new(visitor, caller)).collect(),
        next: next.map(|next| format!("{KEYS}?{}", serde_urlencoded::to_string(next).unwrap_or_default())).unwrap_or_default(),
        roles,
        form,
    })?;
    Ok(Form::shown(status, page))
}

/// Sends who may call as CSV.
pub async fn download(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    let header = ["name", "kind", "roles", "accounts", "created_at", "expires_at", "revoked_at", "last_used_at"];
    csv_list(&console, &visitor, "callers.csv", &header, |console, visitor, after| async move {
        let (context, use_cases) = (visitor.context(), &console.use_cases);
        let listed = use_cases.handle(&context, use_cases.list_callers(&context, after.as_ref(), ROWS_AT_ONCE)).await?;
        Ok((listed.callers.into_iter().map(|caller| record(&visitor.locale, caller)).collect(), listed.next))
    })
    .await
}

fn record(locale: &Locale, Caller { stored, grant }: Caller) -> Vec<String> {
    let machine = |at: UnixMillis| at.known().map_or_else(String::new, |at| locale.machine(at));
    let (roles, accounts, kind) = (grant.roles.join(" "), grants::accounts([&grant]), stored.kind.name().to_owned());
    let [created_at, expires_at, revoked_at, last_used_at] =
        [stored.created_at, stored.expires_at, stored.revoked_at, stored.last_used_at].map(machine);
    vec![stored.name, kind, roles, accounts, created_at, expires_at, revoked_at, last_used_at]
}

/// Creates a key, which is shown once, or admits a certificate.
pub async fn create(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(&console, &visitor, &mut reader);
    let name = reader.short_text("name", 128);
    if name.is_empty() {
        reader.refuse("name", "wrong-missing");
    }
    let kind = CallerKind::named(fields.get("kind"));
    if kind.is_none() {
        reader.refuse("kind", "wrong-none-chosen");
    }
    let expires_at = reader.optional_day("expires").and_then(|day| end_of(&console, day));
    if expires_at.is_some_and(|ends| ends <= system_now()) {
        reader.refuse("expires", "wrong-past");
    }
    let grant = grants::read(&mut reader, &fields, GrantEntry::default());
    let none = PageQuery::default();
    if let Err(wrong) = reader.finish() {
        return page(&console, &visitor, &none, Form { wrong, ..Form::of(fields) }).await;
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let new = NewCaller { name, grant, expires_at };
    let result = match kind {
        Some(CallerKind::Certificate) => {
            let granting = use_cases.grant_certificate(&context, new, &asked);
            use_cases.handle(&context, granting).await.map(|_| None)
        }
        _ => use_cases.handle(&context, use_cases.create_key(&context, new, &asked)).await.map(Some),
    };
    match taken(&visitor, fields, result)? {
        Ok(None) => Ok(Redirect::to(&format!("{KEYS}?done=certificate")).into_response()),
        Ok(Some(MadeKey { caller, text })) => render(&KeyMade {
            page: Page::new(&visitor, USERS, visitor.locale.text_with("key-called", &[("value", &caller.stored.name)])),
            href: Row::new(&visitor, &caller).href,
            text: text.unwrap_or_default(),
        }),
        Err(form) => page(&console, &visitor, &none, form).await,
    }
}

/// The end of a day in the billing time zone.
fn end_of(console: &Console, day: Date) -> Option<UnixMillis> {
    let next = day.tomorrow().ok()?.to_zoned(console.use_cases.clock().zone()).ok()?;
    Some(UnixMillis::new(next.timestamp().as_millisecond()))
}

/// Shows a caller.
pub async fn one(
    State(console): State<Console>,
    visitor: Visitor,
    Path(kind): Path<String>,
    Query(wanted): Query<PageQuery>,
) -> Result<Response, Failure> {
    let form = Form::new(&console);
    caller(&console, &visitor, &kind, &wanted.name, &wanted.done, form).await
}

async fn caller(console: &Console, visitor: &Visitor, kind: &str, name: &str, done: &str, form: Form) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let kind = CallerKind::named(kind).ok_or_else(Failure::not_found)?;
    let found = use_cases.handle(&context, use_cases.caller(&context, kind, name)).await?;
    let (row, stored) = (Row::new(visitor, &found), &found.stored);
    let particulars = [
        ("key-begins", row.begins.clone()),
        ("roles", row.roles.clone()),
        ("accounts", if row.accounts.is_empty() { visitor.locale.text("all-accounts") } else { row.accounts.clone() }),
        ("caller-made", instant(visitor, stored.created_at)),
        ("caller-made-by", stored.created_by.clone()),
        ("caller-expires", instant(visitor, stored.expires_at)),
        ("caller-revoked-at", instant(visitor, stored.revoked_at)),
        ("caller-last-used", row.last_used.clone()),
    ];
    let status = form.status();
    let page = render(&OneKey {
        page: Page::new(visitor, USERS, row.name.clone()).after(done),
        may_revoke: row.is_active && visitor.may_everywhere(Permission::ManageAccess),
        particulars: particulars.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
        bounds: grants::bounds(&visitor.locale, &found.grant),
        row,
        form,
    })?;
    Ok(Form::shown(status, page))
}

/// Revokes a caller.
pub async fn revoke(
    State(console): State<Console>,
    visitor: Visitor,
    Path(kind): Path<String>,
    fields: Fields,
) -> Result<Response, Failure> {
    let named = CallerKind::named(&kind).ok_or_else(Failure::not_found)?;
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(&console, &visitor, &mut reader);
    let name = fields.whole("name").to_owned();
    if let Err(wrong) = reader.finish() {
        return caller(&console, &visitor, &kind, &name, "", Form { wrong, ..Form::of(fields) }).await;
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let result = use_cases.handle(&context, use_cases.revoke_caller(&context, named, &name, &asked)).await;
    match taken(&visitor, fields, result)? {
        Ok(_) => {
            let wanted = PageQuery { name, done: "revoked".to_owned(), ..PageQuery::default() };
            Ok(Redirect::to(&format!("{KEYS}/{kind}?{}", serde_urlencoded::to_string(wanted).unwrap_or_default())).into_response())
        }
        Err(form) => caller(&console, &visitor, &kind, &name, "", form).await,
    }
}
