//! The demo's story: a month and a bit in the life of ten customers.
//!
//! The figures checked on the way are those that were published of the platform whose rules this service follows.

use std::sync::Arc;

use rust_decimal::Decimal;
use rust_decimal::dec;

use super::customer::{Customer, permanent, reserve};
use super::stage::Stage;
use super::tally::{amount_of, money};
use super::traffic;
use crate::grpc::v1::credit_limit_change::Temporary;
use crate::grpc::v1::temporary_credit_limit::End;
use crate::grpc::v1::{
    AdviceTopic, ConvertResponse, Credit, CreditLimitChange, DebitRequest, ExcessPolicy, PaymentMode, TemporaryCreditLimit, debit_request,
};

/// Plays it all.
pub async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    living_on_the_limit(stage).await?;
    let month = Month::begin(stage).await?;
    let customers = traffic::BusyDayCustomers::open(stage).await?;
    customers.busy_day(stage).await?;
    a_long_call(stage).await?;
    a_limit_that_runs_out(stage).await?;
    there_and_back(stage).await?;
    stage.go_to_next_month()?;
    month.end(stage).await?;
    customers.after_the_bill(stage).await?;
    // A read applies a month's end to a copy; an accepted command, were it for nothing, writes it into the journal.
    for customer in &stage.customers {
        customer.debit(customer.direct_debit(Decimal::ZERO)).await?;
    }
    Ok(())
}

/// Prepaid: the limit lets the balance go below zero.
async fn living_on_the_limit(stage: &mut Stage) -> anyhow::Result<()> {
    let aurora = stage.open("aurora", "Aurora Travel", PaymentMode::Prepaid, dec!(2000)).await?;
    aurora.top_up(dec!(86.10148)).await?;
    let credit = stage.tell(&aurora, "prepaid, paid 86.10148, limit 2000").await?;
    stage.check_amount("prepaid: balance 86.10148 and limit 2000", dec!(2086.10148), &credit.usable)?;

    let birch = stage.open("birch", "Birch Bakery", PaymentMode::Prepaid, dec!(100)).await?;
    birch.top_up(dec!(50)).await?;
    birch.debit(birch.direct_debit(dec!(58.67))).await?;
    let credit = stage.tell(&birch, "prepaid, paid 50, used 58.67, limit 100").await?;
    stage.check_amount("prepaid: 8.67 below zero, limit 100", dec!(91.33), &credit.usable)
}

/// Postpaid: two customers whose month will end.
struct Month {
    unpaid: Arc<Customer>,
    /// The first charge of the one that does not pay.
    charge: String,
    overpaid: Arc<Customer>,
}

impl Month {
    async fn begin(stage: &mut Stage) -> anyhow::Result<Self> {
        let unpaid = stage.open("cedar", "Cedar Clinics", PaymentMode::Postpaid, dec!(1200)).await?;
        let first = unpaid.direct_debit(dec!(400));
        let charge = first.request_id.clone();
        for debit in [first, unpaid.direct_debit(dec!(400)), unpaid.direct_debit(dec!(400))] {
            unpaid.debit(debit).await?;
        }
        stage.tell(&unpaid, "postpaid, limit 1200, used 3 x 400").await?;
        let declined = unpaid.debit(unpaid.direct_debit(dec!(0.01))).await?.is_none();
        stage.check("a used-up limit declines a cent more", true, declined);

        let overpaid = stage.open("dune", "Dune Logistics", PaymentMode::Postpaid, dec!(2400)).await?;
        overpaid.top_up(dec!(424)).await?;
        let credit = stage.tell(&overpaid, "postpaid, limit 2400, overpaid by 424").await?;
        stage.check_amount("postpaid: limit 2400, overpaid by 424", dec!(2824), &credit.usable)?;
        overpaid.debit(overpaid.direct_debit(dec!(500))).await?;
        let credit = stage.tell(&overpaid, "used 500").await?;
        stage.check_amount("then 500 used", dec!(2324), &credit.usable)?;
        Ok(Self { unpaid, charge, overpaid })
    }

