//! The visitor's own page: password, language, signing out.

use std::net::{IpAddr, Ipv4Addr};

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::SET_COOKIE;
use serde::Deserialize;

use super::sign_in::own_path;
use crate::failure::Failure;
use crate::fields::{Fields, Reader, Wrong};
use crate::page::{Page, render};
use crate::passwords::{LONGEST, SHORTEST};
use crate::texts::Language;
use crate::visitor::Visitor;
use crate::{Console, session};
use access::Accounts;

/// The page.
#[derive(Template)]
#[template(path = "you.html")]
struct You {
    page: Page,
    has_password: bool,
    /// What the visitor may do, and on which accounts; empty for all.
    grants: Vec<(String, String)>,
    shortest: usize,
    wrong: Vec<Wrong>,
}

/// What was done.
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

async fn page(console: &Console, visitor: &Visitor, done: &str, wrong: Vec<Wrong>) -> Result<Response, Failure> {
    let name = &visitor.principal.name;
    let has_password = console.users.password_of(name).await.map_err(Failure::of_users)?.is_some();
    let grants = visitor.principal.grants.iter().map(|grant| {
        let accounts = match &grant.accounts {
            Accounts::All => String::new(),
            Accounts::These(ids) => ids.join(" "),
        };
        (grant.permissions.to_string(), accounts)
    });
    let (grants, page) = (grants.collect(), Page::new(visitor, "/you", name.as_str()).after(done));
    render(&You { page, has_password, grants, shortest: SHORTEST, wrong })
}

/// Sets the password. All sessions of the user end but a new one, which is this browser's.
pub async fn set_password(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let name = &visitor.principal.name;
    let mut reader = Reader::new(&fields, &visitor.locale);
    let (old, new) = (fields.get("old"), fields.get("new"));
    let address = visitor.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    if let Some(hash) = console.users.password_of(name).await.map_err(Failure::of_users)? {
        // A session that was stolen must not be able to guess the password.
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
    }
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
        let wrong = vec![Wrong { field: "new", text: visitor.locale.text("sign-in-busy") }];
        return Ok((StatusCode::SERVICE_UNAVAILABLE, page(&console, &visitor, "", wrong).await?).into_response());
    };
    console.users.set_password(name, &hash).await.map_err(Failure::of_users)?;
    console.use_cases.tell_of_session(&visitor.context(), name, "password_set", "password");
    let secret = console.users.begin(name).await.map_err(Failure::of_users)?;
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
    Ok(signed_out(&console))
}

/// Ends all sessions of the user.
pub async fn sign_out_everywhere(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    console.users.sign_out_everywhere(&visitor.principal.name).await.map_err(Failure::of_users)?;
    console.use_cases.tell_of_session(&visitor.context(), &visitor.principal.name, "signed_out", "all sessions");
    Ok(signed_out(&console))
}

fn signed_out(console: &Console) -> Response {
    let mut response = Redirect::to("/sign-in").into_response();
    response.headers_mut().extend(session::forgotten(&console.site).map(|cookie| (SET_COOKIE, cookie)));
    response
}
