//! Admits signed-in users, by the route's entry in [`super::routes`]: whether it needs that, and which permission; and that each form
//! holds the session's token. A page is reached only through here, so that none can forget it.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, MatchedPath, Multipart, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{ACCEPT_LANGUAGE, CONTENT_TYPE};
use http::{HeaderMap, Method, Uri};
use tokio::time::timeout;

use super::failure::Failure;
use super::fields::{Fields, MOST, MOST_WITH_FILE};
use super::guard::{MAX_FILE_BYTES, most_bytes};
use super::locale::Locale;
use super::navigation::SECOND_FACTOR;
use super::needs::Needs;
use super::page::{self, SubmittedForm};
use super::routes::find;
use super::texts::Language;
use super::visitor::Visitor;
use super::{Console, session};
use platform::lanes::socket::Peer;
use service::bank::text_of;
use service::error::Error;
use service::users::SignInMethod;

/// How long a page may take to be made.
const PAGE_LIMIT: Duration = Duration::from_secs(25);

/// Lets a request through to its page, or shows why not.
pub async fn enter(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let language = Language::accepted(request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default());
    let zone = console.use_cases.clock().zone();
    request.extensions_mut().insert(Locale::new(language, zone.clone()));
    let (headers, uri) = (request.headers().clone(), request.uri().clone());
    let address = request.extensions().get::<Peer>().map(|peer| peer.address.ip());
    let visitor = match visitor(&console, &headers, &uri, language).await {
        Ok(visitor) => visitor.map(|visitor| Visitor { address, ..visitor }),
        Err(failure) => return page::of_failure(&failure, None, &Locale::new(language, zone), None),
    };
    let locale = visitor.as_ref().map_or_else(|| Locale::new(language, zone), |visitor| visitor.locale.clone());
    let let_in = let_in(&console, &mut request, visitor.as_ref()).await;
    // A file that is not text cannot be sent once more by a page.
    let is_sent_again = |fields: &&Fields| fields.is_ticked("request") && fields.are_text();
    let fields = request.extensions().get::<Fields>().filter(is_sent_again);
    let sent = fields.map(|fields| SubmittedForm { path: uri.path().to_owned(), fields: fields.clone() });
    let response = match let_in {
        Ok(()) => timeout(PAGE_LIMIT, next.run(request)).await.unwrap_or_else(|_| Failure::too_slow().into_response()),
        Err(failure) if failure.is_not_signed_in() => return to_sign_in(&request),
        Err(failure) if failure.is_without_second_factor() => return led_to(&request, SECOND_FACTOR.to_owned()),
        Err(failure) => failure.into_response(),
    };
    // A page that failed says why within the frame of all pages.
    match response.extensions().get::<Failure>() {
        Some(failure) => page::of_failure(failure, visitor.as_ref(), &locale, sent.as_ref()),
        None => response,
    }
}

/// The signed-in user, if there is one.
async fn visitor(console: &Console, headers: &HeaderMap, uri: &Uri, accepted: Language) -> Result<Option<Visitor>, Failure> {
    let Some(secret) = session::secret(&console.site, headers) else { return Ok(None) };
    if uri.path().starts_with("/assets/") {
        return Ok(None);
    }
    let Some(found) = console.users.session(&secret).await.map_err(Failure::of_users)? else { return Ok(None) };
    let language = Language::named(&found.language).unwrap_or(accepted);
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let locale = Locale::new(language, console.use_cases.clock().zone());
    let lacks_second_factor = console.signing_in.requires_second_factor && !found.has_second_factor && found.way != SignInMethod::Provider;
    let (principal, way, has_billing) = (found.principal, found.way, console.has_billing);
    Ok(Some(Visitor { principal, way, lacks_second_factor, locale, path, has_billing, address: None, secret }))
}

/// Checks what the route needs; what was found is given to the page.
async fn let_in(console: &Console, request: &mut Request, visitor: Option<&Visitor>) -> Result<(), Failure> {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = if *request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let route = path.and_then(|path| find(&method, &path));
    let needs = route.map_or(Needs::SignIn, |route| route.needs);
    let fields = if method == Method::POST { Some(fields(request).await?) } else { None };
    match (needs, visitor) {
        (Needs::Nothing, _) => {}
        (_, None) => return Err(Failure::not_signed_in()),
        (needs, Some(visitor)) => {
            if needs != Needs::Session && visitor.lacks_second_factor {
                return Err(Failure::without_second_factor());
            }
            if let Some(permission) = needs.permission()
                && !needs.is_met_by(visitor)
            {
                let error = Error::not_permitted(permission);
                console.use_cases.tell_of_refusal(&visitor.context(), &error);
                return Err(error.into());
            }
            if let Some(fields) = &fields
                && !session::is_token(&visitor.secret, fields.get("token"))
            {
                return Err(Failure::of_other_session());
            }
        }
    }
    if let Some(fields) = fields {
        request.extensions_mut().insert(fields);
    }
    if let Some(visitor) = visitor {
        request.extensions_mut().insert(visitor.clone());
    }
    Ok(())
}

/// The fields of the form that was sent. A file is a field: its text.
async fn fields(request: &mut Request) -> Result<Fields, Failure> {
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    let most = most_bytes(request.uri().path());
    let has_file = most == MAX_FILE_BYTES;
    if has_file && content_type.starts_with(b"multipart/form-data") {
        let (parts, body) = std::mem::take(request).into_parts();
        *request = Request::from_parts(parts.clone(), Body::empty());
        let mut multipart =
            Multipart::from_request(Request::from_parts(parts, body), &()).await.map_err(|_| Failure::of_other_session())?;
        let mut fields = Fields::default();
        while let Some(field) = multipart.next_field().await.map_err(|_| Failure::of_other_session())? {
            let (name, is_file) = (field.name().unwrap_or_default().to_owned(), field.file_name().is_some());
            let content = field.bytes().await.map_err(|_| Failure::of_other_session())?;
            fields = fields.and(&name, text_of(&content));
            if is_file {
                fields = fields.with_file(&name, content);
            }
        }
        return Ok(fields);
    }
    if !content_type.starts_with(b"application/x-www-form-urlencoded") {
        return Err(Failure::of_other_session());
    }
    let body = std::mem::take(request.body_mut());
    let body = to_bytes(body, most).await.map_err(|_| Failure::of_other_session())?;
    Fields::parse(&body, if has_file { MOST_WITH_FILE } else { MOST }).ok_or_else(Failure::of_other_session)
}

fn to_sign_in(request: &Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let is_page = *request.method() == Method::GET && path != "/";
    let to = if is_page {
        format!("/sign-in?{}", serde_urlencoded::to_string([("to", path)]).unwrap_or_default())
    } else {
        "/sign-in".to_owned()
    };
    led_to(request, to)
}

fn led_to(request: &Request, to: String) -> Response {
    if request.headers().contains_key("hx-request") {
        // htmx would put the page into the one that asks.
        return [("hx-redirect", to)].into_response();
    }
    Redirect::to(&to).into_response()
}
