//! The visitor's own page: password, language, signing out.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::SET_COOKIE;
use serde::Deserialize;

use super::arrival::own_path;
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields};
use crate::page::{Page, render};
use crate::passwords::{LONGEST, SHORTEST};
use crate::texts::Language;
use crate::visitor::Visitor;
use crate::{Console, SigningIn, session};
use access::Accounts;
use service::users::SignInMethod;
use service::users::second_factor::SecondFactor;

/// The page.
#[derive(Template)]
#[template(path = "you.html")]
struct ProfilePage {
    page: Page,
    has_password: bool,
    has_second_factor: bool,
    /// The identity provider where the visitor has signed in; empty for none. It looks after the password, and after what else is asked for.
    provider: String,
    takes_passwords: bool,
    /// What the visitor may do, and on which accounts; empty for all.
    grants: Vec<(String, String)>,
    shortest: usize,
    wrong: Vec<FieldError>,
}

#[derive(Deserialize)]
pub struct Done {
    /// The key of a text.
    #[serde(default)]
    pub done: String,
}

/// Shows the page.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(Done { done }): Query<Done>) -> Result<Response, Failure> {
    page(&console, &visitor, &done, Vec::new()).await
}

async fn page(console: &Console, visitor: &Visitor, done: &str, wrong: Vec<FieldError>) -> Result<Response, Failure> {
    let name = &visitor.principal.name;
    let has_password = console.users.password_of(name).await.map_err(Failure::of_users)?.is_some();
    let factor = console.users.second_factor(name).await.map_err(Failure::of_users)?;
    let has_second_factor = matches!(factor, SecondFactor::On { .. });
    let SigningIn { provider, only_provider, .. } = &console.signing_in;
    let provider = provider.as_ref().filter(|_| visitor.way == SignInMethod::Provider).map(|provider| provider.host()).unwrap_or_default();
    let takes_passwords = provider.is_empty() && !only_provider;
    let grants = visitor.principal.grants.iter().map(|grant| {
        let accounts = match &grant.accounts {
            Accounts::All => String::new(),
            Accounts::These(ids) => ids.join(" "),
        };
        (grant.permissions.to_string(), accounts)
    });
    let (grants, page) = (grants.collect(), Page::new(visitor, "/you", name.as_str()).after(done));
    render(&ProfilePage { page, has_password, has_second_factor, provider, takes_passwords, grants, shortest: SHORTEST, wrong })
}

/// Refuses a password that is not the visitor's, if there is one.
pub async fn check_password(console: &Console, visitor: &Visitor, reader: &mut FieldReader<'_>, old: &str) -> Result<(), Failure> {
    let name = &visitor.principal.name;
    let Some(hash) = console.users.password_of(name).await.map_err(Failure::of_users)? else { return Ok(()) };
    // A session that was stolen must not be able to guess the password.
    let address = visitor.at();
    let may_try = console.attempts.wait(name, address).is_none() && old.len() <= LONGEST;
    let is_right = match may_try {
        true => {
            console.attempts.note(name, address);
            console.passwords.is(old, Some(&hash)).await
        }
        false => Some(false),
    };
    match is_right {
        Some(true) => console.attempts.forgive(name, address),
        Some(false) => reader.refuse("old", "wrong-old-password"),
        None => reader.refuse("old", "sign-in-busy"),
    }
    Ok(())
}

/// Sets the password. All sessions of the user end but a new one, which is this browser's.
pub async fn set_password(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let name = &visitor.principal.name;
    if visitor.way == SignInMethod::Provider || console.signing_in.only_provider {
        return Err(Failure::without_passwords());
    }
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    check_password(&console, &visitor, &mut reader, fields.get("old")).await?;
    let new = fields.get("new");
    if new.chars().count() < SHORTEST || new.len() > LONGEST {
        reader.refuse("new", "wrong-password");
    }
    if new != fields.get("again") {
        reader.refuse("again", "wrong-again");
    }
    if let Err(wrong) = reader.finish() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&console, &visitor, "", wrong).await?).into_response());
    }
    let Some(hash) = console.passwords.hash(new).await.map_err(Failure::of_users)? else {
        let wrong = vec![FieldError { field: "new", text: visitor.locale.text("sign-in-busy") }];
        return Ok((StatusCode::SERVICE_UNAVAILABLE, page(&console, &visitor, "", wrong).await?).into_response());
    };
    console.users.set_password(name, &hash).await.map_err(Failure::of_users)?;
    console.use_cases.tell_of_session(&visitor.context(), name, "password_set", "password");
    let secret = console.users.begin_session(name, visitor.way).await.map_err(Failure::of_users)?;
    let mut response = Redirect::to("/you?done=password").into_response();
    response.headers_mut().extend(session::kept(&console.site, &secret).map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}

/// Chooses the language of this session.
pub async fn set_language(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Redirect, Failure> {
    if let Some(language) = Language::named(fields.get("language")) {
        console.users.set_language(&visitor.secret, language.code()).await.map_err(Failure::of_users)?;
    }
    Ok(Redirect::to(own_path(fields.get("to"))))
}

/// Ends this session.
pub async fn sign_out(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    console.users.sign_out(&visitor.secret).await.map_err(Failure::of_users)?;
    console.use_cases.tell_of_session(&visitor.context(), &visitor.principal.name, "signed_out", "session");
    Ok(signed_out(&console, visitor.way))
}

/// Ends all sessions of the user.
pub async fn sign_out_everywhere(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    console.users.sign_out_everywhere(&visitor.principal.name).await.map_err(Failure::of_users)?;
    console.use_cases.tell_of_session(&visitor.context(), &visitor.principal.name, "signed_out", "all sessions");
    Ok(signed_out(&console, visitor.way))
}

fn signed_out(console: &Console, way: SignInMethod) -> Response {
    // A form's answer must not lead to another site; the page offers the link.
    let to = if way == SignInMethod::Provider { "/sign-in?left=provider" } else { "/sign-in" };
    let mut response = Redirect::to(to).into_response();
    response.headers_mut().extend(session::forgotten(&console.site).map(|cookie| (SET_COOKIE, cookie)));
    response
}
