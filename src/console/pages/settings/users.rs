//! Who may sign in to the console, and what each may do.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::super::you::Done;
use super::grants::{self, Role};
use super::{Form, Tab, change, tabs_of_access, taken};
use crate::Console;
use crate::downloads::csv_file;
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields};
use crate::navigation::USERS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use access::file::GrantEntry;
use service::users::{LINK_VALIDITY, User};

#[derive(Template)]
#[template(path = "settings/users.html")]
struct Users {
    page: Page,
    tabs: Vec<Tab>,
    form: Form,
    may_manage: bool,
    rows: Vec<Row>,
    roles: Vec<Role>,
}

#[derive(Template)]
#[template(path = "settings/user.html")]
struct OneUser {
    page: Page,
    form: Form,
    row: Row,
    /// Whether the visitor may change something, which nobody may of themselves.
    may_manage: bool,
    is_own: bool,
    roles: Vec<Role>,
    /// The most that the user may do at once.
    bounds: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "settings/invited.html")]
struct Invited {
    page: Page,
    href: String,
    url: String,
    minutes: u64,
}

/// A user, as a row.
struct Row {
    name: String,
    href: String,
    roles: String,
    /// On which accounts; empty for all.
    accounts: String,
    /// The key of the state, and how it is coloured.
    state: &'static str,
    colour: &'static str,
    since: String,
    has_second_factor: bool,
    /// The identity provider where the user signs in; empty for none.
    provider: String,
}

/// The roles of all grants, each once.
fn roles_of(user: &User) -> String {
    let mut roles: Vec<&str> = Vec::new();
    for role in user.access.iter().flat_map(|grant| &grant.roles) {
        if !roles.contains(&role.as_str()) {
            roles.push(role);
        }
    }
    roles.join(", ")
}

fn path_of(name: &str) -> String {
    format!("{USERS}/{name}")
}

impl Row {
    fn new(visitor: &Visitor, user: &User) -> Self {
        let (state, colour) = match (user.is_disabled, user.has_password || !user.issuer.is_empty()) {
            (true, _) => ("user-disabled", "bad"),
            (false, true) => ("user-active", "good"),
            (false, false) => ("user-without-password", "warn"),
        };
        Self {
            name: user.name.clone(),
            href: path_of(&user.name),
            roles: roles_of(user),
            accounts: grants::accounts(&user.access),
            provider: user.issuer.clone(),
            state,
            colour,
            since: visitor.locale.day(user.created_at),
            has_second_factor: user.has_second_factor,
        }
    }
}

/// Shows who may sign in.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(Done { done }): Query<Done>) -> Result<Response, Failure> {
    let form = Form::new(&console);
    page(&console, &visitor, &done, form).await
}

async fn page(console: &Console, visitor: &Visitor, done: &str, form: Form) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let users = use_cases.handle(&context, use_cases.users(&context, &console.users)).await?;
    let (status, roles) = (form.status(), grants::roles(&visitor.locale, use_cases.roles(&context)?, &form.fields));
    let page = render(&Users {
        page: Page::new(visitor, USERS, visitor.locale.text("users")).after(done),
        tabs: tabs_of_access(USERS),
        may_manage: visitor.may_everywhere(Permission::ManageAccess),
        rows: users.iter().map(|user| Row::new(visitor, user)).collect(),
        roles,
        form,
    })?;
    Ok(Form::shown(status, page))
}

/// Sends who may sign in as CSV.
pub async fn download(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let users = use_cases.handle(&context, use_cases.users(&context, &console.users)).await?;
    let rows = users.into_iter().map(|user| {
        let (created_at, has_password) = (visitor.locale.machine(user.created_at), user.has_password.to_string());
        let (roles, accounts) = (roles_of(&user), grants::accounts(&user.access));
        vec![user.name, roles, accounts, user.is_disabled.to_string(), has_password, created_at]
    });
    Ok(csv_file("users.csv", &["name", "roles", "accounts", "disabled", "has_password", "created_at"], rows))
}