    async fn end(&self, stage: &mut Stage) -> anyhow::Result<()> {
        for customer in &stage.customers {
            customer.tally().cut_bill();
        }
        let credit = stage.tell(&self.overpaid, "the month ended: 500 billed, 424 of it paid").await?;
        stage.check_amount("then the period closes: usable", dec!(2400), &credit.usable)?;
        stage.check_amount("then the period closes: due", dec!(76), &credit.amount_due)?;

        stage.tell(&self.unpaid, "the month ended: 1200 billed, unpaid").await?;
        self.unpaid.set_limit(permanent(dec!(1000))).await?;
        let credit = stage.tell(&self.unpaid, "limit lowered to 1000, still unpaid").await?;
        stage.check_amount("postpaid: 1200 due, limit 1000: usable", dec!(1000), &credit.usable)?;
        stage.check_amount("postpaid: 1200 due, limit 1000: due", dec!(1200), &credit.amount_due)?;
        self.unpaid.debit(self.unpaid.direct_debit(dec!(10))).await?;
        stage.tell(&self.unpaid, "used 10: being unpaid costs nothing").await?;
        self.unpaid.refund(&self.charge, Some(dec!(25))).await?;
        let credit = stage.tell(&self.unpaid, "25 of what was invoiced is refunded: a credit note, and less is due").await?;
        stage.check_amount("25 of what was billed is refunded: due", dec!(1175), &credit.amount_due)?;
        Ok(())
    }
}

/// A call that reports and reserves as it goes (RFC 8506), until the credit is used up to the last cent.
async fn a_long_call(stage: &mut Stage) -> anyhow::Result<()> {
    let elm = stage.open("elm", "Elm Radio", PaymentMode::Prepaid, Decimal::ZERO).await?;
    elm.top_up(dec!(10)).await?;
    let Some(first) = elm.authorize(dec!(4), None).await? else { anyhow::bail!("the call was not authorized") };
    stage.tell(&elm, "a call begins: 4 reserved").await?;
    let report = |used, next: Option<Decimal>| DebitRequest {
        reservation_id: first.reservation_id.clone(),
        remainder: next.map(|next| debit_request::Remainder::Reserve(Box::new(reserve(next, Some(dec!(0.5)))))),
        ..elm.direct_debit(used)
    };
    elm.debit(report(dec!(3), Some(dec!(4)))).await?;
    stage.tell(&elm, "reports 3 used, reserves 4 more").await?;
    let charged = elm.debit(report(dec!(4), Some(dec!(5)))).await?;
    let last = charged.and_then(|charged| charged.reservation);
    let credit = stage.tell(&elm, "reports 4 used, wants 5, gets the last 3: final unit").await?;
    stage.check("the last unit is marked as final", true, last.as_ref().is_some_and(|last| last.final_unit));
    stage.check_amount("all that is left is reserved", dec!(3), &credit.reserved)?;
    elm.debit(report(dec!(2.999), None)).await?;
    let credit = stage.tell(&elm, "hangs up: 2.999 used, the rest is given back").await?;
    stage.check_amount("after the call", dec!(0.001), &credit.usable)?;
    let late = DebitRequest { excess_policy: ExcessPolicy::AlreadyConsumed.into(), ..elm.direct_debit(dec!(1.001)) };
    let charged = elm.debit(late).await?;
    stage.tell(&elm, "a late report of 1.001, already consumed").await?;
    let overdraft = charged.as_ref().map(|charged| amount_of(charged.overdraft.as_ref())).transpose()?;
    stage.check_amount("beyond the credit, marked as overdraft", dec!(1), &overdraft.unwrap_or_default().to_string())
}

