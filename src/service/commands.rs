//! Commands: what moves money, and what looks at it. Each is decided by the ledger in one atomic step.
//!
//! Dropping one of these futures is harmless: a command that was sent is decided and recorded anyway.

use std::sync::Arc;

use super::UseCases;
use super::context::RequestContext;
use super::deadline::Stage;
use super::decisions;
use super::decisions::Recorder;
use super::error::Error;
use super::refunds;
use access::Permission;
use domain::command::{Action, Command};
use domain::ids::{AccountId, RequestId};
use domain::outcome::{Answer, Decision, Outcome, Refusal};
use ledger::LedgerError;

/// What the ledger decided, with what was asked.
#[derive(Clone, Debug)]
pub struct Decided {
    /// What was asked; the ledger holds it too.
    pub command: Arc<Command>,
    /// What the ledger returned, with the time by which it decided.
    pub outcome: Outcome,
    pub decision: Decision,
}

impl UseCases {
    /// Executes a command. What a refund or a reversal needs of its original is looked up where the ledger asks for it.
    pub async fn decide(&self, context: &RequestContext, mut command: Command) -> Result<Decided, Error> {
        self.admit(context, &mut command).await?;
        self.decide_admitted(context, Arc::new(command)).await
    }

    /// The same of a command that was let through.
    pub(super) async fn decide_admitted(&self, context: &RequestContext, command: Arc<Command>) -> Result<Decided, Error> {
        context.ensure_time_for(|| self.ledger.expected_wait(&command.account))?;
        context.reached(Stage::Sent);
        let recorder = Recorder::new(self, context);
        let answer = self.answer_to(&command).await?;
        recorder.record(&command, Ok(&answer));
        if context.is_traced() {
            decisions::trace(&command, &answer);
        }
        if let Err(refusal @ (Refusal::ExceedsAmountDue | Refusal::NotInMinorUnits)) = answer
            && let Ok(Ok(seen)) = self.ledger.observe(&command.account, false).await
        {
            return Err(Error::refused(refusal, &command).explained_by(&seen.account));
        }
        let decided = Decided::of(command, answer)?;
        self.tell_of_act(&decided);
        Ok(decided)
    }

    /// Reads an account's credit, due events applied.
    pub async fn observe(&self, context: &RequestContext, account: &AccountId) -> Result<Outcome, Error> {
        context.require(Permission::ReadCredit, account)?;
        context.ensure_time_for(|| self.ledger.expected_wait(account))?;
        self.look_at(account).await
    }

    /// An account's credit, for a use case that has asked for its own permission.
    pub(super) async fn look_at(&self, account: &AccountId) -> Result<Outcome, Error> {
        let answer = self.ledger.observe(account, false).await?;
        answer.map_err(|refusal| Error::refused(refusal, &observation(account.to_owned())))
    }

    /// What the ledger says to a command that was let through.
    pub(super) async fn answer_to(&self, command: &Arc<Command>) -> Result<Answer, Error> {
        match refunds::is_one(&command.action) {
            // In a box: else each command's future had room for it, three times what it needs itself.
            true => Box::pin(self.give_back(Arc::clone(command))).await,
            false => Ok(self.ledger.submit(Arc::clone(command)).await?),
        }
    }
}

impl Decided {
    /// What the ledger decided on a command, or why it refused.
    pub(super) fn of(command: Arc<Command>, answer: Answer) -> Result<Self, Error> {
        let outcome = answer.map_err(|refusal| Error::refused(refusal, &command))?;
        let Some(decision) = outcome.decision else {
            return Err(undecided());
        };
        Ok(Self { command, outcome, decision })
    }
}

/// The ledger broke its promise.
pub(super) fn undecided() -> Error {
    LedgerError::unknown("a command was answered without a decision").into()
}

/// A look at an account's credit, as a command.
#[must_use]
pub fn observation(account: AccountId) -> Command {
    Command::new(account, RequestId::default(), Action::Observe { watch: false })
}
