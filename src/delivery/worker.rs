//! The mail worker: claims mails that are due, and sends some of them at once, within its limits.
//!
//! It runs on a thread of its own; the printing of documents on others. Each mail is a task: it keeps its claim up while it works, and
//! writes down what came of it. Being killed anywhere loses nothing: see [`billing::sending`].

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, interval_at, sleep, sleep_until};

use super::message::{self, WriteError};
use super::smtp::{Connection, DeliveryOutcome, Server};
use super::status::Status;
use billing::sending::queue::AttemptOutcome;
use billing::sending::{Mail, domain_of};
use billing::{Billing, BillingError};
use domain::time::Millis;
use platform::clock::Clock;
use platform::config::SmtpOptions;
use platform::telemetry::metrics;
use platform::telemetry::traces::{Span, SpanKind, are_exported, within};

/// How often it looks for mail that nobody told it of.
const LOOK: Duration = Duration::from_millis(500);

/// How often it looks at all that is not the next mail: reminders, tallies, dead processes.
const ROUND: Duration = Duration::from_secs(1);

/// How many mails are looked at ahead.
const AHEAD: i64 = 200;

/// For how long a mail is tried.
const GIVE_UP: Millis = 5 * 24 * 3_600_000;

/// How often it is tried at least.
const LEAST_TRIES: i64 = 20;

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_hours(4);

/// For how long a connection that is not used is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(20);

/// The limits of the mail worker.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long between two mails.
    pub gap: Duration,
    /// How many at once.
    pub at_once: usize,
    /// How many at once to one domain.
    pub per_domain: usize,
    /// How long to wait before the second try.
    pub retry: Duration,
    /// For how long a claim holds.
    pub lease: Duration,
}

impl Limits {
    /// The limits of the settings.
    #[must_use]
    pub fn of(options: &SmtpOptions, lease: Duration) -> Self {
        Self {
            gap: Duration::from_secs(1) / options.smtp_rate.get(),
            at_once: usize::try_from(options.smtp_connections.get()).unwrap_or(usize::MAX),
            per_domain: usize::try_from(options.smtp_per_domain.get()).unwrap_or(usize::MAX),
            retry: options.smtp_retry,
            lease,
        }
    }

    fn lease_millis(&self) -> Millis {
        Millis::try_from(self.lease.as_millis()).unwrap_or(Millis::MAX)
    }

    /// How long to wait before a mail is tried again that was tried so often.
    fn wait(&self, attempts: i64) -> Duration {
        let doublings = u32::try_from(attempts.clamp(1, 20) - 1).unwrap_or(0);
        let wait = self.retry.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        wait.mul_f64(rand::random_range(0.75..1.25))
    }
}

/// Sends mail.
pub struct MailWorker {
    billing: Billing,
    clock: Clock,
    server: Server,
    limits: Limits,
    status: Status,
    /// Connections that wait for a mail.
    idle: RefCell<Vec<(Instant, Connection)>>,
}

#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<(String, String)>,
    ids: HashSet<String>,
    domains: HashMap<String, usize>,
}

impl UnderWay {
    fn ended(&mut self, id: &str, domain: &str) {
        self.ids.remove(id);
        if let Some(count) = self.domains.get_mut(domain) {
            *count = count.saturating_sub(1);
        }
    }
}

impl MailWorker {
    /// Creates a worker, which does nothing until [`MailWorker::run`].
    #[must_use]
    pub fn new(billing: Billing, clock: Clock, server: Server, limits: Limits, status: Status) -> Self {
        Self { billing, clock, server, limits, status, idle: RefCell::default() }
    }

    /// Sends until it is told to stop. What is under way then is not waited for: another process goes on with it.
    pub async fn run(self, stopped: watch::Receiver<bool>) {
        let worker = Rc::new(self);
        LocalSet::new().run_until(worker.work(stopped)).await;
    }

