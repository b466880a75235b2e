//! What all services share: a request is read, decided by the ledger, and answered.
//!
//! Dropping one of these futures is harmless: a command that was sent is decided and recorded all the same.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::deadline::{self, Stage};
use super::gate::Gate;
use super::status;
use super::wire::reader::Reader;
use super::wire::{Decided, Position, Subject};
use crate::billing::Billing;
use crate::domain::command::{Action, Command, Note};
use crate::domain::outcome::{Answer, Outcome, Refusal};
use crate::lanes::offload::Offload;
use crate::ledger::{EntryPage, Ledger, LedgerError};
use crate::service::error::Error;
use crate::service::refunds::Refunds;

/// How long the billing store may take to say how far it has come, before the journal is searched instead.
const BILLING_PATIENCE: Duration = Duration::from_millis(250);

/// The ledger, and the bounds of what is let in to it. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    /// Where commands are decided.
    pub ledger: Ledger,
    /// How much is let in.
    pub gate: Gate,
    /// What became of the charges; none: this service runs without.
    pub billing: Option<Billing>,
    /// Threads for what is not short: nothing of unknown length runs on a lane.
    pub offload: Offload,
    /// Says when the service stops: streams then read no more.
    pub stopping: CancellationToken,
}

impl Front {
    /// Reads a request, has it decided, and writes the answer, within the bounds and the caller's deadline.
    pub async fn answer<Q, A>(
        &self,
        request: Request<Q>,
        read: fn(&mut Reader, Q) -> Command,
        write: fn(&Decided) -> A,
    ) -> Result<Response<A>, Status> {
        self.bounded(request, async |request| {
            let command = self.read(request, Position::default(), read)?;
            Ok(write(&self.decide(command).await?))
        })
        .await
    }

    /// Handles a request within the bounds and the caller's deadline.
    pub async fn bounded<Q, A>(
        &self,
        request: Request<Q>,
        handle: impl AsyncFnOnce(Q) -> Result<A, Status>,
    ) -> Result<Response<A>, Status> {
        let _permit = self.gate.request()?;
        let given = deadline::given(request.metadata());
        deadline::within(given, handle(request.into_inner())).await.map(Response::new)
    }

    /// Reads a request.
    pub fn read<Q, T>(&self, request: Q, place: Position, read: impl FnOnce(&mut Reader, Q) -> T) -> Result<T, Status> {
        let clock = self.ledger.clock();
        let mut reader = Reader::new(clock.now()).with_calendar(clock);
        let value = read(&mut reader, request);
        reader.finish(value).map_err(|violations| status::invalid(violations, place))
    }

    /// The billing store, if there is one. Its tables, which an aggregator makes, are waited for.
    pub async fn billing(&self) -> Result<&Billing, Status> {
        let billing = self.billing.as_ref().ok_or_else(status::billing_not_configured)?;
        deadline::reached(Stage::AskingBilling);
        billing.ready().await.map_err(|error| status::no_bills(&error, ""))?;
        Ok(billing)
    }

    /// Does some work of unknown length on threads of its own.
    pub async fn offloaded<T: Send + 'static>(&self, work: impl Future<Output = Result<T, Status>> + Send + 'static) -> Result<T, Status> {
        self.offload.run(work).await.unwrap_or_else(|not_run| Err(Error::from(not_run).into()))
    }

    /// Has a command decided.
    pub async fn decide(&self, command: Command) -> Result<Decided, Status> {
        let subject = Subject::new(command, Position::default());
        deadline::reached(Stage::Sent);
        let answer = self.answer_to(&subject.command).await?;
        if let Err(refusal @ (Refusal::ExceedsAmountDue | Refusal::NotInMinorUnits)) = answer
            && let Ok(Ok(seen)) = self.ledger.observe(&subject.command.account, false).await
        {
            return Err(status::refused_by(refusal, &subject, &seen.account));
        }
        self.decided(subject, Ok(answer))
    }

    /// What the ledger decided, or why it did not.
    pub fn decided(&self, subject: Subject, answer: Result<Answer, LedgerError>) -> Result<Decided, Status> {
        let outcome = outcome(&subject, answer)?;
        let Some(decision) = outcome.decision else {
            return Err(status::no_answer(&LedgerError::unknown("a command was answered without a decision")));
        };
        Ok(Decided { subject, outcome, decision, now: outcome.now })
    }

    /// An account's credit, due events applied.
    pub async fn observe(&self, account: &str, watch: bool) -> Result<Outcome, Status> {
        let answer = self.ledger.observe(account, watch).await;
        outcome(&Subject::new(observation(account.to_owned()), Position::default()), answer)
    }

    /// Has a command decided; what a refund or a reversal needs is looked up where the ledger asks for it.
    pub async fn answer_to(&self, command: &Arc<Command>) -> Result<Answer, Status> {
        if Refunds::are_asked_by(&command.action) {
            let refunds = Refunds { ledger: self.ledger.clone(), billing: self.billing.clone(), offload: self.offload.clone() };
            return Ok(refunds.decide(Arc::clone(command)).await?);
        }
        self.ledger.submit(Arc::clone(command)).await.map_err(|error| status::no_answer(&error))
    }

    /// An account's entries below a sequence, newest first: out of the billing store, which finds them by account, and out of the journal
    /// what the billing store does not have yet. Where that is away, the journal is searched as far as it reaches.
    pub async fn entries(&self, account: &str, before: Option<u64>, count: usize) -> Result<EntryPage, Status> {
        let Some(billing) = &self.billing else {
            return self.ledger.entries(account, 0, before, count).await.map_err(|error| status::no_answer(&error));
        };
        let position = deadline::addition(BILLING_PATIENCE, billing.next_sequence(self.ledger.partition_of(account))).await;
        let down_to = position.and_then(Result::ok).unwrap_or_default();
        let mut page = self.ledger.entries(account, down_to, before, count).await.map_err(|error| status::no_answer(&error))?;
        if let (None, missing @ 1..) = (page.next_before, count - page.entries.len()) {
            if page.searched_to.is_some_and(|searched_to| searched_to <= 1) {
                return Ok(page);
            }
            let found = billing.entries(account, page.searched_to, missing).await;
            let found = found.map_err(|error| status::no_bills(&error, ""))?;
            page.next_before = found.last().filter(|_| found.len() == missing).map(|record| record.sequence);
            page.entries.extend(found.into_iter().map(|record| (record.sequence, record.entry)));
        }
        Ok(page)
    }
}

/// A look at an account's credit.
#[must_use]
pub fn observation(account: String) -> Command {
    Command {
        account,
        request_id: String::new(),
        first_sent_at: None,
        currency: None,
        action: Action::Observe { watch: false },
        note: Note::default(),
    }
}

/// What the ledger said to a command, or the status of why it did not.
pub fn outcome(subject: &Subject, answer: Result<Answer, LedgerError>) -> Result<Outcome, Status> {
    answer.map_err(|error| status::no_answer(&error))?.map_err(|refusal| status::refused(refusal, subject))
}
