//! Where the scenario plays: the service, its clock, and what was seen of it.

use std::sync::Arc;

use anyhow::Context;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use rust_decimal::Decimal;

use super::customer::{CallLog, Customer};
use super::tally::decimal;
use crate::cli::client::Client;
use crate::clock::Clock;
use crate::domain::time::UnixMillis;
use crate::grpc::v1::{Credit, PaymentMode};

/// One line of what happened.
pub struct Event {
    /// When, by the demo's clock.
    pub when: String,
    /// To whom.
    pub who: &'static str,
    /// What.
    pub what: String,
    /// What they could use afterwards.
    pub usable: String,
}

/// One thing that must be so.
pub struct Check {
    /// What.
    pub what: String,
    /// How it must be.
    pub expected: String,
    /// How it is.
    pub found: String,
}

impl Check {
    /// Whether it is so.
    pub fn is_met(&self) -> bool {
        self.expected == self.found
    }
}

/// The stage.
pub struct Stage {
    /// The calls that were made.
    pub log: CallLog,
    /// A connection to the service.
    pub client: Client,
    /// Everyone.
    pub customers: Vec<Arc<Customer>>,
    /// What happened.
    pub events: Vec<Event>,
    /// What the service advised.
    pub advice: Vec<String>,
    pub checks: Vec<Check>,
    clock: Clock,
    run: String,
}

impl Stage {
    /// An empty stage. `run` keeps the ids of one run apart from those of any other.
    pub fn new(client: Client, clock: Clock, log: CallLog, run: String) -> Self {
        Self { log, client, customers: Vec::new(), events: Vec::new(), advice: Vec::new(), checks: Vec::new(), clock, run }
    }

    /// A new customer.
    pub async fn open(&mut self, id: &str, name: &'static str, mode: PaymentMode, limit: Decimal) -> anyhow::Result<Arc<Customer>> {
        let id = format!("{id}-{}", self.run);
        let customer = Arc::new(Customer::open(self.client.clone(), self.log.clone(), id, name, mode, limit).await?);
        self.customers.push(Arc::clone(&customer));
        Ok(customer)
    }

    /// Moves the clock to the first of the next month, at nine.
    pub fn go_to_next_month(&mut self) -> anyhow::Result<()> {
        let date = self.now()?.to_zoned(TimeZone::UTC).date().first_of_month().checked_add(Span::new().months(1))?;
        self.set(date.to_datetime(Time::constant(9, 0, 0, 0)).to_zoned(TimeZone::UTC)?.timestamp());
        Ok(())
    }

    /// Advances the clock by days.
    pub fn pass_days(&mut self, days: i64) -> anyhow::Result<()> {
        let then = self.now()?.checked_add(SignedDuration::from_hours(24 * days))?;
        self.set(then);
        Ok(())
    }

    /// Moves the clock to where the store's time is, if that is ahead: an earlier run went there.
    pub fn catch_up(&mut self, store: Timestamp) -> anyhow::Result<()> {
        if store > self.now()? {
            self.set(store);
        }
        Ok(())
    }

    /// The demo's time.
    pub fn now(&self) -> anyhow::Result<Timestamp> {
        Timestamp::from_millisecond(self.clock.now().get()).context("the clock is out of range")
    }

    /// Notes what happened to a customer, and returns what they can use now.
    pub async fn tell(&mut self, customer: &Customer, what: impl Into<String>) -> anyhow::Result<Credit> {
        let credit = customer.credit().await?;
        let when = self.now()?.strftime("%b %d").to_string();
        let usable = show(&credit.usable)?;
        self.events.push(Event { when, who: customer.name, what: what.into(), usable });
        Ok(credit)
    }

    /// Checks an amount.
    pub fn check_amount(&mut self, what: impl Into<String>, expected: Decimal, found: &str) -> anyhow::Result<()> {
        let expected = expected.normalize().to_string();
        self.checks.push(Check { what: what.into(), expected, found: show(found)? });
        Ok(())
    }

    /// Checks anything else.
    pub fn check(&mut self, what: impl Into<String>, expected: impl ToString, found: impl ToString) {
        self.checks.push(Check { what: what.into(), expected: expected.to_string(), found: found.to_string() });
    }

    fn set(&mut self, now: Timestamp) {
        self.clock.set(UnixMillis::new(now.as_millisecond()));
    }
}

/// An amount of the service, without zeros at its end.
pub fn show(amount: &str) -> anyhow::Result<String> {
    Ok(decimal(amount)?.normalize().to_string())
}