    async fn work(self: Rc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut under_way = UnderWay::default();
        let mut due: VecDeque<(String, String)> = VecDeque::new();
        let (mut next_start, mut next_look, mut next_round) = (Instant::now(), Instant::now(), Instant::now());
        let mut may_send = false;
        loop {
            if Instant::now() >= next_round {
                may_send = self.look_around().await.unwrap_or(false);
                next_round = Instant::now() + ROUND;
            }
            if may_send && due.is_empty() && Instant::now() >= next_look {
                due = self.billing.due_mails(AHEAD).await.unwrap_or_default().into();
                next_look = Instant::now() + LOOK;
            }
            while may_send && under_way.tasks.len() < self.limits.at_once && Instant::now() >= next_start {
                let Some((id, domain)) = self.next(&mut due, &under_way) else { break };
                next_start = Instant::now() + self.limits.gap;
                under_way.ids.insert(id.clone());
                *under_way.domains.entry(domain.clone()).or_default() += 1;
                let worker = Rc::clone(&self);
                under_way.tasks.spawn_local(async move {
                    worker.send(&id).await;
                    (id, domain)
                });
            }
            let is_full = under_way.tasks.len() >= self.limits.at_once;
            let mut wake = next_round;
            if may_send && !is_full {
                wake = wake.min(if due.is_empty() { next_look } else { next_start.max(Instant::now() + Duration::from_millis(5)) });
            }
            tokio::select! {
                _ = stopped.wait_for(|is_stopped| *is_stopped) => return,
                () = sleep_until(wake) => {}
                Some(ended) = under_way.tasks.join_next(), if !under_way.tasks.is_empty() => {
                    if let Ok((id, domain)) = ended {
                        under_way.ended(&id, &domain);
                    }
                }
            }
        }
    }

    /// The first mail whose domain has room.
    fn next(&self, due: &mut VecDeque<(String, String)>, under_way: &UnderWay) -> Option<(String, String)> {
        due.retain(|(id, _)| !under_way.ids.contains(id));
        let has_room = |recipient: &str| under_way.domains.get(&domain_of(recipient)).is_none_or(|count| *count < self.limits.per_domain);
        let place = due.iter().position(|(_, recipient)| has_room(recipient))?;
        due.remove(place).map(|(id, recipient)| (id, domain_of(&recipient)))
    }

    /// All that is not the next mail. Returns whether mail may be sent.
    async fn look_around(&self) -> Result<bool, BillingError> {
        self.billing.ready().await?;
        let now = self.clock.now();
        let is_enabled = self.billing.sending().await?.is_enabled;
        let is_held = self.billing.check_sending_place(now).await?.is_some();
        self.status.set_held(is_held && is_enabled);
        self.billing.free_mails(now).await?;
        if is_enabled && !is_held {
            self.billing.put_reminders(now).await?;
        }
        self.status.set_tally(&self.billing.mail_tally().await?, now);
        self.idle.borrow_mut().retain(|(since, _)| since.elapsed() < IDLE_LIMIT);
        Ok(is_enabled && !is_held)
    }

