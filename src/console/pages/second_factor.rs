//! The visitor's own second factor: it is set up with an authenticator, confirmed by a code, and switched off.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use qrcode::QrCode;
use qrcode::render::svg;

use super::you::{Done, check_password};
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields};
use crate::navigation::SECOND_FACTOR;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use service::users::SignInMethod;
use service::users::second_factor::{Enrollment, SecondFactor, UsedFactor};

/// From how few recovery codes on the page warns.
const FEW: u64 = 3;

#[derive(Template)]
#[template(path = "second_factor.html")]
struct SecondFactorPage {
    page: Page,
    factor: SecondFactor,
    offer: Option<EnrollmentView>,
    has_password: bool,
    is_required: bool,
    wrong: Vec<FieldError>,
}

/// What an authenticator needs, as it is shown.
struct EnrollmentView {
    /// The QR code, as a picture.
    picture: String,
    /// The secret, in groups.
    secret: String,
}

#[derive(Template)]
#[template(path = "recovery_codes.html")]
struct RecoveryCodes {
    page: Page,
    codes: Vec<String>,
}

impl SecondFactorPage {
    fn is_off(&self) -> bool {
        self.factor == SecondFactor::Off
    }

    fn is_on(&self) -> bool {
        matches!(self.factor, SecondFactor::On { .. })
    }

    /// How many recovery codes are left.
    fn left(&self) -> u64 {
        match self.factor {
            SecondFactor::On { recovery_codes } => recovery_codes,
            _ => 0,
        }
    }

    fn has_few(&self) -> bool {
        self.left() <= FEW
    }
}

impl EnrollmentView {
    fn of(offer: &Enrollment) -> Option<Self> {
        let code = QrCode::new(&offer.url).ok()?;
        let drawn = code.render::<svg::Color>().min_dimensions(220, 220).build();
        let secret = offer.secret.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
        Some(Self { picture: format!("data:image/svg+xml;base64,{}", STANDARD.encode(drawn)), secret })
    }
}

/// Shows how it is.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(Done { done }): Query<Done>) -> Result<Response, Failure> {
    page(&console, &visitor, &done, Vec::new()).await
}

async fn page(console: &Console, visitor: &Visitor, done: &str, wrong: Vec<FieldError>) -> Result<Response, Failure> {
    // What a provider asks for besides a password is its own matter.
    if visitor.way == SignInMethod::Provider {
        return Err(Failure::not_found());
    }
    let name = &visitor.principal.name;
    let factor = console.users.second_factor(name).await.map_err(Failure::of_users)?;
    let offer = match factor {
        SecondFactor::Offered => console.users.offered_second_factor(name, console.site.host()).await.map_err(Failure::of_users)?,
        _ => None,
    };
    let has_password = console.users.password_of(name).await.map_err(Failure::of_users)?.is_some();
    let page = Page::new(visitor, "/you", visitor.locale.text("second-factor")).after(done);
    let (offer, is_required) = (offer.as_ref().and_then(EnrollmentView::of), console.signing_in.requires_second_factor);
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok((status, render(&SecondFactorPage { page, factor, offer, has_password, is_required, wrong })?).into_response())
}

/// Changes it, by what the address says.
pub async fn change(
    State(console): State<Console>,
    visitor: Visitor,
    Path(what): Path<String>,
    fields: Fields,
) -> Result<Response, Failure> {
    match what.as_str() {
        _ if visitor.way == SignInMethod::Provider => Err(Failure::not_found()),
        "begin" => begin(&console, &visitor, &fields).await,
        "confirm" => confirm(&console, &visitor, &fields).await,
        "codes" => renew(&console, &visitor, &fields).await,
        "off" => switch_off(&console, &visitor, &fields).await,
        _ => Err(Failure::not_found()),
    }
}

fn led(done: &str) -> Response {
    Redirect::to(&format!("{SECOND_FACTOR}?done={done}")).into_response()
}

