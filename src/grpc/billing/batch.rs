//! `BatchConvert`: many accounts, one after another, each under a request id made of the batch's, so that repeating changes nothing.
//!
//! Some are under way at once, and are answered in order. A refusal is the account's own; only if the ledger or the billing store is
//! away does the stream end, and it is resumed after the last account that was told.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use prost::Message;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Code, Status};

use super::estimate;
use crate::domain::account::{Account, Currency, Millis, Mode};
use crate::domain::command::{Action, Command, LimitChange, Note, TemporaryChange};
use crate::domain::money::Quote;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::rules::{self, Moment, Touched};
use crate::grpc::front::{Front, outcome};
use crate::grpc::v1::batch_convert_request::{Accounts, Limit};
use crate::grpc::v1::batch_convert_response::Outcome as Told;
use crate::grpc::wire::charging::needed_mode;
use crate::grpc::wire::reader::{Reader, Sign};
use crate::grpc::wire::render::{mode as told_mode, money};
use crate::grpc::wire::{Position, Subject};
use crate::grpc::{page_token, status, v1};
use crate::ledger::{ListedAccount, NamePlace};

/// How many accounts are under way at once.
const UNDER_WAY: usize = 16;

/// How many accounts of a filter are read at once.
const PAGE: usize = 200;

/// How many accounts a list may have.
const MOST_LISTED: usize = 10_000;

/// The permanent limit to set.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    amount: Quote,
    currency: Option<Currency>,
}

/// What to do with each account.
#[derive(Debug)]
struct Plan {
    batch_id: String,
    mode: Mode,
    limit: Option<Wanted>,
    is_suggested: bool,
    limit_if_unchanged: bool,
    allow_unusable: bool,
    is_dry_run: bool,
    note: Note,
}

/// Which accounts.
#[derive(Debug)]
enum Source {
    /// These.
    List(Vec<(String, Option<Wanted>)>),
    /// All that match.
    Filter { prefix: String, currency: Option<Currency> },
}

/// Where the next account comes from.
struct Queue {
    front: Front,
    source: Source,
    page: VecDeque<String>,
    places: VecDeque<NamePlace>,
    after: Option<NamePlace>,
    is_exhausted: bool,
    done: u64,
    query: String,
    _permit: OwnedSemaphorePermit,
}

/// An account to convert, and what to say of it besides.
struct Target {
    account: String,
    limit: Option<Wanted>,
    resume_token: String,
    done: i64,
    total: i64,
}

/// Converts accounts. Fails at once if the request is none.
pub async fn convert(
    front: Front,
    request: v1::BatchConvertRequest,
) -> Result<impl Stream<Item = Result<v1::BatchConvertResponse, Status>> + Send + use<>, Status> {
    let permit = front.gate.stream()?;
    let query = query_of(&request);
    let (plan, source, place) = front.read(request, Position::default(), |reader, request| {
        let place: Option<(u64, String)> = page_token::read(reader, "resume_token", &["batch", &query], &request.resume_token);
        let (plan, source) = read(reader, request);
        (plan, source, place)
    })?;
    if plan.is_suggested {
        front.billing().await?;
    }
    let (done, after) = place.map_or((0, None), |(done, name)| (done, name_place(&name)));
    let is_exhausted = false;
    let (page, places) = (VecDeque::new(), VecDeque::new());
    let queue = Queue { front: front.clone(), source, page, places, after, is_exhausted, done, query, _permit: permit };
    let plan = Arc::new(plan);
    let targets = stream::try_unfold(queue, |mut queue| async move { Ok(queue.next().await?.map(|target| (target, queue))) });
    let answers = targets.map(move |target: Result<Target, Status>| {
        let (front, plan) = (front.clone(), Arc::clone(&plan));
        async move { answer(&front, &plan, target?).await }
    });
    Ok(until_broken(answers.buffered(UNDER_WAY)))
}

/// Ends a stream with its first error.
fn until_broken<T>(answers: impl Stream<Item = Result<T, Status>> + Send) -> impl Stream<Item = Result<T, Status>> + Send {
    stream::unfold(Some(Box::pin(answers)), |answers| async move {
        let mut answers = answers?;
        match answers.next().await? {
            Ok(answer) => Some((Ok(answer), Some(answers))),
            Err(status) => Some((Err(status), None)),
        }
    })
}

/// What tokens are bound to: all of the request but the token.
fn query_of(request: &v1::BatchConvertRequest) -> String {
    let plain = v1::BatchConvertRequest { resume_token: String::new(), ..request.clone() };
    blake3::hash(&plain.encode_to_vec()).to_hex().to_string()
}

/// A place in the order of names, as a token holds it: the account's id, which has no zero byte, and its folded name.
fn name_place(text: &str) -> Option<NamePlace> {
    let (account, folded_name) = text.split_once('\0')?;
    Some(NamePlace { folded_name: folded_name.to_owned(), account: account.to_owned() })
}

