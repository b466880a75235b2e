//! Who changes something by hand, why, and under which name of the request: the options that all such commands have.

use clap::Args;

use super::client::presents_credentials;
use crate::grpc::v1::Operator;

/// Who does this. A service knows a caller by its credentials; of one without, the user of this system is named, or, where there is no
/// name, as in containers and cron, its number.
fn actor(given: Option<&String>) -> String {
    match given {
        Some(given) => given.clone(),
        None if presents_credentials() => String::new(),
        None => user(),
    }
}

/// The user of this system, or, where there is no name, its number.
pub fn user() -> String {
    #[allow(clippy::disallowed_methods, reason = "the name of the user is no setting")]
    let name = std::env::var("USER").ok().filter(|user| !user.is_empty());
    name.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// The name of the request.
#[derive(Args, Clone, Debug)]
pub struct RequestOptions {
    /// The name of this request. A request that had no answer may be repeated with the same name and content: it is done once. [default:
    /// a new one, shown on stderr before the request is sent]
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Who does this; with credentials, for whom [default: the caller that they name, or else the user of this system]
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

impl RequestOptions {
    /// The name that was given, or a new one, which is printed first: what is lost can then be repeated.
    #[must_use]
    pub fn request_id(&self) -> String {
        self.request_id.clone().unwrap_or_else(|| {
            let made = uuid::Uuid::new_v4().to_string();
            eprintln!("--request-id {made}");
            made
        })
    }
}

/// A command by hand that may go without a reason.
#[derive(Args, Clone, Debug)]
pub struct ByHand {
    #[command(flatten)]
    request: RequestOptions,
    /// Why, for readers of the journal.
    #[arg(long, value_name = "TEXT", default_value = "by the command line")]
    reason: String,
}

/// A command by hand that needs a reason.
#[derive(Args, Clone, Debug)]
pub struct ByHandWithReason {
    #[command(flatten)]
    request: RequestOptions,
    /// Why, for readers of the journal.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// A batch by hand: its name, by whom, and why.
#[derive(Args, Clone, Debug)]
pub struct ByHandOfBatch {
    /// The name of this batch. The batch may be repeated with the same name and content: what was done stays done. [default: a new one,
    /// shown on stderr before anything is sent]
    #[arg(long, value_name = "ID")]
    batch_id: Option<String>,
    /// Who does this; with credentials, for whom [default: the caller that they name, or else the user of this system]
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Why, for readers of the journal.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl ByHandOfBatch {
    /// The name that was given, or a new one, which is printed first.
    #[must_use]
    pub fn batch_id(&self) -> String {
        self.batch_id.clone().unwrap_or_else(|| {
            let made = uuid::Uuid::new_v4().to_string();
            eprintln!("--batch-id {made}");
            made
        })
    }

    /// Who, and why.
    #[must_use]
    pub fn operator(&self) -> Option<Operator> {
        Some(Operator { actor: actor(self.actor.as_ref()), reason: self.reason.clone() })
    }
}

impl ByHand {
    /// The name of the request.
    #[must_use]
    pub fn request_id(&self) -> String {
        self.request.request_id()
    }

    /// Who, and why.
    #[must_use]
    pub fn operator(&self) -> Option<Operator> {
        Some(Operator { actor: actor(self.request.actor.as_ref()), reason: self.reason.clone() })
    }
}

impl ByHandWithReason {
    /// The name of the request.
    #[must_use]
    pub fn request_id(&self) -> String {
        self.request.request_id()
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Who, and why.
    #[must_use]
    pub fn operator(&self) -> Option<Operator> {
        Some(Operator { actor: actor(self.request.actor.as_ref()), reason: self.reason.clone() })
    }
}