    /// Claims a mail, sends it, and writes down the outcome.
    async fn send(&self, id: &str) {
        let lease = self.limits.lease_millis();
        let mail = match self.billing.claim_mail(id, lease, self.clock.now()).await {
            Ok(Some(mail)) => mail,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "no mail was claimed");
                return;
            }
        };
        let span = self.span_of(&mail).await;
        let ended = {
            let trying = within(span.as_ref(), self.attempt(&mail));
            let keeping = self.keep_claim(&mail);
            tokio::select! {
                ended = trying => ended,
                never = keeping => never,
            }
        };
        let (tried, outcome, detail) = self.judge(&mail, ended);
        metrics().mail.tried(outcome);
        if let Some(span) = span {
            span.set("tollgate.outcome", outcome);
        }
        let Some(tried) = tried else { return };
        // That the server has it must be written down; where the store is away, until it is there again.
        let mut pause = Duration::from_millis(50);
        while let Err(error) = self.billing.end_mail(&mail, &tried, &detail, self.clock.now()).await {
            tracing::warn!(%error, "the outcome of a mail could not be recorded, and is tried again");
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// The span of a try, in the trace of the document that the mail is about, if that has one.
    async fn span_of(&self, mail: &Mail) -> Option<Span> {
        if !are_exported() || mail.document == 0 {
            return None;
        }
        let place = self.billing.trace_of_document(&mail.account, mail.document).await.ok()??;
        let span = Span::under("send mail", SpanKind::Client, place)?;
        span.set("tollgate.mail.kind", mail.kind.name());
        Some(span)
    }

    /// Renews a claim, in a loop.
    async fn keep_claim(&self, mail: &Mail) -> DeliveryOutcome {
        let every = self.limits.lease / 3;
        let mut ticks = interval_at(Instant::now() + every, every);
        loop {
            ticks.tick().await;
            if let Err(error) = self.billing.prolong_mail(mail, self.limits.lease_millis()).await {
                tracing::debug!(%error, "the claim of a mail was not kept up");
            }
        }
    }

    async fn attempt(&self, mail: &Mail) -> DeliveryOutcome {
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(reason) => return DeliveryOutcome::Trouble(reason),
        };
        let written = match message::write(&self.billing, mail, &self.clock).await {
            Ok(written) => written,
            Err(WriteError::Billing(error)) => return DeliveryOutcome::Later(error.to_string()),
            Err(WriteError::Impossible(reason)) => return DeliveryOutcome::Refused(format!("it cannot be written: {reason}")),
        };
        let lease = self.limits.lease_millis();
        let begin = async || self.billing.begin_data(mail, lease).await;
        let ended = connection.deliver(&written.envelope, &written.content, begin).await;
        if matches!(ended, DeliveryOutcome::Taken(_)) {
            self.idle.borrow_mut().push((Instant::now(), connection));
        }
        match ended {
            DeliveryOutcome::Taken(reply) if !written.note.is_empty() => {
                tracing::warn!(mail = mail.id, note = written.note, "a mail was sent otherwise than it was to be");
                DeliveryOutcome::Taken(format!("{}; {reply}", written.note))
            }
            ended => ended,
        }
    }

    /// A connection that waits, if the server still has it, or a new one.
    async fn connection(&self) -> Result<Connection, String> {
        loop {
            let waiting = self.idle.borrow_mut().pop();
            match waiting {
                Some((_, mut connection)) => {
                    if connection.is_alive().await {
                        return Ok(connection);
                    }
                }
                None => return self.server.connect().await,
            }
        }
    }

    /// What comes of a try: for the store, for metrics, and for people.
    fn judge(&self, mail: &Mail, ended: DeliveryOutcome) -> (Option<AttemptOutcome>, &'static str, String) {
        let later = |detail: String| {
            let is_over = self.clock.now() - mail.created_at > GIVE_UP && mail.attempts >= LEAST_TRIES;
            let wait = Millis::try_from(self.limits.wait(mail.attempts).as_millis()).unwrap_or(Millis::MAX);
            if is_over {
                (Some(AttemptOutcome::Failed), "failed", format!("given up after 5 days: {detail}"))
            } else {
                (Some(AttemptOutcome::Later(wait)), "later", detail)
            }
        };
        match ended {
            DeliveryOutcome::Taken(reply) => {
                self.status.set_trouble(None);
                (Some(AttemptOutcome::Sent), "sent", reply)
            }
            DeliveryOutcome::Refused(reply) => (Some(AttemptOutcome::Failed), "failed", reply),
            DeliveryOutcome::Later(reply) => later(reply),
            DeliveryOutcome::Trouble(reason) => {
                self.status.set_trouble(Some(&reason));
                later(reason)
            }
            DeliveryOutcome::Unknown(reason) => (Some(AttemptOutcome::Unknown), "unknown", reason),
            DeliveryOutcome::Lost => (None, "lost", String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_that_fails_waits_longer_each_time() {
        let limits = Limits::of(&SmtpOptions::default(), Duration::from_secs(10));
        for (attempts, about) in [(1, 60.0), (2, 120.0), (5, 960.0), (12, 14_400.0), (500, 14_400.0)] {
            let wait = limits.wait(attempts).as_secs_f64();
            assert!((about * 0.75..=about * 1.25).contains(&wait), "{attempts}: {wait}");
        }
    }
}
