//! Documents that customers open by a link, without an account: the page around a document, the document itself in a frame, and its PDF.
//!
//! It is served on a listener of its own, and all that it has is [`LinkedDocuments`]: from here nobody reaches anything else, whatever is
//! asked for. A link that opens nothing is answered in the same way, whyever it does not.

mod address_limiter;
mod guard;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};

use address_limiter::AddressLimiter;
use billing::rendering::cover::{Cover, Nothing, nothing};
use guard::Frame;
use service::error::Error;
use service::links::LinkedDocuments;
use service::papers::{File, Form};

/// The longest text that can be a link: more is none.
const LONGEST_TOKEN: usize = 64;

/// What all pages work with.
#[derive(Clone)]
struct Public {
    documents: LinkedDocuments,
    limiter: Arc<AddressLimiter>,
    is_secure: bool,
}

#[derive(Template)]
#[template(path = "document.html")]
struct DocumentPage {
    cover: Cover,
    href: String,
}

#[derive(Template)]
#[template(path = "nothing.html")]
struct NothingPage {
    language: &'static str,
    title: String,
    text: String,
}

/// The router of all pages. `is_secure`: browsers come by TLS.
pub fn router(documents: LinkedDocuments, is_secure: bool) -> Router {
    let public = Public { documents, limiter: Arc::default(), is_secure };
    Router::new()
        .route("/d/{token}", get(show))
        .route("/d/{token}/document", get(frame))
        .route("/d/{token}/pdf", get(pdf))
        .route("/style.css", get(style))
        .fallback(gone)
        .method_not_allowed_fallback(gone)
        .layer(from_fn_with_state(public.clone(), guard::check))
        .with_state(public)
}

async fn show(State(public): State<Public>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    if token.len() > LONGEST_TOKEN {
        return say(Nothing::Gone, &headers);
    }
    let shown = public.documents.cover(&token).await;
    found(shown, &headers, |cover| page(StatusCode::OK, &DocumentPage { cover, href: format!("/d/{token}") }))
}

async fn frame(State(public): State<Public>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let file = file(&public, &token, Form::Html).await;
    found(file, &headers, |file| (Extension(Frame), [(CONTENT_TYPE, file.content_type)], file.content).into_response())
}

async fn pdf(State(public): State<Public>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let file = file(&public, &token, Form::Pdf).await;
    found(file, &headers, |file| {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let name: String = file.name.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect();
        let disposition = format!("attachment; filename=\"{name}\"");
        ([(CONTENT_TYPE, file.content_type.to_owned()), (CONTENT_DISPOSITION, disposition)], file.content).into_response()
    })
}

async fn file(public: &Public, token: &str, form: Form) -> Result<Option<File>, Error> {
    if token.len() > LONGEST_TOKEN { Ok(None) } else { public.documents.file(token, form).await }
}

async fn style() -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("assets/public.css")).into_response()
}

async fn gone(headers: HeaderMap) -> Response {
    say(Nothing::Gone, &headers)
}

/// Shows what was found, or says that there is nothing.
fn found<T>(found: Result<Option<T>, Error>, headers: &HeaderMap, show: impl FnOnce(T) -> Response) -> Response {
    match found {
        Ok(Some(found)) => show(found),
        Ok(None) => say(Nothing::Gone, headers),
        Err(error) => {
            error.log();
            say(Nothing::Unavailable, headers)
        }
    }
}

/// Renders why nothing is shown, in the language of the browser.
fn say(why: Nothing, headers: &HeaderMap) -> Response {
    let status = match why {
        Nothing::Gone => StatusCode::NOT_FOUND,
        Nothing::TooOften => StatusCode::TOO_MANY_REQUESTS,
        Nothing::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first: String = accepted.trim_start().chars().take_while(char::is_ascii_alphabetic).take(3).collect();
    let (language, [title, text]) = nothing(why, &first.to_ascii_lowercase());
    let mut response = page(status, &NothingPage { language, title, text });
    if why != Nothing::Gone {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
    }
    response
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