/// Makes a secret. A session that was stolen must not be able to lock its user out.
async fn begin(console: &Console, visitor: &Visitor, fields: &Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(fields, &visitor.locale);
    check_password(console, visitor, &mut reader, fields.get("old")).await?;
    if let Err(wrong) = reader.finish() {
        return page(console, visitor, "", wrong).await;
    }
    console.users.offer_second_factor(&visitor.principal.name).await.map_err(Failure::of_users)?;
    Ok(led(""))
}

/// Switches it on, and shows the recovery codes, once.
async fn confirm(console: &Console, visitor: &Visitor, fields: &Fields) -> Result<Response, Failure> {
    let (name, users) = (&visitor.principal.name, &console.users);
    let confirmed = limited(console, visitor, users.confirm_second_factor(name, fields.get("code"), &visitor.secret)).await?;
    match confirmed {
        Ok(codes) => {
            console.use_cases.tell_of_session(&visitor.context(), name, "second_factor_on", "code");
            // The navigation is there again, if it was missing for the lack of this.
            recovery_codes(&Visitor { lacks_second_factor: false, ..visitor.clone() }, codes, "second-factor-on")
        }
        Err(wrong) => page(console, visitor, "", wrong).await,
    }
}

/// Makes new recovery codes, and shows them, once.
async fn renew(console: &Console, visitor: &Visitor, fields: &Fields) -> Result<Response, Failure> {
    let name = &visitor.principal.name;
    if let Err(wrong) = prove(console, visitor, fields).await? {
        return page(console, visitor, "", wrong).await;
    }
    let codes = console.users.renew_recovery_codes(name).await.map_err(Failure::of_users)?;
    console.use_cases.tell_of_session(&visitor.context(), name, "recovery_codes_made", "code");
    recovery_codes(visitor, codes, "")
}

fn recovery_codes(visitor: &Visitor, codes: Vec<String>, done: &str) -> Result<Response, Failure> {
    render(&RecoveryCodes { page: Page::new(visitor, "/you", visitor.locale.text("recovery-codes")).after(done), codes })
}

async fn switch_off(console: &Console, visitor: &Visitor, fields: &Fields) -> Result<Response, Failure> {
    let (name, users) = (&visitor.principal.name, &console.users);
    // The form was sent twice.
    if users.second_factor(name).await.map_err(Failure::of_users)? == SecondFactor::Off {
        return Ok(led("second-factor-off"));
    }
    match prove(console, visitor, fields).await? {
        Ok(proof) => {
            users.forget_second_factor(name, Some(&visitor.secret)).await.map_err(Failure::of_users)?;
            console.use_cases.tell_of_session(&visitor.context(), name, "second_factor_off", proof.name());
            Ok(led("second-factor-off"))
        }
        Err(wrong) => page(console, visitor, "", wrong).await,
    }
}

/// Handles a submitted code, or a recovery code.
async fn prove(console: &Console, visitor: &Visitor, fields: &Fields) -> Result<Result<UsedFactor, Vec<FieldError>>, Failure> {
    let name = &visitor.principal.name;
    let proved = limited(console, visitor, console.users.prove(name, fields.get("code"))).await?;
    if proved == Ok(UsedFactor::RecoveryCode) {
        console.use_cases.tell_of_session(&visitor.context(), name, "recovery_code_used", "second factor");
    }
    Ok(proved)
}

/// Tries a code, as rarely as passwords are tried.
async fn limited<T>(
    console: &Console,
    visitor: &Visitor,
    attempt: impl Future<Output = anyhow::Result<Option<T>>>,
) -> Result<Result<T, Vec<FieldError>>, Failure> {
    let (name, address) = (&visitor.principal.name, visitor.at());
    let wrong = |key| Ok(Err(vec![FieldError { field: "code", text: visitor.locale.text(key) }]));
    if console.attempts.wait(name, address).is_some() {
        return wrong("sign-in-wait");
    }
    console.attempts.note(name, address);
    match attempt.await.map_err(Failure::of_users)? {
        Some(value) => {
            console.attempts.forgive(name, address);
            Ok(Ok(value))
        }
        None => wrong("wrong-code"),
    }
}
