//! The issuer, tax rates and tax-exempt accounts: reads requests, writes responses.

use jiff::civil::Date;
use prost_types::Timestamp;

use super::super::call::read as taken;
use crate::billing::change::Applied;
use crate::billing::change::Change;
use crate::billing::document::{Exemption, Issuer, Logo, Relief};
use crate::billing::issuer::{CategoryRate, Dated, MAIN};
use crate::billing::tax::TaxRate;
use crate::domain::account::Category;
use crate::domain::command::Metadata;
use crate::domain::ids::RequestId;
use crate::domain::origin::Origin;
use crate::grpc::v1;
use crate::grpc::wire::listing;
use crate::grpc::wire::reader::FieldReader;
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::error::Error;
use crate::service::issuing::IssuerView;

/// The issuer of documents.
pub async fn get_issuer(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::GetIssuerRequest,
) -> Result<v1::GetIssuerResponse, Error> {
    let id = taken(use_cases, request.issuer_id, issuer_id)?;
    let IssuerView { versions, waiting_drafts, waits_for } = use_cases.issuer(context, id).await?;
    let dated =
        |Dated { valid_from, value }: Dated<Issuer>| v1::DatedIssuer { valid_from: valid_from.to_string(), issuer: Some(issuer(value)) };
    Ok(v1::GetIssuerResponse { issuers: versions.into_iter().map(dated).collect(), waiting_drafts, waits_for })
}

/// Sets who issues documents.
pub async fn set_issuer(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::SetIssuerRequest,
) -> Result<v1::SetIssuerResponse, Error> {
    let (id, issuer, change) = taken(use_cases, request, |reader, request| {
        let v1::SetIssuerRequest { issuer_id: id, request_id, issuer, valid_from, operator, first_sent_at } = request;
        let valid_from = reader.day("valid_from", &valid_from);
        (issuer_id(reader, id), read_issuer(reader, issuer), change(reader, request_id, valid_from, operator, first_sent_at))
    })?;
    let applied = use_cases.set_issuer(context, id, &issuer, &change).await?;
    Ok(v1::SetIssuerResponse { replayed: applied == Applied::Before })
}

pub async fn list_tax_rates(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::ListTaxRatesRequest,
) -> Result<v1::ListTaxRatesResponse, Error> {
    let id = taken(use_cases, request.issuer_id, issuer_id)?;
    let rates = use_cases.tax_rates(context, id).await?;
    let rate = |Dated { valid_from, value: CategoryRate { category, rate } }: Dated<CategoryRate>| v1::TaxRate {
        category: listing::category(category).into(),
        valid_from: valid_from.to_string(),
        percent: rate.to_string(),
    };
    Ok(v1::ListTaxRatesResponse { rates: rates.into_iter().map(rate).collect() })
}

/// Sets a rate of tax.
pub async fn set_tax_rate(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::SetTaxRateRequest,
) -> Result<v1::SetTaxRateResponse, Error> {
    let (id, rate, change) = taken(use_cases, request, |reader, request| {
        let v1::SetTaxRateRequest { issuer_id: id, request_id, rate, operator, first_sent_at } = request;
        if rate.is_none() {
            reader.refuse("rate", "must be given");
        }
        let v1::TaxRate { category: of, valid_from, percent } = rate.unwrap_or_default();
        let (rate, valid_from) = reader.within("rate", |reader| {
            if valid_from.is_empty() {
                reader.refuse("valid_from", "must be given: a rate of tax holds from a day on");
            }
            let rate = percent.parse::<TaxRate>().unwrap_or_else(|error| {
                reader.refuse("percent", error.to_string());
                TaxRate::default()
            });
            (CategoryRate { category: read_category(reader, of), rate }, reader.day("valid_from", &valid_from))
        });
        (issuer_id(reader, id), rate, change(reader, request_id, valid_from, operator, first_sent_at))
    })?;
    let applied = use_cases.set_tax_rate(context, id, rate, &change).await?;
    Ok(v1::SetTaxRateResponse { replayed: applied == Applied::Before })
}