fn read(reader: &mut Reader, request: v1::BatchConvertRequest) -> (Plan, Source) {
    let batch_id = reader.request_id("batch_id", request.batch_id);
    if batch_id.len() > 100 {
        reader.refuse("batch_id", "must be at most 100 characters");
    }
    let mode = needed_mode(reader, request.mode);
    let (limit, is_suggested) = match request.limit {
        None => (None, false),
        Some(Limit::LimitForAll(money)) => (wanted(reader, "limit_for_all", money), false),
        Some(Limit::SuggestedLimit(true)) => (None, true),
        Some(Limit::SuggestedLimit(false)) => {
            reader.refuse("suggested_limit", "must be true, or absent");
            (None, false)
        }
    };
    let source = match request.accounts {
        None => {
            reader.refuse("", "must say which accounts: list or filter");
            Source::List(Vec::new())
        }
        Some(Accounts::List(list)) => Source::List(read_list(reader, list.accounts)),
        Some(Accounts::Filter(filter)) => {
            let prefix = reader.text("filter.name_prefix", filter.name_prefix, 0..=200);
            let currency = read_currency(reader, "filter.currency_code", &filter.currency_code);
            if currency.is_none() && limit.is_some_and(|limit| limit.currency.is_none()) {
                reader.refuse("filter.currency_code", "must be given with limit_for_all");
            }
            Source::Filter { prefix, currency: currency.or(limit.and_then(|limit| limit.currency)) }
        }
    };
    let mut note = Note::default();
    reader.operator(request.operator, true, &mut note);
    let plan = Plan {
        batch_id,
        mode,
        limit,
        is_suggested,
        limit_if_unchanged: request.limit_if_unchanged,
        allow_unusable: request.allow_unusable,
        is_dry_run: request.dry_run,
        note,
    };
    (plan, source)
}

fn read_currency(reader: &mut Reader, field: &str, code: &str) -> Option<Currency> {
    if code.is_empty() {
        return None;
    }
    let letters = <[u8; 3]>::try_from(code.as_bytes()).ok().filter(|letters| letters.iter().all(u8::is_ascii_uppercase));
    if letters.is_none() {
        reader.refuse(field, "must be an ISO 4217 code: three capital letters");
    }
    letters.map(Currency)
}

/// An amount with a currency of its own: accounts of a list may differ in theirs.
fn wanted(reader: &mut Reader, field: &str, money: v1::Money) -> Option<Wanted> {
    let currency = read_currency(reader, &format!("{field}.currency_code"), &money.currency_code);
    let mut own = Reader::new(reader.now());
    let amount = own.optional_amount("limit", Some(v1::Money { currency_code: String::new(), ..money }), Sign::NotNegative);
    match own.finish(amount) {
        Ok(amount) => Some(Wanted { amount: amount?, currency }),
        Err(violations) => {
            violations.into_iter().for_each(|violation| reader.refuse(&format!("{field}.amount"), violation.description));
            None
        }
    }
}

fn read_list(reader: &mut Reader, accounts: Vec<v1::BatchAccount>) -> Vec<(String, Option<Wanted>)> {
    if accounts.is_empty() || accounts.len() > MOST_LISTED {
        reader.refuse("list.accounts", format!("must be 1 to {MOST_LISTED}"));
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let mut list = Vec::with_capacity(accounts.len());
    for (index, v1::BatchAccount { account_id, limit }) in accounts.into_iter().enumerate() {
        let mut own = Reader::new(reader.now());
        let id = own.account_id(account_id);
        if let Err(violations) = own.finish(()) {
            let field = format!("list.accounts[{index}].account_id");
            violations.into_iter().for_each(|violation| reader.refuse(&field, violation.description));
        } else if !seen.insert(id.clone()) {
            reader.refuse(&format!("list.accounts[{index}].account_id"), "must not be there twice");
        }
        let limit = limit.and_then(|money| wanted(reader, &format!("list.accounts[{index}].limit"), money));
        list.push((id, limit));
    }
    list
}

impl Queue {
    async fn next(&mut self) -> Result<Option<Target>, Status> {
        if self.front.stopping.is_cancelled() {
            return Err(status::stopping());
        }
        let index = usize::try_from(self.done).unwrap_or(usize::MAX);
        let (account, limit, total, place) = match &self.source {
            Source::List(list) => match list.get(index) {
                Some((account, limit)) => (account.clone(), *limit, list.len(), String::new()),
                None => return Ok(None),
            },
            Source::Filter { prefix, currency } => {
                while self.page.is_empty() && !self.is_exhausted {
                    let found = self.front.ledger.accounts(prefix, None, self.after.take(), PAGE).await;
                    let found = found.map_err(|error| status::no_answer(&error))?;
                    for ListedAccount { id, account, profile, .. } in found.accounts {
                        if currency.is_none_or(|currency| currency == account.currency) {
                            let folded_name = crate::ledger::fold_name(&profile.name);
                            self.places.push_back(NamePlace { folded_name, account: id.clone() });
                            self.page.push_back(id);
                        }
                    }
                    self.is_exhausted = found.next.is_none();
                    self.after = found.next;
                }
                let (Some(account), Some(place)) = (self.page.pop_front(), self.places.pop_front()) else { return Ok(None) };
                (account, None, 0, format!("{}\0{}", place.account, place.folded_name))
            }
        };
        self.done += 1;
        Ok(Some(Target {
            account,
            limit,
            resume_token: page_token::encode(&["batch", &self.query], &(self.done, place)),
            done: i64::try_from(self.done).unwrap_or(i64::MAX),
            total: i64::try_from(total).unwrap_or(i64::MAX),
        }))
    }
}

/// What becomes of one account. An error ends the stream.
async fn answer(front: &Front, plan: &Plan, target: Target) -> Result<v1::BatchConvertResponse, Status> {
    let told = match treat(front, plan, &target, true).await {
        Ok(told) => told,
        Err(status) if matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::Internal) => return Err(status),
        Err(status) => Told::Error(status::as_outcome(&status)),
    };
    let Target { account, resume_token, done, total, .. } = target;
    Ok(v1::BatchConvertResponse { account_id: account, outcome: Some(told), resume_token, done, total })
}

