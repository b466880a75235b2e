//! Conversion of many accounts, one after another, each under a request id made of the batch's, so that repeating changes nothing.
//!
//! Some are under way at once, and are answered in order. A refusal is the account's own; only if the ledger or the billing store is
//! away does the stream end, and it is resumed after the last account that was answered.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::UseCases;
use super::admission::StreamPermit;
use super::approvals::TOO_MANY;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use domain::account::{Account, Currency, Mode};
use domain::command::{Action, Command, LimitChange, Metadata, TemporaryChange};
use domain::entry::Entry;
use domain::ids::AccountId;
use domain::money::{DecimalAmount, Units};
use domain::outcome::{Outcome, Verdict};
use domain::rules::{self, LoadedState, StepTime};
use domain::time::UnixMillis;
use ledger::{AccountFilter, ListedAccount, NamePlace};
use platform::lanes::offload::NotRun;
use platform::lanes::source::Source;
use tracing::Instrument;

/// How many accounts are under way at once.
const UNDER_WAY: usize = 16;

/// How many accounts of a filter are read at once.
const PAGE: usize = 200;

/// The permanent limit to set.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub amount: DecimalAmount,
    /// The currency that the caller believes the account to have, if it said so.
    pub currency: Option<Currency>,
}

/// The conversion of each account.
#[derive(Debug)]
pub struct Plan {
    /// The name of the batch, of which request ids are made.
    pub batch_id: String,
    /// The payment mode to convert to.
    pub mode: Mode,
    /// The limit of accounts that have none of their own; `None` means that it stays, unless it is suggested.
    pub limit: Option<Limit>,
    /// Whether the limit is the one that the account's history suggests.
    pub is_suggested: bool,
    /// Whether the limit is also set where the mode is right already.
    pub limit_if_unchanged: bool,
    /// Whether an account may end up with no usable credit.
    pub allow_unusable: bool,
    /// Whether nothing is changed, and the outcomes are what they would be.
    pub is_dry_run: bool,
    /// Who does it, and why.
    pub metadata: Metadata,
}

/// Which accounts.
#[derive(Debug)]
pub enum Selection {
    /// These, each with a limit of its own if it has one.
    List(Vec<(AccountId, Option<Limit>)>),
    /// All whose names begin so, in the currency if one is given.
    Filter {
        /// How names begin.
        prefix: String,
        currency: Option<Currency>,
    },
}

/// How far a conversion has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// How many accounts are done.
    pub done: u64,
    /// Behind which account a filter goes on.
    pub after: Option<NamePlace>,
}

/// The outcome for an account.
#[derive(Clone, Debug)]
pub struct ConvertedAccount {
    /// The account.
    pub id: AccountId,
    /// The outcome.
    pub conversion: Conversion,
    /// Where to go on behind it.
    pub cursor: Cursor,
    /// How many accounts a list has; 0 of a filter.
    pub total: usize,
}

/// The outcome for an account.
#[derive(Clone, Debug)]
pub enum Conversion {
    /// Its mode or its limit was changed.
    Done {
        /// Whether the mode was.
        is_mode_changed: bool,
        /// The account before.
        before: Account,
        /// Its usable credit before.
        usable_before: Units,
        /// The account afterwards.
        after: Account,
        /// The time by which it was decided.
        now: UnixMillis,
        /// Whether it was done before.
        replayed: bool,
    },
    /// It was so already.
    Unchanged {
        account: Account,
        /// The time as of which it is shown.
        now: UnixMillis,
    },
    Refused(Error),
}

/// Where the next account comes from.
struct Queue {
    use_cases: UseCases,
    selection: Selection,
    page: VecDeque<NamePlace>,
    after: Option<NamePlace>,
    is_exhausted: bool,
    done: u64,
    /// Once it is cancelled, there is no next one.
    end: CancellationToken,
    _permit: StreamPermit,
}

/// An account to convert.
struct Target {
    id: AccountId,
    limit: Option<Limit>,
    cursor: Cursor,
    total: usize,
}

