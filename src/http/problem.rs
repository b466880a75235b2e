//! Errors as `application/problem+json` (RFC 9457), with the same reasons as over gRPC.

use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetail, StatusExt};

use crate::telemetry::metrics;

/// An error, as HTTP tells it.
pub struct Problem {
    status: StatusCode,
    retry_after_seconds: Option<u64>,
    body: Value,
}

impl Problem {
    /// What a service has refused, or could not do.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let mut problem = Self::new(status_code(status.code()), metrics::code_name(status.code()), "CALL_FAILED", status.message());
        for detail in status.get_error_details_vec() {
            problem.add(detail);
        }
        problem
    }

    /// There is nothing at this path.
    #[must_use]
    pub fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "UNIMPLEMENTED", "UNKNOWN_METHOD", detail)
    }

    /// The path is there, for another method of HTTP.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNIMPLEMENTED", "UNKNOWN_METHOD", "calls are POST, /openapi.json is GET")
    }

    /// A page in a browser may not call.
    #[must_use]
    pub fn forbidden(detail: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "FOREIGN_ORIGIN", &detail)
    }

    /// The body is of another kind.
    #[must_use]
    pub fn not_json() -> Self {
        let detail = "the header content-type must be application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "INVALID_ARGUMENT", "MALFORMED_MESSAGE", detail)
    }

    /// The body cannot be read.
    #[must_use]
    pub fn malformed(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "MALFORMED_MESSAGE", detail)
    }

    /// The body is too large.
    #[must_use]
    pub fn too_large(most: usize) -> Self {
        let detail = format!("the body is larger than {most} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE", &detail)
    }

    #[must_use]
    pub fn into_body(self) -> Value {
        self.body
    }

    fn new(status: StatusCode, code: &str, reason: &str, detail: &str) -> Self {
        let mut problem = Self {
            status,
            retry_after_seconds: None,
            body: json!({ "title": status.canonical_reason(), "status": status.as_u16(), "code": code, "detail": detail }),
        };
        problem.set_reason(reason);
        problem
    }

    fn set_reason(&mut self, reason: &str) {
        self.set("type", json!(format!("urn:tollgate:reason:{reason}")));
        self.set("reason", json!(reason));
    }

    fn set(&mut self, name: &str, value: Value) {
        if let Some(body) = self.body.as_object_mut() {
            body.insert(name.to_owned(), value);
        }
    }

    fn add(&mut self, detail: ErrorDetail) {
        match detail {
            ErrorDetail::ErrorInfo(info) => {
                self.set_reason(&info.reason);
                if !info.metadata.is_empty() {
                    self.set("metadata", json!(info.metadata));
                }
            }
            ErrorDetail::RetryInfo(retry) => {
                let delay = retry.retry_delay.unwrap_or_default();
                self.retry_after_seconds = Some(delay.as_secs() + u64::from(delay.subsec_nanos() > 0));
                self.set("retryDelay", json!(format!("{}s", delay.as_secs_f64())));
            }
            ErrorDetail::BadRequest(bad) => {
                let violations = bad.field_violations.into_iter();
                let violations: Vec<_> =
                    violations.map(|found| json!({ "field": found.field, "description": found.description })).collect();
                self.set("fieldViolations", json!(violations));
            }
            ErrorDetail::PreconditionFailure(failure) => {
                let violations = failure.violations.into_iter();
                let violations: Vec<_> = violations
                    .map(|found| json!({ "type": found.r#type, "subject": found.subject, "description": found.description }))
                    .collect();
                self.set("preconditionViolations", json!(violations));
            }
            ErrorDetail::ResourceInfo(resource) => {
                self.set("resource", json!({ "type": resource.resource_type, "name": resource.resource_name }));
            }
            _ => {}
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = super::json("application/problem+json", &self.body);
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The status of HTTP for one of gRPC, as `google/rpc/code.proto` maps them.
fn status_code(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Aborted | Code::AlreadyExists => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded | Code::Cancelled => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
