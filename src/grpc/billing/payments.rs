//! Payments: reads requests, writes responses.

use prost_types::Timestamp;

use super::super::call::read as taken;
use super::read;
use crate::billing::payments::{Payment, PaymentCursor, PaymentFilter, PaymentInFull, PaymentPart, PaymentReversal};
use crate::billing::{Act, ByHand};
use crate::clock::Clock;
use crate::domain::command::{Action, Command, Metadata};
use crate::domain::entry::EntryKind;
use crate::domain::money::format_units;
use crate::domain::origin::Origin;
use crate::domain::time::UnixMillis;
use crate::grpc::wire::reader::{FieldReader, Sign};
use crate::grpc::wire::render::{instant, money};
use crate::grpc::{page_token, pages, v1};
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::error::Error;
use crate::service::payments::{AllocateByHand, AllocatedByHand};

/// Which payments to list.
struct Listing {
    filter: PaymentFilter,
    count: usize,
    after: Option<PaymentCursor>,
    /// The request fields that page tokens are bound to.
    query: Vec<String>,
}

/// Payments, in pages.
pub async fn list(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::ListPaymentsRequest,
) -> Result<v1::ListPaymentsResponse, Error> {
    let listing = taken(use_cases, request, read_list)?;
    let page = use_cases.list_payments(context, &listing.filter, listing.after, listing.count).await?;
    let query: Vec<_> = listing.query.iter().map(String::as_str).collect();
    let token =
        |(received_at, entry): PaymentCursor| page_token::encode(&query, &(received_at.get().cast_unsigned(), entry.cast_unsigned()));
    let clock = use_cases.clock();
    let places: Vec<PaymentCursor> = page.payments.iter().map(|found| (found.received_at, found.entry)).collect();
    let payments = page.payments.into_iter().map(|found| payment(found, clock)).collect();
    let (payments, next) = pages::page(payments, &places, page.next);
    Ok(v1::ListPaymentsResponse { payments, next_page_token: next.map(token).unwrap_or_default() })
}

fn read_list(reader: &mut FieldReader, request: v1::ListPaymentsRequest) -> Listing {
    let v1::ListPaymentsRequest { account_id, received_from, received_to, method, unallocated_only, page_size, page_token } = request;
    let query = ["payments", &account_id, &received_from, &received_to, &method, &unallocated_only.to_string()].map(str::to_owned).to_vec();
    let words: Vec<_> = query.iter().map(String::as_str).collect();
    let after = page_token::read::<(u64, u64)>(reader, "page_token", &words, &page_token);
    let first = reader.day("received_from", &received_from);
    let last = reader.day("received_to", &received_to).and_then(|day| day.tomorrow().ok());
    let method = reader.word("method", method, 32);
    let filter = PaymentFilter {
        account: read::optional_account(reader, account_id),
        received_from: first.map(|day| reader.start_of_day(day)),
        received_to: last.map(|day| reader.start_of_day(day)),
        method: Some(method).filter(|method| !method.is_empty()),
        unallocated_only,
        scope: None,
    };
    let after = after.map(|(received_at, entry)| (UnixMillis::new(received_at.cast_signed()), entry.cast_signed()));
    Listing { filter, count: reader.page_size(page_size), after, query }
}

/// A payment in full.
pub async fn get(use_cases: &UseCases, context: &RequestContext, request: v1::GetPaymentRequest) -> Result<v1::GetPaymentResponse, Error> {
    let (account, id) = taken(use_cases, request, |reader, request| {
        (reader.account_id(request.account_id), reader.request_id("payment_id", request.payment_id))
    })?;
    let PaymentInFull { payment: found, parts, reversals } = use_cases.payment(context, &account, &id).await?;
    let amount = |units| format_units(units, found.decimals, found.minor_digits);
    let part = |part: PaymentPart| v1::PaymentPart {
        invoice_number: part.invoice,
        allocated_at: Some(instant(part.at)),
        amount: amount(part.amount),
        operator: operator(part.actor, part.reason),
    };
    let reversal = |reversal: PaymentReversal| v1::PaymentReversal {
        request_id: reversal.request_id.into(),
        reversed_at: Some(instant(reversal.at)),
        amount: amount(reversal.amount),
        operator: operator(reversal.actor, reversal.reason),
    };
    Ok(v1::GetPaymentResponse {
        parts: parts.into_iter().map(part).collect(),
        reversals: reversals.into_iter().map(reversal).collect(),
        payment: Some(payment(found, use_cases.clock())),
    })
}

