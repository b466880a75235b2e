//! Keeps acts that need a second person until one approves.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::super::UseCases;
use super::super::context::RequestContext;
use super::super::error::{Error, Kind as ErrorKind};
use super::{about, callers_unknown, ended, too_many};
use access::Kind;
use billing::BillingError;
use billing::approvals::{Approval, AskOutcome, Party, State, VALIDITY, stored};
use domain::account::{Account, Currency};
use domain::approval::{Extent, GuardedAct};
use domain::command::{Action, Command};
use domain::ids::RequestId;
use domain::outcome::{Outcome, Refusal};
use domain::time::UnixMillis;

/// How long the billing store may take to keep an act.
const PATIENCE: Duration = Duration::from_secs(2);

/// A command above its figure.
struct CommandAboveFigure {
    act: GuardedAct,
    currency: Currency,
    extent: Extent,
    /// Its account; `None` if it is to be created.
    account: Option<Account>,
    now: UnixMillis,
}

impl UseCases {
    /// Whether a command may be above a figure, as far as its action alone tells.
    pub(in super::super) fn may_need_approval(&self, command: &Command) -> Result<bool, Error> {
        match GuardedAct::of(&command.action) {
            None => Ok(false),
            Some(act) => self.access.guards(act).ok_or_else(figures_unknown),
        }
    }

    /// Keeps a command that is above its figure, and says so; what was kept already gets the same answer. One that was done passes, but only
    /// for the ledger to repeat its decision: by then it may have forgotten it.
    pub(in super::super) async fn hold(&self, context: &RequestContext, command: &mut Command) -> Result<(), Error> {
        let Some(above) = self.above_figure(command).await? else { return Ok(()) };
        if !self.ledger.is_remembered(&command.account, &command.request_id).await? {
            let (use_cases, context, command) = (self.clone(), context.clone(), command.clone());
            in_time(async move { use_cases.keep(&context, &command, &above).await }).await?;
        }
        command.only_repeat();
        Ok(())
    }

    /// Keeps a command that is above its figure, and says so; unless it was kept already, and was done.
    async fn keep(&self, context: &RequestContext, command: &Command, above: &CommandAboveFigure) -> Result<(), Error> {
        let billing = self.billing(context).await?;
        if let Some(known) = billing.approval_of(&command.account, &command.request_id).await? {
            return self.told_again(command, &known).await;
        }
        if context.caller.kind == Kind::Local {
            return Err(callers_unknown());
        }
        self.refuse_in_vain(command, above)?;
        match billing.ask_approval(&asked_for(context, command, above)?).await? {
            AskOutcome::Waits(approval) => Err(needed(&approval)),
            AskOutcome::Known(known) => self.told_again(command, &known).await,
            AskOutcome::TooMany(most) => Err(too_many(most, &command.account)),
        }
    }

    /// Refuses a command that is above its figure, where nothing is to be done, and so nothing is kept.
    pub(in super::super) async fn refuse_above_figures(&self, command: &Command) -> Result<(), Error> {
        if !self.may_need_approval(command)? || self.above_figure(command).await?.is_none() {
            return Ok(());
        }
        let text = "this needs the approval of a second person, and would be kept until then";
        let error = Error::precondition("APPROVAL_NEEDED", format!("accounts/{}", command.account), text);
        Err(error.with("account_id", &command.account))
    }

    /// Whether a command is above the figure of its act in its currency.
    async fn above_figure(&self, command: &Command) -> Result<Option<CommandAboveFigure>, Error> {
        let Some(act) = GuardedAct::of(&command.action) else { return Ok(None) };
        let (account, currency, now) = match &command.action {
            Action::Create(create) => {
                let found = self.ledger.observe(&command.account, false).await?.ok();
                (found.map(|found| found.account), create.currency, self.clock().now())
            }
            _ => {
                let Outcome { account, now, .. } = self.look_at(&command.account).await?;
                (Some(account), account.currency, now)
            }
        };
        let Some(figure) = self.access.approval_above(act, currency) else { return Ok(None) };
        let extent = Extent::of(&command.action, account.as_ref(), now).filter(|extent| extent.exceeds(figure));
        Ok(extent.map(|extent| CommandAboveFigure { act, currency, extent, account, now }))
    }

