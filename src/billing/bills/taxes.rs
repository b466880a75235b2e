//! What holds for a document: its period, and the rates of the end of it.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::AnyConnection;

use super::draft::CATEGORIES;
use super::ready::Ready;
use crate::BillingError;
use crate::document::{Cause, Document, DocumentKind, Exemption, Issuer, Item};
use crate::issuer::{self, CategoryRate, Dated, in_force, no_rate, rate_in_force};
use crate::settings::BillingSettings;
use crate::store::Store;
use crate::tax::TaxLine;
use crate::tax::{self, Digits, Part, TaxRate};
use domain::account::Category;
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// What documents are issued under.
pub(super) struct Terms<'a> {
    pub settings: &'a BillingSettings,
    /// Who issues them, on the day of issue.
    pub issuer: Issuer,
    rates: Vec<Dated<CategoryRate>>,
    zone: TimeZone,
}

/// The tax of a document.
#[derive(Debug, Default)]
pub(super) struct Taxes {
    pub charged: Vec<TaxLine>,
    /// In what was already deducted, of an invoice.
    pub deducted: Vec<TaxLine>,
    /// Why there is none.
    pub exemption: Option<Exemption>,
}

impl<'a> Terms<'a> {
    /// Loads the terms in force now; `None` if no issuer has been set yet.
    pub async fn load(
        connection: &mut AnyConnection,
        settings: &'a BillingSettings,
        now: UnixMillis,
    ) -> Result<Option<Self>, BillingError> {
        let zone = settings.zone()?;
        let issuers = issuer::issuers(connection, issuer::MAIN).await?;
        let Some(issuer) = in_force(&issuers, day_of(now, &zone)?).cloned() else { return Ok(None) };
        Ok(Some(Self { settings, issuer, rates: issuer::tax_rates(connection, issuer::MAIN).await?, zone }))
    }

    /// Where the period of a document begins: with the calendar month, or what began within it. A charge and a refund have their instant.
    pub fn period_from(&self, document: &Document, begun_at: UnixMillis) -> Result<UnixMillis, BillingError> {
        match document.cause {
            Cause::PeriodEnd | Cause::Conversion => {
                let month = day_of(last_instant(document), &self.zone)?.first_of_month().to_zoned(self.zone.clone());
                Ok(UnixMillis::new(month.map_err(BillingError::corrupt)?.timestamp().as_millisecond()).max(begun_at))
            }
            Cause::SingleCharge | Cause::Refund => Ok(document.period_from),
        }
    }

    /// The taxes of invoices and statements, or what for they wait.
    pub async fn of_documents(
        &self,
        connection: &mut AnyConnection,
        store: &Store,
        drafts: &[Ready],
    ) -> Result<Vec<Result<Taxes, String>>, BillingError> {
        let mut accounts: Vec<&str> = drafts.iter().map(|draft| draft.document.account.as_str()).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let mut exemptions: HashMap<AccountId, Vec<Dated<Option<Exemption>>>> = HashMap::new();
        for (account, dated) in issuer::exemptions(connection, store, &accounts).await? {
            exemptions.entry(account.into()).or_default().push(dated);
        }
        let taxes = drafts.iter().map(|draft| {
            let document = &draft.document;
            let day = day_of(last_instant(document), &self.zone)?;
            let exemption = exemptions.get(&document.account).and_then(|dated| in_force(dated, day)).cloned().flatten();
            Ok(self.of_document(document, day, exemption))
        });
        taxes.collect()
    }

    /// The taxes of the coming document of an account, or what for it would wait.
    pub async fn of_coming_document(
        &self,
        connection: &mut AnyConnection,
        store: &Store,
        document: &Document,
    ) -> Result<Result<Taxes, String>, BillingError> {
        let day = day_of(last_instant(document), &self.zone)?;
        let found = issuer::exemptions(connection, store, &[document.account.as_str()]).await?;
        let dated: Vec<_> = found.into_iter().map(|(_, dated)| dated).collect();
        Ok(self.of_document(document, day, in_force(&dated, day).cloned().flatten()))
    }

    fn of_document(&self, document: &Document, day: Date, exemption: Option<Exemption>) -> Result<Taxes, String> {
        let rate_of = |category| match exemption {
            Some(_) => Some(TaxRate::ZERO),
            None => rate_in_force(&self.rates, category, day),
        };
        let mut missing = Vec::new();
        let mut parts = |items: &[Item]| -> Vec<Part> {
            let part = |item: &Item| match rate_of(category(&item.category)) {
                Some(rate) => Some(Part { category: item.category.clone(), rate, amount: item.amount }),
                None => {
                    missing.push(category_name(&item.category));
                    None
                }
            };
            items.iter().filter_map(part).collect()
        };
        let (items, deducted) = (parts(&document.items), parts(&document.deducted));
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            return Err(no_rate(&missing, day));
        }
        let digits = Digits { decimals: document.decimals, minor: document.minor_digits };
        let deducted = tax::by_rate(&deducted, None, digits);
        Ok(match document.kind {
            DocumentKind::Statement => Taxes { charged: deducted, deducted: Vec::new(), exemption },
            _ => Taxes { charged: tax::by_rate(&items, Some(document.charged()), digits), deducted, exemption },
        })
    }
}

impl Taxes {
    /// What a credit note takes from what is left of the document that it corrects.
    pub fn of_note(note: &Document, left: &mut [TaxLine]) -> Vec<TaxLine> {
        if left.is_empty() {
            return Vec::new();
        }
        let digits = Digits { decimals: note.decimals, minor: note.minor_digits };
        let category = note.items.first().map_or("", |item| item.category.as_str());
        tax::take(left, category, note.total, digits)
    }
}

/// The last instant of what a document covers.
fn last_instant(document: &Document) -> UnixMillis {
    match document.cause {
        // A period ends where the next one begins.
        Cause::PeriodEnd => document.period_to - 1,
        Cause::Conversion | Cause::SingleCharge | Cause::Refund => document.period_to,
    }
}

fn day_of(at: UnixMillis, zone: &TimeZone) -> Result<Date, BillingError> {
    Ok(Timestamp::from_millisecond(at.get()).map_err(BillingError::corrupt)?.to_zoned(zone.clone()).date())
}

fn category(name: &str) -> Category {
    match CATEGORIES.iter().position(|known| *known == name) {
        Some(1) => Category::Subscription,
        Some(2) => Category::Hardware,
        Some(3) => Category::Service,
        _ => Category::Usage,
    }
}

fn category_name(name: &str) -> &'static str {
    CATEGORIES.iter().find(|known| **known == name).copied().unwrap_or("usage")
}
