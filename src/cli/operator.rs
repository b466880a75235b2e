//! Who changes something by hand, why, and under which name of the request: the options that all such commands have.

use clap::Args;

use crate::grpc::v1::Operator;

/// The user of the system that runs this, where nothing else names one, as in containers and cron.
fn user() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

/// The name of the request.
#[derive(Args, Clone, Debug)]
pub struct RequestOptions {
    /// The name of this request. A request that had no answer may be repeated with the same name and content: it is done once. [default:
    /// a new one, shown on stderr before the request is sent]
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Who does this.
    #[arg(long, env = "USER", hide_env_values = true, default_value_t = user(), value_name = "NAME")]
    actor: String,
}

impl RequestOptions {
    /// The name that was given, or a new one, which is told first: what is lost can then be repeated.
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
    /// Why, for whoever reads the journal.
    #[arg(long, value_name = "TEXT", default_value = "by the command line")]
    reason: String,
}

/// A command by hand that needs a reason.
#[derive(Args, Clone, Debug)]
pub struct ByHandWithReason {
    #[command(flatten)]
    request: RequestOptions,
    /// Why, for whoever reads the journal.
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
    /// Who does this.
    #[arg(long, env = "USER", hide_env_values = true, default_value_t = user(), value_name = "NAME")]
    actor: String,
    /// Why, for whoever reads the journal.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl ByHandOfBatch {
    /// The name that was given, or a new one, which is told first.
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
        Some(Operator { actor: self.actor.clone(), reason: self.reason.clone() })
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
        Some(Operator { actor: self.request.actor.clone(), reason: self.reason.clone() })
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
        Some(Operator { actor: self.request.actor.clone(), reason: self.reason.clone() })
    }
}
