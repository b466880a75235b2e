//! One engine, on which cases are lived through.

use std::sync::Arc;

use futures_util::future::join_all;
use tollgate::billing::lookup::{LookedUp, look_up};
use tollgate::clock::Clock;
use tollgate::domain::account::Account;
use tollgate::domain::command::{Action, Command, Metadata};
use tollgate::domain::entry::{Entry, EntryKind};
use tollgate::domain::ids::AccountId;
use tollgate::domain::money::Units;
use tollgate::domain::outcome::{Outcome, Refusal};
use tollgate::domain::rules::MAX_OPEN_RESERVATIONS;
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{Engine, Ledger};
use tollgate::service::error::{Error, Missing};

use super::outcome::{amount, entry, words};
use super::request::{action, currency, decimal};
use crate::table::{About, Amount, Claim, Step, What};

/// How many commands are under way at once.
const AT_ONCE: usize = 400;

pub struct Stage {
    ledger: Ledger,
    clock: Clock,
}

/// What came of a command: an outcome or the reason of an error, and what was looked up for it.
struct Answered {
    outcome: Result<Outcome, &'static str>,
    looked_up: Vec<&'static str>,
}

impl Stage {
    pub fn new(engine: Arc<dyn Engine>, clock: Clock) -> Self {
        Self { ledger: Ledger::start(engine, Watchers::default(), clock.clone()), clock }
    }

    /// Takes a step. What is not as the table says is returned with its line.
    pub async fn take(&self, case: usize, step: &Step) -> Result<(), (usize, String)> {
        let account = format!("case-{case}-{}", step.request.account);
        let (seen, written) = (self.look(&account).await, self.entries(&account).await);
        let (found, looked_up) = self.act(&account, step).await;
        if !step.expects(&found) {
            return Err((step.line, found));
        }
        let (now_seen, mut now_written) = (self.look(&account).await, self.entries(&account).await);
        let new = now_written.split_off(written.len());
        if Step::changes_nothing(&found) && (now_seen != seen || !new.is_empty()) {
            return Err((step.line, format!("{found}, and yet {seen:?} became {now_seen:?}, and {new:?} was written")));
        }
        for claim in &step.then {
            self.hold(&account, claim, now_seen.as_ref(), &new, &looked_up).await.map_err(|found| (claim.line, found))?;
        }
        Ok(())
    }

    /// Does what a step says. Returns what came of it, in words, and what was looked up.
    async fn act(&self, account: &str, step: &Step) -> (String, Vec<&'static str>) {
        match step.request.what {
            What::TimePasses(time) => self.go_to(self.clock.now() + time).await,
            What::MonthEnds => {
                self.go_to(self.clock.period_ends(self.clock.now())[0]).await;
                self.send(account, "", Action::ClosePeriod).await.outcome.unwrap();
            }
            What::ReserveAll => self.reserve_all(account, step.line).await,
            _ => {
                let name = step.request.name.map_or_else(|| format!("line-{}", step.line), str::to_owned);
                let answered = self.ask(account, &name, step).await;
                return (answered.outcome.map_or_else(|reason| format!("refused {reason}"), |outcome| words(&outcome)), answered.looked_up);
            }
        }
        ("done".to_owned(), Vec::new())
    }

    async fn ask(&self, account: &str, name: &str, step: &Step) -> Answered {
        let request = &step.request;
        let action = action(&request.what, self.clock.now()).unwrap();
        let mut command = self.command(account, name, action);
        command.first_sent_at = request.first_sent.map(|sent| self.clock.now() + sent);
        command.currency = request.currency.map(currency);
        let answered = self.decide(command).await;
        if let What::Given { money: Some(money), .. } = request.what {
            return self.send(account, &format!("{name}-money"), Action::TopUp { amount: decimal(money) }).await;
        }
        answered
    }

    fn command(&self, account: &str, request_id: &str, action: Action) -> Command {
        let (account, request_id, metadata) = (account.to_owned(), request_id.to_owned(), Metadata::default());
        Command { account: account.into(), request_id: request_id.into(), first_sent_at: None, currency: None, action, metadata }
    }

    async fn send(&self, account: &str, request_id: &str, action: Action) -> Answered {
        self.decide(self.command(account, request_id, action)).await
    }

