//! Papers about an account that are no numbered documents: requests read, answers written.

use tonic::Status;

use super::file::File;
use super::{named, render};
use crate::billing::account_statement::{LineKind, StatementLine};
use crate::billing::{DocumentState, StoredDocument, forms};
use crate::domain::money::format_units;
use crate::grpc::front::Front;
use crate::grpc::wire::Position;
use crate::grpc::wire::reader::Reader;
use crate::grpc::wire::render::instant;
use crate::grpc::{status, v1};
use crate::service::papers::{self, Form, Paper, Span};
use crate::service::preview;

/// The coming document of an account.
pub async fn preview(front: &Front, request: v1::PreviewInvoiceRequest) -> Result<v1::PreviewInvoiceResponse, Status> {
    let (account, _) = named(front, request.account_id).await?;
    let coming = preview::preview(&front.ledger, front.billing().await?, &account).await?;
    let missing_glyphs = coming.document.as_ref().map(forms::missing_glyphs).transpose();
    let missing_glyphs = missing_glyphs.map_err(|error| status::no_form(&error))?.unwrap_or_default();
    let stored = |document| StoredDocument {
        id: 0,
        state: if coming.held_reason.is_empty() { DocumentState::Draft } else { DocumentState::Held },
        held_reason: coming.held_reason,
        waits_for: coming.waits_for,
        document,
        open_amount: 0,
        digest: String::new(),
        missing_glyphs,
    };
    Ok(v1::PreviewInvoiceResponse {
        invoice: coming.document.map(stored).map(render::invoice),
        positions: render::positions(&coming.position),
    })
}

fn span(reader: &mut Reader, from_day: &str, to_day: &str) -> Span {
    Span { first: reader.day("from_day", from_day), last: reader.day("to_day", to_day) }
}

/// A statement of account.
pub async fn statement(front: &Front, request: v1::GetAccountStatementRequest) -> Result<v1::GetAccountStatementResponse, Status> {
    let (account, span) = front
        .read(request, Position::default(), |reader, request| (request.account_id, span(reader, &request.from_day, &request.to_day)))?;
    let (account, _) = named(front, account).await?;
    let found = papers::statement(&front.ledger, front.billing().await?, &account, span).await?;
    let amount = |units| format_units(units, found.decimals, found.minor_digits);
    let clock = front.ledger.clock();
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
        account_id: found.account,
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
pub async fn file(front: &Front, request: v1::GetAccountFileRequest) -> Result<File, Status> {
    let (account, paper, form, is_for_spreadsheets) = front.read(request, Position::default(), |reader, request| {
        let form = match reader.choice("form", request.form) {
            Some(v1::InvoiceForm::Json) => Form::Json,
            Some(v1::InvoiceForm::Csv) => Form::Csv,
            Some(v1::InvoiceForm::Html) => Form::Html,
            Some(v1::InvoiceForm::Pdf) => Form::Pdf,
            Some(v1::InvoiceForm::Unspecified) | None => {
                reader.refuse("form", "must be INVOICE_FORM_JSON, _CSV, _HTML or _PDF");
                Form::Json
            }
        };
        let paper = match reader.choice("paper", request.paper) {
            Some(v1::AccountPaper::Preview) => Paper::Preview,
            Some(v1::AccountPaper::Receipt) => Paper::Receipt(reader.request_id("payment_id", request.payment_id)),
            Some(v1::AccountPaper::StatementOfAccount) => Paper::Statement(span(reader, &request.from_day, &request.to_day)),
            Some(v1::AccountPaper::Unspecified) | None => {
                reader.refuse("paper", "must be ACCOUNT_PAPER_PREVIEW, _RECEIPT or _STATEMENT_OF_ACCOUNT");
                Paper::Preview
            }
        };
        (request.account_id, paper, form, request.for_spreadsheets)
    })?;
    let (account, _) = named(front, account).await?;
    let written = papers::file(&front.ledger, front.billing().await?, &account, paper, form, is_for_spreadsheets).await?;
    Ok(written.into())
}
