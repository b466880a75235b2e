//! The use cases: domain values in, domain values out. No protocol is known here. What they fail with is one type, [`error::Error`].
//!
//! [`UseCases`] has a method for each; its topics are in the modules. Every use case takes a [`context::RequestContext`] first.

pub mod accounts;
pub mod admission;
pub mod advice;
pub mod aggregation;
pub mod approvals;
pub mod audit;
pub mod backup;
pub mod bank;
pub mod callers;
pub mod charges;
pub mod commands;
pub mod context;
pub mod conversions;
pub mod credit;
pub mod credit_history;
pub mod credits;
pub mod deadline;
pub mod decisions;
pub mod documents;
pub mod erasing;
pub mod error;
pub mod exports;
pub mod fields;
mod in_time;
pub mod issuing;
pub mod items;
pub mod links;
pub mod notes;
pub mod overview;
pub mod papers;
pub mod payments;
pub mod permissions;
pub mod preview;
pub mod receivables;
pub mod refunds;
pub mod search;
pub mod sending;
pub mod stream_access;
mod taken_in;
pub mod templates;
pub mod users;
pub mod watch;

use std::sync::Arc;

use tokio::sync::SemaphorePermit;
use tokio_util::sync::CancellationToken;

use access::Access;
use admission::{Admission, Limits};
use audit::trail::Trail;
use billing::Billing;
use context::RequestContext;
use deadline::Stage;
use decisions::Declines;
use domain::time::UnixMillis;
use error::Error;
use ledger::Ledger;
use platform::clock::Clock;
use platform::lanes::offload::Offload;
use platform::telemetry::traces;
use stream_access::StreamAccess;

/// All use cases, on a ledger, and on a billing store if there is one. Cheap to clone.
#[derive(Clone)]
pub struct UseCases {
    ledger: Ledger,
    billing: Option<Billing>,
    offload: Offload,
    admission: Admission,
    stopping: CancellationToken,
    access: Arc<Access>,
    trail: Trail,
    declines: Declines,
    started_at: UnixMillis,
}

impl UseCases {
    /// The use cases. Work of unknown length is done by `offload`; streams end once the service is `stopping`, and once `access` no longer
    /// lets their callers in.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        billing: Option<Billing>,
        offload: Offload,
        limits: Limits,
        stopping: CancellationToken,
        access: Arc<Access>,
    ) -> Self {
        let trail = Trail::new(ledger.clock().clone(), false);
        let started_at = ledger.clock().now();
        let (admission, declines) = (Admission::new(limits), Declines::default());
        Self { ledger, billing, offload, admission, stopping, access, trail, declines, started_at }
    }

    /// The same, which notes what is declined where others of this process do.
    #[must_use]
    pub fn noting_declines_in(self, declines: Declines) -> Self {
        Self { declines, ..self }
    }

    /// The caller of a stream that begins.
    fn stream_access(&self, context: RequestContext) -> Result<StreamAccess, Error> {
        StreamAccess::new(&self.access, context)
    }

    /// The service's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.ledger.clock()
    }

    /// The threads for work of unknown length.
    #[must_use]
    pub fn offload(&self) -> &Offload {
        &self.offload
    }

    /// Cancelled once the service stops.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Handles a request that has one answer, within the limits of this process and the caller's deadline.
    pub async fn handle<T>(&self, context: &RequestContext, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let _permit = self.admission.request(context)?;
        // Pinned here, it is not moved from one future to the next.
        let request = std::pin::pin!(request);
        let result = context.within_deadline(request).await;
        self.telling(context, result.inspect_err(|error| traces::note("tollgate.reason", error.reason)))
    }

    /// Waits until work on many accounts may ask the billing store, if there is one: not all of its connections are for such work.
    async fn turn_at_billing(&self) -> Result<Option<SemaphorePermit<'_>>, Error> {
        let Some(billing) = &self.billing else { return Ok(None) };
        Ok(Some(billing.store().turn_of_many().await?))
    }

    /// The billing store, if there is one. Its tables, which an aggregator makes, are waited for.
    async fn billing(&self, context: &RequestContext) -> Result<&Billing, Error> {
        let billing = self.billing.as_ref().ok_or_else(Error::billing_not_configured)?;
        context.reached(Stage::AskingBilling);
        billing.ready().await?;
        Ok(billing)
    }
}
