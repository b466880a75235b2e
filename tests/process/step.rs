//! The step in Redis: whole or not at all, and nobody else's trouble.

mod damaged;
mod memory;
mod rights;
mod told;
mod torn;
mod torn_health;

use prost::Message;
use tollgate::grpc::v1;
use tonic::Status;
use tonic_types::{ErrorInfo, StatusExt, pb};

/// The reason of an error.
fn reason(status: &Status) -> String {
    status.get_details_error_info().map_or_else(|| format!("{status:?}"), |info| info.reason)
}

/// What became of a command of a batch: "done", or the reason of its error.
fn what_became_of(outcome: v1::ChargeOutcome) -> String {
    match outcome.outcome.unwrap() {
        v1::charge_outcome::Outcome::Error(error) => {
            let info = error.details.iter().find(|detail| detail.type_url == ErrorInfo::TYPE_URL);
            info.map_or_else(|| format!("{error:?}"), |info| pb::ErrorInfo::decode(info.value.as_slice()).unwrap().reason)
        }
        _ => "done".to_owned(),
    }
}
