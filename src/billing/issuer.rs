//! Who issues documents, at which rates of tax, and who is exempt: settings that hold from a day on, kept in the billing store, so that
//! all processes go by the same.
//!
//! A change has a request id, under which it is done once, and an actor and a reason, which are kept. It holds for documents that are
//! issued from then on; drafts that waited for it are looked at again.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value as Json;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::audit::{self, Act, json_of};
use super::change::{Applied, Change};
use super::digest::Fields;
use super::document::{Exemption, Issuer};
use super::record::narrow;
use super::store::Store;
use super::store::rows::{Table, Type};
use super::tax::TaxRate;
use super::words::words;
use super::{Billing, BillingError, account_lock};
use domain::account::Category;
use domain::ids::AccountId;
use domain::time::UnixMillis;
use ledger::codec;

/// The one issuer that there is today. All that follows from an issuer is kept by its id.
pub const MAIN: &str = "main";

/// A setting, and the day from which it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated<T> {
    /// The first day.
    pub valid_from: Date,
    /// The setting.
    pub value: T,
}

/// A rate of tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CategoryRate {
    /// The category of charges; `None` for all that have no rate of their own.
    pub category: Option<Category>,
    pub rate: TaxRate,
}

/// A statement of which the values are known.
pub(super) type Statement<'a> = sqlx::query::Query<'a, sqlx::Any, <sqlx::Any as sqlx::Database>::Arguments>;

/// A setting that is to be changed: none is without its audit record.
pub(super) struct Setting<'a> {
    /// Whose it is: "issuer main", "account acme".
    pub subject: String,
    /// What is asked for, by which a repetition is known.
    pub asked: String,
    /// What is recorded, but for what was before.
    pub act: Act,
    /// Finds what is in force before.
    pub before: Statement<'a>,
    /// What was in force if nothing was set; null if nothing.
    pub default: Json,
    /// The account that the setting is of: it says something of a person then, and is erased with the account.
    pub account: Option<&'a AccountId>,
}

const EXEMPTIONS: Table = Table { name: "exemptions", columns: &[("account", Type::Text)], on_conflict: "" };

impl<T> Dated<T> {
    /// Whether it holds on a day, unless a later one does.
    fn has_begun(&self, day: Date) -> bool {
        self.valid_from <= day
    }
}

/// What holds on a day, of settings in the order of their days.
#[must_use]
pub fn in_force<T>(settings: &[Dated<T>], day: Date) -> Option<&T> {
    settings.iter().rfind(|setting| setting.has_begun(day)).map(|setting| &setting.value)
}

/// The rate of a category on a day: its own, or else that of all; `None` if none has begun.
#[must_use]
pub fn rate_in_force(rates: &[Dated<CategoryRate>], category: Category, day: Date) -> Option<TaxRate> {
    let of = |wanted: Option<Category>| rates.iter().rfind(|dated| dated.has_begun(day) && dated.value.category == wanted);
    of(Some(category)).or_else(|| of(None)).map(|dated| dated.value.rate)
}

impl Billing {
    /// Sets who issues documents, from a day on.
    pub async fn set_issuer(&self, id: &str, issuer: &Issuer, change: &Change) -> Result<Applied, BillingError> {
        // Before what names it: one that nobody names does no harm.
        self.keep_logo(issuer).await?;
        let content = serde_json::to_string(issuer).map_err(BillingError::corrupt)?;
        let write = "INSERT INTO issuers (issuer, valid_from, content) VALUES ($1, $2, $3) \
                     ON CONFLICT (issuer, valid_from) DO UPDATE SET content = excluded.content";
        let day = self.first_day(change)?;
        let query = sqlx::query(write).bind(id.to_owned()).bind(day.clone()).bind(content.clone());
        let before = "SELECT content FROM issuers WHERE issuer = $1 AND valid_from <= $2 ORDER BY valid_from DESC LIMIT 1";
        let setting = Setting {
            subject: format!("issuer {id}"),
            asked: change.asked(&["issuer", &content]),
            act: Act::of("issuer.set", change).with("valid_from", day.clone()).with("after", json_of(&content)),
            before: sqlx::query(before).bind(id.to_owned()).bind(day),
            default: Json::Null,
            account: None,
        };
        self.change(setting, change, query).await
    }

    /// The issuers of documents, by the day from which on.
    pub async fn issuers(&self, id: &str) -> Result<Vec<Dated<Issuer>>, BillingError> {
        issuers(&mut *self.store().pool().acquire().await?, id).await
    }

