//! Who issues the documents of the demo, and with which tax.

use super::stage::Stage;
use crate::cli::failure::explain;
use crate::grpc::v1::{Issuer, Operator, SetIssuerRequest, SetTaxRateRequest, TaxRate};

/// Sets both, for ever.
pub async fn set(stage: &mut Stage) -> anyhow::Result<()> {
    let operator = Some(Operator { actor: "demo".to_owned(), reason: "the demo begins".to_owned() });
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    let issuer = Issuer {
        name: "Tollgate Demo Telecom".to_owned(),
        address: lines(&["1 Turnpike Road"]),
        postal_code: "12345".to_owned(),
        city: "Springfield".to_owned(),
        country_code: "US".to_owned(),
        email: "billing@demo.example".to_owned(),
        payment_lines: lines(&["Bank of Springfield, account 000 123 456"]),
        ..Issuer::default()
    };
    let (issuer, valid_from) = (Some(issuer), "2000-01-01".to_owned());
    let request = SetIssuerRequest {
        request_id: "demo-issuer".to_owned(),
        issuer,
        valid_from: valid_from.clone(),
        operator: operator.clone(),
        ..Default::default()
    };
    stage.client.billing.set_issuer(request).await.map_err(explain)?;
    let rate = Some(TaxRate { valid_from, percent: "19".to_owned(), ..TaxRate::default() });
    let request = SetTaxRateRequest { request_id: "demo-tax".to_owned(), rate, operator, ..Default::default() };
    stage.client.billing.set_tax_rate(request).await.map_err(explain)?;
    Ok(())
}