/// Whether an account is charged tax.
pub async fn list_treatments(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::ListTaxTreatmentsRequest,
) -> Result<v1::ListTaxTreatmentsResponse, Error> {
    let account = taken(use_cases, request.account_id, FieldReader::account_id)?;
    let found = use_cases.exemptions(context, &account).await?;
    let dated = |Dated { valid_from, value }: Dated<Option<Exemption>>| {
        let (treatment, reason) = treatment(value.as_ref());
        v1::DatedTaxTreatment { valid_from: valid_from.to_string(), treatment: treatment.into(), reason }
    };
    Ok(v1::ListTaxTreatmentsResponse { treatments: found.into_iter().map(dated).collect() })
}

/// Sets whether an account is charged tax.
pub async fn set_treatment(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::SetTaxTreatmentRequest,
) -> Result<v1::SetTaxTreatmentResponse, Error> {
    let (account, exemption, change) = taken(use_cases, request, |reader, request| {
        let v1::SetTaxTreatmentRequest { account_id, request_id, treatment, operator, first_sent_at } = request;
        if treatment.is_none() {
            reader.refuse("treatment", "must be given");
        }
        let (exemption, valid_from) = reader.within("treatment", |reader| read_treatment(reader, treatment.unwrap_or_default()));
        (reader.account_id(account_id), exemption, change(reader, request_id, valid_from, operator, first_sent_at))
    })?;
    let applied = use_cases.set_exemption(context, &account, exemption.as_ref(), &change).await?;
    Ok(v1::SetTaxTreatmentResponse { replayed: applied == Applied::Before })
}

/// Which issuer: there is one.
pub(super) fn issuer_id(reader: &mut FieldReader, id: String) -> &'static str {
    if !id.is_empty() && id != MAIN {
        reader.refuse("issuer_id", format!("must be empty or \"{MAIN}\": there is one issuer"));
    }
    MAIN
}

pub(in crate::grpc) fn change(
    reader: &mut FieldReader,
    request_id: String,
    valid_from: Option<Date>,
    operator: Option<v1::Operator>,
    first_sent_at: Option<Timestamp>,
) -> Change {
    let mut metadata = Metadata::default();
    reader.operator(operator, true, &mut metadata);
    let request_id = reader.request_id("request_id", request_id);
    changed(reader, request_id, valid_from, metadata, first_sent_at)
}

/// The same of a request that need not say its name, who asks, and why.
pub(super) fn change_if_said(
    reader: &mut FieldReader,
    request_id: String,
    operator: Option<v1::Operator>,
    first_sent_at: Option<Timestamp>,
) -> Change {
    let mut metadata = Metadata::default();
    reader.operator(operator, false, &mut metadata);
    let request_id = if request_id.is_empty() { RequestId::default() } else { reader.request_id("request_id", request_id) };
    changed(reader, request_id, None, metadata, first_sent_at)
}

fn changed(
    reader: &mut FieldReader,
    request_id: RequestId,
    valid_from: Option<Date>,
    metadata: Metadata,
    first_sent_at: Option<Timestamp>,
) -> Change {
    let first_sent_at = reader.instant("first_sent_at", first_sent_at);
    let (on_behalf_of, origin) = (String::new(), Origin::default());
    Change { request_id, actor: metadata.actor, on_behalf_of, reason: metadata.reason, at: reader.now(), origin, first_sent_at, valid_from }
}