/// Allocates a payment to an invoice, or frees what is set aside of it.
pub async fn allocate(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::AllocatePaymentRequest,
) -> Result<v1::AllocatePaymentResponse, Error> {
    let asked = taken(use_cases, request, |reader, request| {
        let v1::AllocatePaymentRequest { account_id, request_id, payment_id, invoice_number, amount, operator, first_sent_at } = request;
        let act = if invoice_number.is_empty() { Act::SetFree } else { Act::Allocate };
        if act == Act::SetFree && amount.is_some() {
            reader.refuse("amount", "must be absent without an invoice_number: all that is set aside is freed");
        }
        by_hand(reader, act, [account_id, request_id, payment_id, invoice_number], amount, operator, first_sent_at)
    })?;
    let AllocatedByHand { account, handled, payment: found } = use_cases.allocate_by_hand(context, asked).await?;
    let payment = found.map(|found| payment(found.payment, use_cases.clock()));
    Ok(v1::AllocatePaymentResponse { allocated: Some(money(&account, handled.amount)), payment, replayed: handled.replayed })
}

/// Takes a payment off an invoice.
pub async fn unallocate(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::UnallocatePaymentRequest,
) -> Result<v1::UnallocatePaymentResponse, Error> {
    let asked = taken(use_cases, request, |reader, request| {
        let v1::UnallocatePaymentRequest { account_id, request_id, payment_id, invoice_number, amount, operator, first_sent_at } = request;
        by_hand(reader, Act::TakeOff, [account_id, request_id, payment_id, invoice_number], amount, operator, first_sent_at)
    })?;
    let AllocatedByHand { account, handled, payment: found } = use_cases.allocate_by_hand(context, asked).await?;
    let payment = found.map(|found| payment(found.payment, use_cases.clock()));
    Ok(v1::UnallocatePaymentResponse { unallocated: Some(money(&account, handled.amount)), payment, replayed: handled.replayed })
}

/// Reads what an operator does by hand.
fn by_hand(
    reader: &mut FieldReader,
    act: Act,
    [account, request_id, credit, invoice]: [String; 4],
    amount: Option<v1::Money>,
    operator: Option<v1::Operator>,
    first_sent_at: Option<Timestamp>,
) -> AllocateByHand {
    let first_sent_at = reader.instant("first_sent_at", first_sent_at);
    let amount = reader.optional_amount("amount", amount, Sign::Positive);
    let mut metadata = Metadata::default();
    reader.operator(operator, true, &mut metadata);
    let credit = reader.request_id("payment_id", credit);
    let invoice = if act == Act::SetFree { invoice } else { reader.identifier("invoice_number", invoice) };
    // The account, the request's id and the currency are read as those of a command are.
    let Command { account, request_id, currency, .. } = reader.command(account, request_id, Action::Observe { watch: false });
    let (actor, reason, on_behalf_of, origin) = (metadata.actor, metadata.reason, String::new(), Origin::default());
    let by_hand = ByHand { account, request_id, act, credit, invoice, amount: None, actor, on_behalf_of, reason, at: reader.now(), origin };
    AllocateByHand { by_hand, amount, currency, first_sent_at }
}

fn operator(actor: String, reason: String) -> Option<v1::Operator> {
    (!actor.is_empty() || !reason.is_empty()).then_some(v1::Operator { actor, reason })
}

fn payment(found: Payment, clock: &Clock) -> v1::Payment {
    let amount = |units| format_units(units, found.decimals, found.minor_digits);
    let kind = if found.kind == EntryKind::ToppedUp { v1::EntryKind::ToppedUp } else { v1::EntryKind::PaymentRecorded };
    v1::Payment {
        entry_id: found.entry_id(),
        kind: kind.into(),
        accepted_at: Some(instant(found.accepted_at)),
        amount: amount(found.amount),
        allocated: amount(found.allocated),
        reversed: amount(found.reversed),
        unallocated: amount(found.unallocated()),
        set_aside: amount(found.set_aside),
        details: Some(v1::PaymentDetails {
            received_on: clock.day_of(found.received_at).to_string(),
            method: found.details.method,
            reference: found.details.reference,
            remark: found.details.remark,
        }),
        operator: operator(found.actor, found.reason),
        account_id: found.account.into(),
        payment_id: found.request_id.into(),
        currency_code: found.currency,
    }
}