/// A temporary limit: counts for nothing from its end on, and no job has to run for that.
async fn a_limit_that_runs_out(stage: &mut Stage) -> anyhow::Result<()> {
    let fir = stage.open("fir", "Fir Festival", PaymentMode::Prepaid, Decimal::ZERO).await?;
    fir.top_up(dec!(5)).await?;
    let temporary = TemporaryCreditLimit { limit: Some(money(dec!(50))), end: Some(End::Days(3)) };
    fir.set_limit(CreditLimitChange { permanent: None, temporary: Some(Temporary::SetTemporary(temporary)) }).await?;
    let credit = stage.tell(&fir, "paid 5; a limit of 50 for 3 days").await?;
    stage.check_amount("while a temporary limit runs", dec!(55), &credit.usable)?;
    fir.debit(fir.direct_debit(dec!(30))).await?;
    stage.tell(&fir, "used 30").await?;
    stage.pass_days(3)?;
    let credit = stage.tell(&fir, "3 days later: the limit has run out").await?;
    stage.check_amount("from its end on", dec!(-25), &credit.usable)?;
    let declined = fir.debit(fir.direct_debit(dec!(1))).await?.is_none();
    stage.check("a debit is declined without it", true, declined);
    fir.top_up(dec!(40)).await?;
    stage.tell(&fir, "paid 40").await?;
    Ok(())
}

/// Conversions both ways, with a transaction in flight.
async fn there_and_back(stage: &mut Stage) -> anyhow::Result<()> {
    let gale = stage.open("gale", "Gale Energy", PaymentMode::Prepaid, Decimal::ZERO).await?;
    gale.top_up(dec!(60)).await?;
    let Some(open) = gale.authorize(dec!(10), None).await? else { anyhow::bail!("the reservation was declined") };
    let before = stage.tell(&gale, "prepaid, paid 60, 10 reserved").await?;

    let converted = gale.convert(PaymentMode::Postpaid, Some(dec!(300))).await?;
    let after = stage.tell(&gale, "converted to postpaid, limit 300: the money left is an overpayment").await?;
    stage.check_amount("to postpaid: usable", dec!(350), &after.usable)?;
    stage.check("to postpaid: current balance and reserved", pair(&before), pair(&after));
    advise(stage, "Gale Energy, to postpaid", &converted);
    stage.check("to postpaid: advice on the time of the month", true, has(&converted, AdviceTopic::Timing));

    gale.debit(DebitRequest { reservation_id: open.reservation_id, ..gale.direct_debit(dec!(7.5)) }).await?;
    gale.debit(gale.direct_debit(dec!(120.123456))).await?;
    let before = stage.tell(&gale, "the reservation settles at 7.5; 120.123456 more used").await?;
    stage.check_amount("settled under the mode that holds now: unbilled", dec!(127.623456), &before.unbilled)?;

    let converted = gale.convert(PaymentMode::Prepaid, None).await?;
    let after = stage.tell(&gale, "converted to prepaid: the final bill is cut, rounded to 127.62").await?;
    stage.check_amount("to prepaid: balance", dec!(-67.62), &after.balance)?;
    stage.check_amount("to prepaid: unbilled", Decimal::ZERO, &after.unbilled)?;
    advise(stage, "Gale Energy, to prepaid", &converted);
    stage.check("to prepaid: advice to remove the limit", true, has(&converted, AdviceTopic::RemoveLimit));

    gale.set_limit(permanent(Decimal::ZERO)).await?;
    gale.top_up(dec!(100)).await?;
    stage.tell(&gale, "limit removed, paid 100").await?;
    Ok(())
}

fn pair(credit: &Credit) -> String {
    format!("{} {}", credit.current_balance, credit.reserved)
}

fn has(converted: &ConvertResponse, topic: AdviceTopic) -> bool {
    converted.advice.iter().any(|advice| advice.topic() == topic)
}

fn advise(stage: &mut Stage, whom: &str, converted: &ConvertResponse) {
    stage.advice.extend(converted.advice.iter().map(|advice| format!("{whom}: {}", advice.text)));
}