fn read_issuer(reader: &mut FieldReader, issuer: Option<v1::Issuer>) -> Issuer {
    if issuer.is_none() {
        reader.refuse("issuer", "must be given");
        return Issuer::default();
    }
    let issuer = issuer.unwrap_or_default();
    reader.within("issuer", |reader| {
        let country = issuer.country_code;
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            reader.refuse("country_code", "must be an ISO 3166-1 alpha-2 code: two capital letters, such as DE");
        }
        Issuer {
            name: reader.text("name", issuer.name, 1..=200),
            address: lines(reader, "address", issuer.address, 6),
            postal_code: reader.text("postal_code", issuer.postal_code, 0..=20),
            city: reader.text("city", issuer.city, 0..=100),
            country,
            tax_id: reader.text("tax_id", issuer.tax_id, 0..=64),
            email: reader.text("email", issuer.email, 0..=200),
            phone: reader.text("phone", issuer.phone, 0..=64),
            website: reader.text("website", issuer.website, 0..=200),
            payment: lines(reader, "payment_lines", issuer.payment_lines, 8),
            footer: lines(reader, "footer_lines", issuer.footer_lines, 8),
            logo: issuer.logo.and_then(|logo| read_logo(reader, logo.content)),
        }
    })
}

/// A picture, which is tried out.
fn read_logo(reader: &mut FieldReader, content: Vec<u8>) -> Option<Logo> {
    Logo::read(content).map_err(|error| reader.refuse("logo", error.to_string())).ok()
}

fn lines(reader: &mut FieldReader, field: &'static str, lines: Vec<String>, most: usize) -> Vec<String> {
    if lines.len() > most {
        reader.refuse(field, format!("must be at most {most} lines"));
    }
    lines.into_iter().take(most).map(|line| reader.text(field, line, 0..=200)).collect()
}

fn read_treatment(reader: &mut FieldReader, dated: v1::DatedTaxTreatment) -> (Option<Exemption>, Option<Date>) {
    let v1::DatedTaxTreatment { valid_from, treatment, reason } = dated;
    let relief = match reader.choice("treatment", treatment) {
        None | Some(v1::TaxTreatment::Unspecified) => {
            reader.refuse("treatment", "must be TAX_TREATMENT_TAXED, _EXEMPT or _REVERSE_CHARGE");
            None
        }
        Some(v1::TaxTreatment::Taxed) => None,
        Some(v1::TaxTreatment::Exempt) => Some(Relief::Exempt),
        Some(v1::TaxTreatment::ReverseCharge) => Some(Relief::ReverseCharge),
    };
    let bounds = if relief.is_some() { 1..=300 } else { 0..=0 };
    let reason = reader.text("reason", reason, bounds);
    (relief.map(|relief| Exemption { relief, reason }), reader.day("valid_from", &valid_from))
}

/// Whether tax is charged, and if not, why.
#[must_use]
pub fn treatment(exemption: Option<&Exemption>) -> (v1::TaxTreatment, String) {
    match exemption {
        None => (v1::TaxTreatment::Taxed, String::new()),
        Some(Exemption { relief: Relief::Exempt, reason }) => (v1::TaxTreatment::Exempt, reason.clone()),
        Some(Exemption { relief: Relief::ReverseCharge, reason }) => (v1::TaxTreatment::ReverseCharge, reason.clone()),
    }
}

/// The issuer of documents.
#[must_use]
pub fn issuer(issuer: Issuer) -> v1::Issuer {
    v1::Issuer {
        name: issuer.name,
        address: issuer.address,
        tax_id: issuer.tax_id,
        email: issuer.email,
        postal_code: issuer.postal_code,
        city: issuer.city,
        country_code: issuer.country,
        phone: issuer.phone,
        website: issuer.website,
        payment_lines: issuer.payment,
        footer_lines: issuer.footer,
        logo: issuer.logo.map(|logo| v1::Logo {
            content: Vec::new(),
            media_type: logo.media_type,
            width: i32::try_from(logo.width).unwrap_or(i32::MAX),
            height: i32::try_from(logo.height).unwrap_or(i32::MAX),
            digest: logo.digest,
        }),
    }
}

fn read_category(reader: &mut FieldReader, number: i32) -> Option<Category> {
    match reader.choice("category", number)? {
        v1::ChargeCategory::Unspecified => None,
        v1::ChargeCategory::Usage => Some(Category::Usage),
        v1::ChargeCategory::Subscription => Some(Category::Subscription),
        v1::ChargeCategory::Hardware => Some(Category::Hardware),
        v1::ChargeCategory::Service => Some(Category::Service),
    }
}