impl UseCases {
    /// Converts accounts, from a place on. Once `end` is cancelled, no other one begins; those under way are told of.
    pub async fn convert_accounts(
        &self,
        context: RequestContext,
        plan: Plan,
        selection: Selection,
        from: Cursor,
        end: CancellationToken,
    ) -> Result<impl Stream<Item = Result<ConvertedAccount, Error>> + Send + use<>, Error> {
        let is_of_all = matches!(selection, Selection::Filter { .. });
        if is_of_all {
            self.telling(&context, context.require_everywhere(Permission::Convert))?;
        }
        let permit = self.admission.stream(&context)?;
        let access = self.stream_access(context.clone())?;
        if plan.is_suggested {
            self.billing(&context).await?;
        }
        let queue = Queue {
            use_cases: self.clone(),
            selection,
            page: VecDeque::new(),
            after: from.after,
            is_exhausted: false,
            done: from.done,
            end,
            _permit: permit,
        };
        let targets = stream::try_unfold(queue, |mut queue| async move { Ok(queue.next().await?.map(|target| (target, queue))) });
        let (use_cases, context, plan) = (self.clone(), Arc::new(context), Arc::new(plan));
        let answers = targets.map(move |target: Result<Target, Error>| {
            let (use_cases, context, plan) = (use_cases.clone(), Arc::clone(&context), Arc::clone(&plan));
            async move {
                let target = target?;
                goes_on_by_itself(async move { use_cases.convert_one(&context, &plan, target).await }).await?
            }
        });
        // An account that the caller may no longer convert is refused on its own.
        Ok(access.hold(answers.buffered(UNDER_WAY), move |context| match is_of_all {
            true => context.require_everywhere(Permission::Convert),
            false => context.require_at_all(Permission::Convert),
        }))
    }

    /// Converts one account. An error ends the stream.
    async fn convert_one(&self, context: &RequestContext, plan: &Plan, target: Target) -> Result<ConvertedAccount, Error> {
        let conversion = match self.treat(context, plan, &target, true).await {
            Ok(conversion) => conversion,
            Err(error) if error.leaves_open() && error.reason != TOO_MANY => return Err(error),
            Err(error) => {
                self.tell_of_refusal(context, &error);
                Conversion::Refused(error)
            }
        };
        let Target { id, cursor, total, .. } = target;
        Ok(ConvertedAccount { id, conversion, cursor, total })
    }

    /// Works out what is to be done, and does it. If the account is changed meanwhile, it does so once more.
    async fn treat(&self, context: &RequestContext, plan: &Plan, target: &Target, may_repeat: bool) -> Result<Conversion, Error> {
        context.require(Permission::Convert, &target.id)?;
        let Outcome { account, now, .. } = self.look_at(&target.id).await?;
        let has_mode = account.mode == plan.mode;
        if has_mode && !plan.limit_if_unchanged {
            return Ok(Conversion::Unchanged { account, now });
        }
        let limit = match target.limit.or(plan.limit) {
            None if plan.is_suggested => {
                let _turn = self.turn_at_billing().await?;
                let suggestion = self.estimate(context, &target.id, &account).await?;
                let limit = suggestion.limit.ok_or_else(|| Error::no_history(&target.id))?;
                Some(Limit { amount: DecimalAmount::new(limit.get(), account.decimals), currency: None })
            }
            limit => limit,
        };
        let is_there = |wanted: Limit| wanted.amount.to_units(account.decimals) == Ok(account.permanent_limit);
        if has_mode && limit.is_none_or(is_there) {
            return Ok(Conversion::Unchanged { account, now });
        }
        let change = LimitChange { permanent: limit.map(|wanted| wanted.amount), temporary: TemporaryChange::Keep };
        let allow_unusable = plan.allow_unusable;
        let (suffix, action) = match has_mode {
            true => (":limit", Action::SetCreditLimit { limit: change, allow_unusable }),
            false => ("", Action::Convert { mode: plan.mode, limit: change, allow_unusable }),
        };
        let mut command = Command {
            account: target.id.clone(),
            request_id: format!("batch:{}{suffix}", plan.batch_id).into(),
            first_sent_at: None,
            currency: limit.and_then(|wanted| wanted.currency),
            action,
            metadata: plan.metadata.clone(),
        };
        match plan.is_dry_run {
            true => {
                self.permit(context, &mut command).await?;
                self.refuse_above_figures(&command).await?;
            }
            false => {
                // What waits for a second person is kept in the billing store.
                let _turn = self.turn_at_billing().await?;
                self.admit(context, &mut command).await?;
            }
        }
        let usable_before = account.usable_credit(now);
        let (outcome, verdict) = match plan.is_dry_run {
            true => self.would_be(&account, now, &command)?,
            false => {
                let decided = self.decide_admitted(context, Arc::new(command)).await?;
                (decided.outcome, decided.decision.verdict)
            }
        };
        let Outcome { account: after, now, replayed, .. } = outcome;
        let is_overtaken = after.mode != plan.mode || (!has_mode && verdict == Verdict::Unchanged);
        if is_overtaken && may_repeat && !replayed && !plan.is_dry_run {
            return Box::pin(self.treat(context, plan, target, false)).await;
        }
        if verdict != Verdict::Done {
            return Ok(Conversion::Unchanged { account: after, now });
        }
        Ok(Conversion::Done { is_mode_changed: !has_mode, before: account, usable_before, after, now, replayed })
    }