    /// What the step asks for is looked up, as the service does.
    async fn decide(&self, mut command: Command) -> Answered {
        let mut looked_up = Vec::new();
        loop {
            let needed = match self.ledger.submit(command.clone()).await.unwrap() {
                Ok(outcome) => return Answered { outcome: Ok(outcome), looked_up },
                Err(needed @ (Refusal::OriginalNeeded | Refusal::BillNeeded)) => needed,
                Err(refusal) => return Answered { outcome: Err(Error::refused(refusal, &command).reason), looked_up },
            };
            looked_up.push(if needed == Refusal::OriginalNeeded { "the original" } else { "the bill" });
            let missing = match look_up(&self.ledger, None, command.clone(), needed).await.unwrap() {
                LookedUp::Completed(completed) => {
                    command = *completed;
                    continue;
                }
                LookedUp::NeverWas => Missing::NeverWas,
                LookedUp::NoLongerKnown => Missing::NoLongerKnown,
            };
            return Answered { outcome: Err(Error::missing_original(missing, &command).reason), looked_up };
        }
    }

    async fn reserve_all(&self, account: &str, line: usize) {
        let open = self.look(account).await.unwrap().account.open_reservations;
        let names: Vec<_> = (open..MAX_OPEN_RESERVATIONS).map(|number| format!("line-{line}-{number}")).collect();
        for names in names.chunks(AT_ONCE) {
            let wanted = crate::table::ReserveTerms { amount: "0.01", minimum: None, validity: None, grace: None };
            let authorize = action(&What::Reserve(wanted), UnixMillis::NONE).unwrap();
            let answers = join_all(names.iter().map(|name| self.send(account, name, authorize.clone()))).await;
            assert!(answers.iter().all(|answered| answered.outcome.is_ok()));
        }
    }

    /// Lets time pass, and what is due by itself happen.
    async fn go_to(&self, now: UnixMillis) {
        self.clock.set(now);
        while self.ledger.engine().sweep(0).await.unwrap() {}
    }

    async fn look(&self, account: &str) -> Option<Outcome> {
        self.ledger.observe(&AccountId::from(account), false).await.unwrap().ok()
    }

    async fn entries(&self, account: &str) -> Vec<Entry> {
        let blocks = self.ledger.engine().blocks_after(0, 0, 1_000_000).await.unwrap();
        blocks.into_iter().flat_map(|block| block.entries).filter(|entry| entry.account == account).collect()
    }

    /// Holds a claim against what is there. What only documents show is not the ledger's.
    async fn hold(&self, id: &str, claim: &Claim, seen: Option<&Outcome>, new: &[Entry], looked_up: &[&str]) -> Result<(), String> {
        let Some(Outcome { account, now, .. }) = seen else { return Err("there is no such account".to_owned()) };
        let equal =
            |found: String, expected: &str| if found == expected { Ok(()) } else { Err(format!("{}: it is {found}", claim.sentence)) };
        let list = |words: Vec<String>| words.join(", ");
        match &claim.about {
            About::Amounts(amounts) => amounts.iter().try_for_each(|(which, expected)| {
                let found = figure(*which, account, *now, new);
                let expected = decimal(expected).to_units(account.decimals).unwrap();
                if found == expected { Ok(()) } else { Err(format!("{}: {which:?} is {}", claim.sentence, amount(found.get(), account))) }
            }),
            About::Writes(entries) => equal(list(new.iter().map(|written| entry(written, account)).collect()), &entries.join(", ")),
            About::LooksUp(words) => equal(looked_up.join(", "), &words.join(", ")),
            About::Name(name) => equal(self.ledger.profile(&AccountId::from(id)).await.unwrap().unwrap().name, name),
            About::LowCredit(expected) => {
                let threshold = self.ledger.profile(&AccountId::from(id)).await.unwrap().unwrap().low_credit_threshold;
                equal(threshold.map_or_else(|| "nothing".to_owned(), |units| amount(units.get(), account)), expected)
            }
            About::Document(..) | About::Open(_) | About::Notes(_) | About::Unallocated(_) => Ok(()),
        }
    }
}

fn figure(which: Amount, account: &Account, now: UnixMillis, new: &[Entry]) -> Units {
    let rounded = |kind| new.iter().filter(|entry| entry.kind() == kind).map(|entry| entry.amount()).sum();
    let refund = || new.iter().find(|entry| entry.kind().is_refund()).expect("a refund");
    match which {
        Amount::Balance => account.balance,
        Amount::CurrentBalance => account.current_balance(),
        Amount::Unbilled => account.unbilled,
        Amount::Due => account.amount_due(),
        Amount::Reserved => account.reserved,
        Amount::Limit => account.credit_limit(now),
        Amount::Usable => account.usable_credit(now),
        Amount::TakenOff => refund().data.taken_off(),
        Amount::Credited => refund().amount(),
        Amount::Rounded => rounded(EntryKind::Rounded),
        Amount::DueRounded => rounded(EntryKind::AmountDueRounded),
    }
}