/// Creates a user, and shows the link that signs it in.
pub async fn create(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(&console, &visitor, &mut reader);
    let name = reader.text("name");
    let grant = grants::read(&mut reader, &fields, GrantEntry::default());
    if let Err(wrong) = reader.finish() {
        return page(&console, &visitor, "", Form { wrong, ..Form::of(fields) }).await;
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let creating = use_cases.create_user(&context, &console.users, &name, &grant, &asked);
    let result = use_cases.handle(&context, creating).await;
    match taken(&visitor, fields, result)? {
        Ok(secret) => invited(&console, &visitor, &name, &secret),
        Err(form) => page(&console, &visitor, "", form).await,
    }
}

fn invited(console: &Console, visitor: &Visitor, name: &str, secret: &str) -> Result<Response, Failure> {
    let page = Page::new(visitor, USERS, visitor.locale.text_with("link-for", &[("value", name)]));
    render(&Invited { page, href: path_of(name), url: console.site.sign_in_url(secret), minutes: LINK_VALIDITY.as_secs() / 60 })
}

/// Shows a user.
pub async fn one(
    State(console): State<Console>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(Done { done }): Query<Done>,
) -> Result<Response, Failure> {
    let form = Form::new(&console);
    user(&console, &visitor, &name, &done, form, true).await
}

async fn user(console: &Console, visitor: &Visitor, name: &str, done: &str, form: Form, is_new: bool) -> Result<Response, Failure> {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let found = use_cases.handle(&context, use_cases.user(&context, &console.users, name)).await?;
    let form = if is_new { Form { fields: grants::filled(form.fields, &entry_of(&found)), ..form } } else { form };
    let is_own = found.name == visitor.principal.name;
    let status = form.status();
    let page = render(&OneUser {
        page: Page::new(visitor, USERS, found.name.clone()).after(done),
        row: Row::new(visitor, &found),
        may_manage: visitor.may_everywhere(Permission::ManageAccess) && !is_own,
        is_own,
        roles: grants::roles(&visitor.locale, use_cases.roles(&context)?, &form.fields),
        bounds: found.access.iter().flat_map(|grant| grants::bounds(&visitor.locale, grant)).collect(),
        form,
    })?;
    Ok(Form::shown(status, page))
}

/// Changes a user, by what the address says.
pub async fn change_one(
    State(console): State<Console>,
    visitor: Visitor,
    Path((name, what)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, Failure> {
    let (console, visitor, name, what) = (&console, &visitor, name.as_str(), what.as_str());
    let (context, use_cases, users) = (visitor.context(), &console.use_cases, &console.users);
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(console, visitor, &mut reader);
    let before = entry_of(&use_cases.handle(&context, use_cases.user(&context, users, name)).await?);
    let grant = if what == "access" { grants::read(&mut reader, &fields, before.clone()) } else { before };
    if let Err(wrong) = reader.finish() {
        return user(console, visitor, name, "", Form { wrong, ..Form::of(grants_kept(fields, &grant, what)) }, false).await;
    }
    let result = match what {
        "access" => use_cases.handle(&context, use_cases.set_user_access(&context, users, name, &grant, &asked)).await.map(|()| None),
        "link" => use_cases.handle(&context, use_cases.invite_user(&context, users, name, &asked)).await.map(Some),
        "second-factor" => use_cases.handle(&context, use_cases.reset_second_factor(&context, users, name, &asked)).await.map(|()| None),
        "disable" | "enable" => {
            let setting = use_cases.set_user_disabled(&context, users, name, what == "disable", &asked);
            use_cases.handle(&context, setting).await.map(|()| None)
        }
        _ => return Err(Failure::not_found()),
    };
    match taken(visitor, grants_kept(fields, &grant, what), result)? {
        Ok(Some(secret)) => invited(console, visitor, name, &secret),
        Ok(None) => Ok(Redirect::to(&format!("{}?done=user", path_of(name))).into_response()),
        Err(form) => user(console, visitor, name, "", form, false).await,
    }
}

/// The form of a user. A user of a provider has none.
fn entry_of(user: &User) -> GrantEntry {
    user.access.first().cloned().unwrap_or_default()
}

/// The fields of the page's form: another form of the page does not have what the user may do.
fn grants_kept(fields: Fields, grant: &GrantEntry, what: &str) -> Fields {
    if what == "access" { fields } else { grants::filled(fields, grant) }
}