    /// What a command would lead to: decided by the rules, and written nowhere.
    fn would_be(&self, account: &Account, now: UnixMillis, command: &Command) -> Result<(Outcome, Verdict), Error> {
        let (outcome, _) = self.would_lead_to(Some(account), now, command)?;
        let verdict = outcome.decision.map_or(Verdict::Unchanged, |decision| decision.verdict);
        Ok((outcome, verdict))
    }

    /// The same, with the entries that it would write.
    pub(super) fn would_lead_to(
        &self,
        account: Option<&Account>,
        now: UnixMillis,
        command: &Command,
    ) -> Result<(Outcome, Vec<Entry>), Error> {
        let [period_end, _] = self.clock().period_ends(now);
        let step_time = StepTime { now, period_end, window: self.ledger.idempotency_window() };
        let loaded = LoadedState { account: account.copied(), next_sequence: 1, ..LoadedState::default() };
        let step = rules::decide(&loaded, command, &[0; 8], &step_time);
        let outcome = step.answer.map_err(|refusal| Error::refused(refusal, command))?;
        Ok((Outcome { now, replayed: false, ..outcome }, step.writes.map(|writes| writes.entries).unwrap_or_default()))
    }
}

/// Has work go on while nobody asks for its result, and ends it if nobody will. A result is asked for in its turn only, when the reader has
/// taken those before it: work that stood still meanwhile would keep what it holds, such as connections to the billing store.
async fn goes_on_by_itself<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Error> {
    let mut task = JoinSet::new();
    task.spawn(Source::current().scoped(work.in_current_span()));
    task.join_next().await.and_then(Result::ok).ok_or_else(|| NotRun::GivenUp.into())
}

impl Queue {
    async fn next(&mut self) -> Result<Option<Target>, Error> {
        if self.use_cases.stopping.is_cancelled() {
            return Err(Error::stopping());
        }
        if self.end.is_cancelled() {
            return Ok(None);
        }
        let index = usize::try_from(self.done).unwrap_or(usize::MAX);
        let (id, limit, total, after) = match &self.selection {
            Selection::List(list) => match list.get(index) {
                Some((id, limit)) => (id.clone(), *limit, list.len(), None),
                None => return Ok(None),
            },
            Selection::Filter { prefix, currency } => {
                while self.page.is_empty() && !self.is_exhausted {
                    let found = self.use_cases.ledger.accounts(prefix, &AccountFilter::default(), self.after.take(), PAGE).await?;
                    for ListedAccount { id, account, profile, .. } in found.accounts {
                        if currency.is_none_or(|currency| currency == account.currency) {
                            self.page.push_back(NamePlace { folded_name: ledger::fold_name(&profile.name), account: id });
                        }
                    }
                    self.is_exhausted = found.next.is_none();
                    self.after = found.next;
                }
                let Some(place) = self.page.pop_front() else { return Ok(None) };
                (place.account.clone(), None, 0, Some(place))
            }
        };
        self.done += 1;
        Ok(Some(Target { id, limit, cursor: Cursor { done: self.done, after }, total }))
    }
}
