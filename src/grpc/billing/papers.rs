//! Papers about an account that are no numbered documents: reads requests, writes responses.

use super::super::call::read as taken;
use super::{read, render};
use crate::billing::account_statement::{LineKind, StatementLine};
use crate::domain::money::format_units;
use crate::grpc::v1;
use crate::grpc::wire::reader::FieldReader;
use crate::grpc::wire::render::instant;
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::error::Error;
use crate::service::papers::{File, Paper, Span};

/// The coming document of an account.
pub async fn preview(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::PreviewInvoiceRequest,
) -> Result<v1::PreviewInvoiceResponse, Error> {
    let account = taken(use_cases, request.account_id, FieldReader::account_id)?;
    let preview = use_cases.preview_document(context, &account).await?;
    Ok(v1::PreviewInvoiceResponse { invoice: preview.document.map(render::invoice), positions: render::positions(&preview.position) })
}

fn span(reader: &mut FieldReader, from_day: &str, to_day: &str) -> Span {
    Span { first: reader.day("from_day", from_day), last: reader.day("to_day", to_day) }
}

/// A statement of account.
pub async fn statement(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::GetAccountStatementRequest,
) -> Result<v1::GetAccountStatementResponse, Error> {
    let (account, span) = taken(use_cases, request, |reader, request| {
        (reader.account_id(request.account_id), span(reader, &request.from_day, &request.to_day))
    })?;
    let found = use_cases.account_statement(context, &account, span).await?;
    let amount = |units| format_units(units, found.decimals, found.minor_digits);
    let clock = use_cases.clock();
    let [from, to] = found.span;
    let line = |line: &StatementLine| v1::StatementLine {
        kind: line_kind(line.kind).into(),
        at: Some(instant(line.at)),
        reference: line.reference.clone(),
        description: line.description.clone(),
        count: line.count,
        amount: amount(line.amount),
        balance: amount(line.balance),
    };
    Ok(v1::GetAccountStatementResponse {
        from_day: clock.day_of(from).to_string(),
        to_day: clock.day_of(to - 1).to_string(),
        opening: amount(found.opening),
        lines: found.lines.iter().map(line).collect(),
        closing: amount(found.closing),
        open_invoices: amount(found.open),
        unallocated: amount(found.unallocated()),
        positions: render::positions(&found.position),
        account_id: found.account.into(),
        currency_code: found.currency,
    })
}

fn line_kind(kind: LineKind) -> v1::StatementLineKind {
    match kind {
        LineKind::Invoice => v1::StatementLineKind::Invoice,
        LineKind::Payment => v1::StatementLineKind::Payment,
        LineKind::PaymentReversed => v1::StatementLineKind::PaymentReversed,
        LineKind::Credit => v1::StatementLineKind::Credit,
        LineKind::Correction => v1::StatementLineKind::Correction,
        LineKind::WriteOff => v1::StatementLineKind::WriteOff,
        LineKind::WriteOffReversed => v1::StatementLineKind::WriteOffReversed,
        LineKind::Withdrawal => v1::StatementLineKind::Withdrawal,
        LineKind::Charges => v1::StatementLineKind::Charges,
        LineKind::Rounding => v1::StatementLineKind::Rounding,
        LineKind::NotItemized => v1::StatementLineKind::NotItemized,
    }
}

/// A paper as a file.
pub async fn file(use_cases: &UseCases, context: &RequestContext, request: v1::GetAccountFileRequest) -> Result<File, Error> {
    let (account, paper, form, is_for_spreadsheets) = taken(use_cases, request, |reader, request| {
        let form = read::form(reader, request.form);
        let paper = match reader.choice("paper", request.paper) {
            Some(v1::AccountPaper::Preview) => Paper::Preview,
            Some(v1::AccountPaper::Receipt) => Paper::Receipt(reader.request_id("payment_id", request.payment_id)),
            Some(v1::AccountPaper::StatementOfAccount) => Paper::Statement(span(reader, &request.from_day, &request.to_day)),
            Some(v1::AccountPaper::Unspecified) | None => {
                reader.refuse("paper", "must be ACCOUNT_PAPER_PREVIEW, _RECEIPT or _STATEMENT_OF_ACCOUNT");
                Paper::Preview
            }
        };
        (reader.account_id(request.account_id), paper, form, request.for_spreadsheets)
    })?;
    use_cases.account_file(context, &account, paper, form, is_for_spreadsheets).await
}