    /// Refuses at once what would be refused when it is approved, as things are.
    fn refuse_in_vain(&self, command: &Command, above: &CommandAboveFigure) -> Result<(), Error> {
        let tried = self.would_lead_to(above.account.as_ref(), above.now, command);
        tried.map(drop).map_err(|error| match &above.account {
            Some(account) => error.explained_by(account),
            None => error,
        })
    }

    /// The answer to a command that is known.
    async fn told_again(&self, command: &Command, known: &Approval) -> Result<(), Error> {
        if stored::written(command).as_ref() != Some(&known.command) {
            return Err(Error::refused(Refusal::RequestIdReused, command));
        }
        let now = self.clock().now();
        let known = &super::as_of(known.clone(), now);
        match known.state {
            State::Waiting => Err(needed(known)),
            State::Approved => self.do_approved(known, false).await,
            State::Done => Ok(()),
            State::Failed | State::Rejected | State::Expired => Err(ended(known)),
        }
    }
}

/// Waits for work with the billing store for a while, since charges may wait behind it. It goes on if nobody waits any more: what was kept
/// by then is told to who repeats the request.
async fn in_time(work: impl Future<Output = Result<(), Error>> + Send + 'static) -> Result<(), Error> {
    let unavailable = |why: &str| BillingError::unavailable(format!("what needs approval could not be kept: {why}"));
    match timeout(PATIENCE, tokio::spawn(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(ended)) => Err(unavailable(&ended.to_string()).into()),
        Err(late) => Err(unavailable(&late.to_string()).into()),
    }
}

/// What is kept of a command. Its number is given when it is.
fn asked_for(context: &RequestContext, command: &Command, above: &CommandAboveFigure) -> Result<Approval, Error> {
    let unwritten = || Error::new(ErrorKind::Internal, "STORE_CORRUPT", "an act that needs approval cannot be kept");
    let metadata = &command.metadata;
    let asked =
        Party { name: metadata.actor.clone(), on_behalf_of: metadata.on_behalf_of.clone(), reason: metadata.reason.clone(), at: above.now };
    Ok(Approval {
        id: 0,
        account: command.account.clone(),
        request_id: command.request_id.clone(),
        act: above.act,
        currency: above.currency,
        amount: above.extent.amount(),
        command: stored::written(command).ok_or_else(unwritten)?,
        asker: serde_json::to_string(&context.caller.remembered()).map_err(|_| unwritten())?,
        asked,
        origin: metadata.origin.clone(),
        ends_at: above.now + VALIDITY,
        state: State::Waiting,
        decided: Party::default(),
        decided_request_id: RequestId::default(),
        failure: String::new(),
    })
}

/// It waits for a second person.
fn needed(approval: &Approval) -> Error {
    let ends_at = Timestamp::from_millisecond(approval.ends_at.get()).map(|at| at.to_string()).unwrap_or_default();
    let text = format!(
        "this needs the approval of a second person, and waits for it until {ends_at} as number {}: nothing was done; the same request, \
         repeated, returns its state",
        approval.id
    );
    let error = about(Error::precondition("APPROVAL_NEEDED", format!("approvals/{}", approval.id), text), approval);
    error.with("ends_at", ends_at)
}

/// A process that could not ask yet from which figures on acts need a second person does not guess.
fn figures_unknown() -> Error {
    let text = "it is not known yet which acts need the approval of a second person; charging goes on, and repeating the request is safe";
    Error::unavailable("BILLING_UNAVAILABLE", text, Duration::from_millis(500))
}
