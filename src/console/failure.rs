//! Why a page cannot be shown, or a form was not taken. The access layer renders it within the frame of all pages.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use service::error::{Error, Kind};

/// Why there is no page.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The status of the response.
    pub status: StatusCode,
    /// The key of its heading.
    pub title: &'static str,
    /// The key of a text that says more.
    pub text: &'static str,
    /// What a use case said, if it was one.
    pub error: Option<Error>,
}

impl Failure {
    fn new(status: StatusCode, title: &'static str, text: &'static str) -> Self {
        Self { status, title, text, error: None }
    }

    /// There is no such page.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "failure-not-found", "failure-not-found-text")
    }

    /// Nobody has signed in.
    #[must_use]
    pub fn not_signed_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "failure-signed-out", "failure-signed-out-text")
    }

    /// Whether it is that nobody has signed in.
    #[must_use]
    pub fn is_not_signed_in(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// A second factor is required, and the user has none.
    #[must_use]
    pub fn without_second_factor() -> Self {
        Self::new(StatusCode::FORBIDDEN, "second-factor", "second-factor-required")
    }

    /// Whether it is that.
    #[must_use]
    pub fn is_without_second_factor(&self) -> bool {
        self.text == "second-factor-required"
    }

    /// Nobody signs in by a password here.
    #[must_use]
    pub fn without_passwords() -> Self {
        Self::new(StatusCode::FORBIDDEN, "sign-in", "sign-in-no-passwords")
    }

    /// The form is not of the session: the user has signed in anew since, or another site has made it.
    #[must_use]
    pub fn of_other_session() -> Self {
        Self::new(StatusCode::FORBIDDEN, "failure-form", "failure-form-text")
    }

    /// It took too long to make the page.
    #[must_use]
    pub fn too_slow() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "failure-unavailable", "failure-slow-text")
    }

    /// Whether what was asked for may have been done, or may be done if it is asked for again.
    #[must_use]
    pub fn leaves_open(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// The users cannot be read.
    #[must_use]
    pub fn of_users(error: anyhow::Error) -> Self {
        tracing::error!("the users of the console cannot be read: {error:#}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "failure-unavailable", "failure-unavailable-text")
    }

    /// A template was not rendered, which is a bug.
    #[must_use]
    pub fn of_template(error: &askama::Error) -> Self {
        tracing::error!(%error, "a page was not rendered");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failure-internal", "failure-internal-text")
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.log();
        let (status, title, text) = match error.kind {
            Kind::Invalid => (StatusCode::BAD_REQUEST, "failure-invalid", ""),
            Kind::NotFound => (StatusCode::NOT_FOUND, "failure-not-found", ""),
            Kind::Denied | Kind::Unauthenticated => (StatusCode::FORBIDDEN, "failure-denied", "failure-denied-text"),
            Kind::AlreadyExists | Kind::Precondition => (StatusCode::CONFLICT, "failure-refused", ""),
            Kind::Exhausted => (StatusCode::TOO_MANY_REQUESTS, "failure-unavailable", ""),
            Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "failure-unavailable", ""),
            Kind::Unsupported | Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "failure-internal", ""),
        };
        Self { status, title, text, error: Some(error) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// There is no such page.
pub async fn not_found() -> Failure {
    Failure::not_found()
}