    /// Sets the rate of tax of a category, or of all that have none of their own, from a day on.
    pub async fn set_tax_rate(&self, id: &str, rate: CategoryRate, change: &Change) -> Result<Applied, BillingError> {
        let (category, percent) = (rate.category.map_or(0, |category| category as i64), rate.rate.to_string());
        let write = "INSERT INTO tax_rates (issuer, category, valid_from, rate) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (issuer, category, valid_from) DO UPDATE SET rate = excluded.rate";
        let day = self.first_day(change)?;
        let query = sqlx::query(write).bind(id.to_owned()).bind(category).bind(day.clone()).bind(percent.clone());
        let before = "SELECT rate FROM tax_rates WHERE issuer = $1 AND category = $2 AND valid_from <= $3 ORDER BY valid_from DESC LIMIT 1";
        let of = rate.category.map_or_else(|| "all".to_owned(), |category| words(&category));
        let setting = Setting {
            subject: format!("issuer {id}"),
            asked: change.asked(&["tax rate", &category.to_string(), &percent]),
            act: Act::of("tax_rate.set", change).with("valid_from", day.clone()).with("category", of).with("after", percent),
            before: sqlx::query(before).bind(id.to_owned()).bind(category).bind(day),
            default: Json::Null,
            account: None,
        };
        self.change(setting, change, query).await
    }

    /// The rates of tax, by the day from which on they hold.
    pub async fn tax_rates(&self, id: &str) -> Result<Vec<Dated<CategoryRate>>, BillingError> {
        tax_rates(&mut *self.store().pool().acquire().await?, id).await
    }

    /// Sets whether an account is charged tax, from a day on; `None` if it is.
    pub async fn set_exemption(
        &self,
        account: &AccountId,
        exemption: Option<&Exemption>,
        change: &Change,
    ) -> Result<Applied, BillingError> {
        let content = serde_json::to_string(&exemption).map_err(BillingError::corrupt)?;
        let write = "INSERT INTO exemptions (account, valid_from, content) VALUES ($1, $2, $3) \
                     ON CONFLICT (account, valid_from) DO UPDATE SET content = excluded.content";
        let day = self.first_day(change)?;
        let query = sqlx::query(write).bind(account.to_string()).bind(day.clone()).bind(content.clone());
        let before = "SELECT content FROM exemptions WHERE account = $1 AND valid_from <= $2 ORDER BY valid_from DESC LIMIT 1";
        let after = exemption.map_or_else(|| Json::from("taxed"), |_| json_of(&content));
        // A reason is personal: what is asked for is known by its digest.
        let asked = Fields::of("exemption").text(&change.request_id).text(&content).hex();
        let setting = Setting {
            subject: format!("account {account}"),
            asked: change.asked(&["exemption", &asked]),
            act: Act::of("tax_treatment.set", change).on(account).with("valid_from", day.clone()).with_personal("after", after),
            before: sqlx::query(before).bind(account.to_string()).bind(day),
            default: Json::Null,
            account: Some(account),
        };
        self.change(setting, change, query).await
    }

    /// Whether an account is charged tax, by the day from which on.
    pub async fn exemptions(&self, account: &AccountId) -> Result<Vec<Dated<Option<Exemption>>>, BillingError> {
        let mut connection = self.store().pool().acquire().await?;
        let found = exemptions(&mut connection, self.store(), &[account]).await?;
        Ok(found.into_iter().map(|(_, dated)| dated).collect())
    }

    /// How many drafts are not issued yet, and what for the first of them waits, if for anything but its turn.
    pub async fn waiting_drafts(&self, now: UnixMillis) -> Result<(i64, String), BillingError> {
        let pool = self.store().pool();
        let count = sqlx::query("SELECT CAST(COUNT(*) AS BIGINT) FROM drafts").fetch_one(pool).await?.try_get(0)?;
        let waits_for = match in_force(&self.issuers(MAIN).await?, self.day_of(now)?) {
            None => NO_ISSUER.to_owned(),
            Some(_) => {
                let first = "SELECT waits_for FROM drafts WHERE waits_for <> '' ORDER BY cut_at, document LIMIT 1";
                sqlx::query(first).fetch_optional(pool).await?.map_or(Ok(String::new()), |row| row.try_get(0))?
            }
        };
        Ok((count, if count == 0 { String::new() } else { waits_for }))
    }

    /// The day of an instant, in the billing time zone.
    pub(super) fn day_of(&self, at: UnixMillis) -> Result<Date, BillingError> {
        let at = Timestamp::from_millisecond(at.get()).map_err(BillingError::corrupt)?;
        Ok(at.to_zoned(self.settings().zone()?).date())
    }

    fn first_day(&self, change: &Change) -> Result<String, BillingError> {
        Ok(change.valid_from.map_or_else(|| self.day_of(change.at), Ok)?.to_string())
    }