/// What is to be done is found by looking; whoever changes the account meanwhile makes it look once more.
async fn treat(front: &Front, plan: &Plan, target: &Target, may_repeat: bool) -> Result<Told, Status> {
    let Outcome { account, now, .. } = front.observe(&target.account, false).await?;
    let has_mode = account.mode == plan.mode;
    let unchanged = |account: &Account, now: Millis| {
        Told::Unchanged(v1::BatchUnchanged {
            mode: told_mode(account.mode).into(),
            credit_limit: Some(money(account, account.credit_limit(now))),
        })
    };
    if has_mode && !plan.limit_if_unchanged {
        return Ok(unchanged(&account, now));
    }
    let limit = match target.limit.or(plan.limit) {
        None if plan.is_suggested => Some(suggested(front, target, &account).await?),
        limit => limit,
    };
    let is_there = |wanted: Wanted| wanted.amount.to_units(account.decimals) == Ok(account.permanent_limit);
    if has_mode && limit.is_none_or(is_there) {
        return Ok(unchanged(&account, now));
    }
    let change = LimitChange { permanent: limit.map(|wanted| wanted.amount), temporary: TemporaryChange::Keep };
    let allow_unusable = plan.allow_unusable;
    let (suffix, action) = match has_mode {
        true => (":limit", Action::SetCreditLimit { limit: change, allow_unusable }),
        false => ("", Action::Convert { mode: plan.mode, limit: change, allow_unusable }),
    };
    let command = Command {
        account: target.account.clone(),
        request_id: format!("batch:{}{suffix}", plan.batch_id),
        first_sent_at: None,
        currency: limit.and_then(|wanted| wanted.currency),
        action,
        note: plan.note.clone(),
    };
    let usable_before = account.usable_credit(now);
    let (after, verdict, replayed, now) = match plan.is_dry_run {
        true => would_be(front, &account, now, command)?,
        false => {
            let decided = front.decide(command).await?;
            (decided.outcome.account, decided.decision.verdict, decided.outcome.replayed, decided.outcome.now)
        }
    };
    let is_overtaken = after.mode != plan.mode || (!has_mode && verdict == Verdict::Unchanged);
    if is_overtaken && may_repeat && !replayed && !plan.is_dry_run {
        return Box::pin(treat(front, plan, target, false)).await;
    }
    if verdict != Verdict::Done {
        return Ok(unchanged(&after, now));
    }
    Ok(Told::Converted(v1::BatchConverted {
        mode_changed: !has_mode,
        credit_limit: Some(money(&after, after.credit_limit(now))),
        usable_before: Some(money(&account, usable_before)),
        usable_after: Some(money(&after, after.usable_credit(now))),
        replayed,
    }))
}

async fn suggested(front: &Front, target: &Target, account: &Account) -> Result<Wanted, Status> {
    let suggestion = estimate(front, &target.account, account).await?;
    let limit = suggestion.limit.ok_or_else(|| status::no_history(&target.account))?;
    Ok(Wanted { amount: Quote::new(limit, account.decimals), currency: None })
}

/// What a command would lead to: decided by the rules, and written nowhere.
fn would_be(front: &Front, account: &Account, now: Millis, command: Command) -> Result<(Account, Verdict, bool, Millis), Status> {
    let [period_end, _] = front.ledger.clock().period_ends(now);
    let moment = Moment { now, period_end, window: 0 };
    let touched = Touched { account: Some(*account), next_sequence: 1, ..Touched::default() };
    let step = rules::decide(&touched, &command, &[0; 8], &moment);
    let outcome = outcome(&Subject::new(command, Position::default()), Ok(step.answer))?;
    let verdict = outcome.decision.map_or(Verdict::Unchanged, |decision| decision.verdict);
    Ok((outcome.account, verdict, false, now))
}
