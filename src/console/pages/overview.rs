//! The overview: how things are now, kept up to date by server-sent events.
//!
//! The events end after a while, and the browser asks for them anew: so they end with the session, and with what its user may.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::organizations::path_of;
use crate::Console;
use crate::assets::LIVE;
use crate::failure::Failure;
use crate::locale::Locale;
use crate::navigation::OVERVIEW;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use service::error::Error;
use service::overview::Overview;

/// How long between two events, and after how long their stream ends.
const EVERY: Duration = Duration::from_secs(2);
const WHOLE: Duration = Duration::from_secs(60);

/// How many streams there are at most.
const STREAMS: usize = 64;

static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(STREAMS)));

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    page: Page,
    script: &'static str,
    figures: Figures,
}

/// The figures that are updated live.
#[derive(Template)]
#[template(path = "overview_figures.html")]
struct Figures {
    locale: Locale,
    at: String,
    /// Entries a second; empty until two looks can be compared.
    rate: String,
    lag: String,
    is_late: bool,
    lag_age: String,
    stopped: usize,
    month_ends: String,
    declines: Vec<(String, String)>,
    without_credit: Vec<(String, String, String)>,
    /// What waits: the key of a text, how many, where to look.
    waiting: Vec<(&'static str, String, &'static str)>,
    knows_waiting: bool,
}

impl Figures {
    fn new(locale: &Locale, overview: &Overview, rate: Option<f64>) -> Self {
        let number = |count: usize| locale.number(count);
        let (lag, age) = overview.lag.unwrap_or_default();
        let waiting = overview.waiting.unwrap_or_default();
        let all = [
            ("waits-approvals", waiting.approvals, "/finance/approvals"),
            ("waits-to-approve", waiting.to_approve, "/invoices?state=to-approve"),
            ("waits-without-settings", waiting.without_settings, "/invoices?state=draft"),
            ("waits-held", waiting.held, "/invoices?state=held"),
            ("waits-late-mails", waiting.late_mails, "/invoices/mails?state=waiting"),
            ("waits-unknown-mails", waiting.unknown_mails, "/invoices/mails?state=unknown"),
            ("waits-failed-mails", waiting.failed_mails, "/invoices/mails?state=failed"),
        ];
        let shown = all.into_iter().filter(|(_, count, _)| *count > 0);
        Self {
            at: locale.instant(overview.now),
            rate: rate.map(|rate| locale.decimal(&format!("{rate:.1}"))).unwrap_or_default(),
            lag: if overview.lag.is_some() { locale.decimal(&lag.to_string()) } else { String::new() },
            is_late: age > 60_000,
            lag_age: locale.decimal(&(age / 1_000).to_string()),
            stopped: overview.stopped,
            month_ends: locale.instant(overview.month_ends),
            declines: overview.declines.iter().map(|(reason, count)| (reason_text(locale, reason), number(*count))).collect(),
            without_credit: overview.without_credit.iter().map(|(id, count)| (path_of(id), id.to_string(), number(*count))).collect(),
            waiting: shown.map(|(key, count, href)| (key, locale.decimal(&count.to_string()), href)).collect(),
            knows_waiting: overview.waiting.is_some(),
            locale: locale.clone(),
        }
    }

    fn t(&self, key: &str) -> String {
        self.locale.text(key)
    }
}

/// A reason in the reader's language, or as it is.
fn reason_text(locale: &Locale, reason: &str) -> String {
    let key = format!("decline-{reason}");
    let text = locale.text(&key);
    if text == key { reason.to_owned() } else { text }
}

/// Shows the page.
pub async fn show(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    let context = visitor.context();
    let overview = console.use_cases.handle(&context, console.use_cases.overview(&context)).await?;
    let figures = Figures::new(&visitor.locale, &overview, None);
    render(&OverviewPage { page: Page::new(&visitor, OVERVIEW, visitor.locale.text("overview")), script: &LIVE.url, figures })
}

/// What a stream of events knows.
struct Live {
    console: Console,
    visitor: Visitor,
    begun: Instant,
    /// How many entries there were, and when.
    before: Option<(u64, Instant)>,
    _place: OwnedSemaphorePermit,
}

/// Sends the figures again and again.
pub async fn live(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    let Ok(place) = Arc::clone(&PLACES).try_acquire_owned() else { return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response()) };
    // Refused at once, and not within the stream.
    let context = visitor.context();
    let first = console.use_cases.handle(&context, console.use_cases.overview(&context)).await?;
    let live = Live { console, visitor, begun: Instant::now(), before: Some((first.entries, Instant::now())), _place: place };
    let events = stream::unfold(live, |mut live| async move {
        let stopping = live.console.use_cases.stopping().clone();
        tokio::select! {
            () = sleep(EVERY) => {}
            () = stopping.cancelled() => return None,
        }
        if live.begun.elapsed() > WHOLE {
            return None;
        }
        let event = live.next().await.ok()?;
        Some((Ok::<_, Infallible>(event), live))
    });
    Ok(Sse::new(events).into_response())
}

impl Live {
    async fn next(&mut self) -> Result<Event, Error> {
        let (context, use_cases) = (self.visitor.context(), &self.console.use_cases);
        let overview = use_cases.handle(&context, use_cases.overview(&context)).await?;
        let now = Instant::now();
        let rate = self.before.map(|(entries, at)| {
            let more = u32::try_from(overview.entries.saturating_sub(entries)).unwrap_or(u32::MAX);
            f64::from(more) / (now - at).as_secs_f64().max(0.001)
        });
        self.before = Some((overview.entries, now));
        let html = Figures::new(&self.visitor.locale, &overview, rate).render().unwrap_or_default();
        Ok(Event::default().data(html.replace(['\r', '\n'], " ")))
    }
}