    /// Makes a change once: writes it down, does it, has drafts that waited looked at again, and records who did it.
    pub(super) async fn change(&self, setting: Setting<'_>, change: &Change, write: Statement<'_>) -> Result<Applied, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let Setting { subject, asked, act, before, default, account } = setting;
        if let Some(account) = account {
            account_lock::lock(connection, self.store().dialect(), account).await?;
        }
        if Self::note(connection, &subject, &asked, change).await? == Applied::Before {
            return Ok(Applied::Before);
        }
        let before = before.fetch_optional(&mut *connection).await?.map(|row| row.try_get::<String, _>(0)).transpose()?;
        write.execute(&mut *connection).await?;
        sqlx::query("UPDATE drafts SET waits_for = '' WHERE waits_for <> ''").execute(&mut *connection).await?;
        let before = before.as_deref().map_or(default, json_of);
        let act = if account.is_some() { act.with_personal("before", before) } else { act.with("before", before) };
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(Applied::Now)
    }

    /// Writes down who changes what, once for each request.
    pub(super) async fn note(
        connection: &mut AnyConnection,
        subject: &str,
        content: &str,
        change: &Change,
    ) -> Result<Applied, BillingError> {
        let noted = sqlx::query(
            "INSERT INTO setting_changes (subject, request_id, content, changed_at, actor, reason, on_behalf_of) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (subject, request_id) DO NOTHING",
        )
        .bind(subject.to_owned())
        .bind(change.request_id.to_string())
        .bind(content.to_owned())
        .bind(change.at.get())
        .bind(change.actor.clone())
        .bind(change.reason.clone())
        .bind(change.on_behalf_of.clone())
        .execute(&mut *connection)
        .await?;
        if noted.rows_affected() == 0 {
            let known = sqlx::query("SELECT content FROM setting_changes WHERE subject = $1 AND request_id = $2")
                .bind(subject.to_owned())
                .bind(change.request_id.to_string())
                .fetch_one(connection)
                .await?;
            let is_same = known.try_get::<String, _>("content")? == content;
            return if is_same { Ok(Applied::Before) } else { Err(BillingError::RequestIdReused) };
        }
        Ok(Applied::Now)
    }
}

/// What drafts wait for where nobody issues them.
pub(super) const NO_ISSUER: &str = "no issuer is set: tollgate issuer set";

/// What drafts wait for where a rate is missing.
pub(super) fn no_rate(categories: &[&str], day: Date) -> String {
    let mut text = String::new();
    for (place, category) in categories.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{category}", if place == 0 { "" } else { ", " });
    }
    format!("no tax rate of {text} is set for {day}: tollgate tax set")
}

/// The versions of an issuer, by their days.
pub(super) async fn issuers(connection: &mut AnyConnection, id: &str) -> Result<Vec<Dated<Issuer>>, BillingError> {
    let sql = "SELECT valid_from, content FROM issuers WHERE issuer = $1 ORDER BY valid_from";
    let rows = sqlx::query(sql).bind(id.to_owned()).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(Dated { valid_from: day(row)?, value: content(row)? })).collect()
}

/// The rates of an issuer, by their days.
pub(super) async fn tax_rates(connection: &mut AnyConnection, id: &str) -> Result<Vec<Dated<CategoryRate>>, BillingError> {
    let sql = "SELECT category, valid_from, rate FROM tax_rates WHERE issuer = $1 ORDER BY valid_from, category";
    let rows = sqlx::query(sql).bind(id.to_owned()).fetch_all(connection).await?;
    let read = |row: &AnyRow| {
        let rate: String = row.try_get("rate")?;
        let rate = rate.parse().map_err(BillingError::corrupt)?;
        Ok(Dated { valid_from: day(row)?, value: CategoryRate { category: codec::category(narrow(row, "category")?), rate } })
    };
    rows.iter().map(read).collect()
}

/// The exemptions of accounts, by their days.
pub(super) async fn exemptions(
    connection: &mut AnyConnection,
    store: &Store,
    accounts: &[&str],
) -> Result<Vec<(String, Dated<Option<Exemption>>)>, BillingError> {
    let keys: Vec<_> = accounts.iter().map(|account| vec![(*account).into()]).collect();
    let rows = EXEMPTIONS.find(connection, store.dialect(), "account, valid_from, content", &keys).await?;
    let read = |row: &AnyRow| Ok((row.try_get("account")?, Dated { valid_from: day(row)?, value: content(row)? }));
    let mut found = rows.iter().map(read).collect::<Result<Vec<(String, Dated<Option<Exemption>>)>, BillingError>>()?;
    found.sort_by_key(|(_, dated)| dated.valid_from);
    Ok(found)
}

fn day(row: &AnyRow) -> Result<Date, BillingError> {
    let text: String = row.try_get("valid_from")?;
    text.parse().map_err(BillingError::corrupt)
}

fn content<T: for<'a> Deserialize<'a>>(row: &AnyRow) -> Result<T, BillingError> {
    let text: String = row.try_get("content")?;
    serde_json::from_str(&text).map_err(BillingError::corrupt)
}
