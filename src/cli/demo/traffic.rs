//! The busy day: three customers at once, a few thousand calls, many at a time; and what comes after their bill.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use rust_decimal::Decimal;
use rust_decimal::dec;

use super::customer::Customer;
use super::stage::Stage;
use crate::cli::failure::explain;
use crate::grpc::v1::{ChargeCommand, ChargeRequest, DebitRequest, ExcessPolicy, PaymentMode, charge_command, charge_outcome};

/// How many calls are under way at a time.
const AT_A_TIME: usize = 32;

/// Sessions of the prepaid customer: an Authorize and a Debit each.
const SESSIONS: usize = 700;
/// Direct debits of the postpaid customer.
const DEBITS: usize = 900;
/// Batches of the postpaid customer, in one stream.
const BATCHES: usize = 20;
const BATCH_COMMANDS: usize = 50;
/// Debits of the customer whose money lasts for fewer.
const TRIED: usize = 300;
const AFFORDABLE: usize = 200;

/// How many calls all this makes, roughly: for the progress bar.
pub const CALLS: u64 = (2 * SESSIONS + DEBITS + BATCHES * BATCH_COMMANDS + TRIED + 120) as u64;

/// The customers of the busy day.
pub struct BusyDayCustomers {
    prepaid: Arc<Customer>,
    postpaid: Arc<Customer>,
    poor: Arc<Customer>,
}

impl BusyDayCustomers {
    /// Opens their accounts.
    pub async fn open(stage: &mut Stage) -> anyhow::Result<Self> {
        let prepaid = stage.open("harbor", "Harbor Mobile", PaymentMode::Prepaid, Decimal::ZERO).await?;
        prepaid.top_up(dec!(500)).await?;
        let postpaid = stage.open("iris", "Iris Cloud", PaymentMode::Postpaid, dec!(800)).await?;
        let poor = stage.open("juniper", "Juniper Kiosk", PaymentMode::Prepaid, Decimal::ZERO).await?;
        poor.top_up(dec!(20)).await?;
        Ok(Self { prepaid, postpaid, poor })
    }

    /// All at once.
    pub async fn busy_day(&self, stage: &mut Stage) -> anyhow::Result<()> {
        let (_, _, _, affordable) = tokio::try_join!(self.sessions(), self.debits(), self.batches(), self.run_out_of_money())?;
        let credit = stage.tell(&self.prepaid, format!("{SESSIONS} sessions: 0.5 reserved, 0.317 charged each")).await?;
        stage.check_amount("after the sessions", dec!(500) - times(dec!(0.317), SESSIONS), &credit.usable)?;
        let (many, streamed) = (DEBITS, BATCHES * BATCH_COMMANDS);
        let credit = stage.tell(&self.postpaid, format!("{many} debits of 0.0425, {streamed} of 0.000125 in a stream")).await?;
        stage.check_amount("after the debits", dec!(800) - times(dec!(0.0425), many) - times(dec!(0.000125), streamed), &credit.usable)?;
        let credit = stage.tell(&self.poor, format!("{TRIED} debits of 0.1, with money for {AFFORDABLE}")).await?;
        stage.check("debits that the money lasted for", AFFORDABLE, affordable);
        stage.check_amount("and then nothing is left", Decimal::ZERO, &credit.usable)?;
        self.repeat_and_refund(stage).await?;
        self.crash(stage).await
    }

    async fn sessions(&self) -> anyhow::Result<()> {
        let session = |_| async {
            let Some(granted) = self.prepaid.authorize(dec!(0.5), None).await? else { anyhow::bail!("a session was declined") };
            let debit = DebitRequest { reservation_id: granted.reservation_id, ..self.prepaid.direct_debit(dec!(0.317)) };
            self.prepaid.debit(debit).await
        };
        stream::iter(0..SESSIONS).map(session).buffer_unordered(AT_A_TIME).try_collect::<Vec<_>>().await?;
        Ok(())
    }

    async fn debits(&self) -> anyhow::Result<()> {
        let debit = |_| self.postpaid.debit(self.postpaid.direct_debit(dec!(0.0425)));
        stream::iter(0..DEBITS).map(debit).buffer_unordered(AT_A_TIME).try_collect::<Vec<_>>().await?;
        Ok(())
    }

    /// The same in a stream of batches.
    async fn batches(&self) -> anyhow::Result<()> {
        let batch = |_| (0..BATCH_COMMANDS).map(|_| self.postpaid.direct_debit(dec!(0.000125))).collect::<Vec<_>>();
        let batches: Vec<_> = (0..BATCHES).map(batch).collect();
        let requests = batches.clone().into_iter().map(|debits| ChargeRequest {
            commands: debits.into_iter().map(|debit| ChargeCommand { command: Some(charge_command::Command::Debit(debit)) }).collect(),
        });
        let answers = self.postpaid_stream(stream::iter(requests.collect::<Vec<_>>())).await?;
        for (debits, outcomes) in batches.iter().zip(answers) {
            for (debit, outcome) in debits.iter().zip(outcomes) {
                match outcome {
                    Some(charge_outcome::Outcome::Debit(answer)) => self.postpaid.debited(debit, answer)?,
                    other => anyhow::bail!("a debit in a stream was answered with {other:?}"),
                };
            }
        }
        Ok(())
    }

    async fn postpaid_stream(
        &self,
        requests: impl stream::Stream<Item = ChargeRequest> + Send + 'static,
    ) -> anyhow::Result<Vec<Vec<Option<charge_outcome::Outcome>>>> {
        let answers = self.postpaid.client().charging.charge(requests).await.map_err(explain)?.into_inner();
        let outcomes = answers.map_ok(|answer| answer.outcomes.into_iter().map(|outcome| outcome.outcome).collect());
        outcomes.try_collect().await.map_err(explain)
    }

    async fn run_out_of_money(&self) -> anyhow::Result<usize> {
        let debit = |_| self.poor.debit(self.poor.direct_debit(dec!(0.1)));
        let answers: Vec<_> = stream::iter(0..TRIED).map(debit).buffer_unordered(AT_A_TIME).try_collect().await?;
        Ok(answers.iter().flatten().count())
    }

    /// A repeated request has one effect; refunds go where the charge came from.
    async fn repeat_and_refund(&self, stage: &mut Stage) -> anyhow::Result<()> {
        let debit = self.postpaid.direct_debit(dec!(12.5));
        self.postpaid.debit(debit.clone()).await?;
        let before = self.postpaid.credit().await?;
        self.postpaid.debit(debit.clone()).await?;
        let after = stage.tell(&self.postpaid, "a debit of 12.5, sent twice").await?;
        stage.check("a debit sent twice is charged once", before.usable, after.usable);
        self.postpaid.refund(&debit.request_id, Some(dec!(2.5))).await?;
        let credit = stage.tell(&self.postpaid, "2.5 of it refunded: less to be billed").await?;
        stage.check("a refund before the bill lowers what is unbilled", after.balance, credit.balance);

        let debit = self.prepaid.direct_debit(dec!(3));
        self.prepaid.debit(debit.clone()).await?;
        let refunded = self.prepaid.refund(&debit.request_id, None).await?;
        stage.tell(&self.prepaid, "a debit of 3, refunded in full").await?;
        stage.check_amount("a refund of all", dec!(3), &refunded.to_string())
    }

    /// A client that reserves and is not heard of again.
    async fn crash(&self, stage: &mut Stage) -> anyhow::Result<()> {
        let Some(lost) = self.prepaid.authorize(dec!(25), None).await? else { anyhow::bail!("the reservation was declined") };
        let before = stage.tell(&self.prepaid, "a client reserves 25, and crashes").await?;
        stage.check_amount("the amount is set aside", dec!(25), &before.reserved)?;
        stage.pass_days(1)?;
        self.prepaid.tally().end(&lost.reservation_id);
        let after = stage.tell(&self.prepaid, "a day later: the reservation has expired").await?;
        stage.check_amount("nothing stays reserved for ever", Decimal::ZERO, &after.reserved)?;
        let late = DebitRequest {
            reservation_id: lost.reservation_id,
            excess_policy: ExcessPolicy::AlreadyConsumed.into(),
            ..self.prepaid.direct_debit(dec!(4))
        };
        self.prepaid.debit(late).await?;
        stage.tell(&self.prepaid, "its report comes late: 4, already consumed").await?;
        Ok(())
    }

    /// The month has ended.
    pub async fn after_the_bill(&self, stage: &mut Stage) -> anyhow::Result<()> {
        let credit = stage.tell(&self.postpaid, "the month ended: what was used is due, the limit is whole again").await?;
        stage.check_amount("the limit is whole again", dec!(800), &credit.usable)?;
        let debit = self.postpaid.direct_debit(dec!(1.25));
        self.postpaid.debit(debit.clone()).await?;
        self.postpaid.top_up(dec!(100)).await?;
        let credit = stage.tell(&self.postpaid, "used 1.25, paid 100").await?;
        stage.check_amount("nothing is due any more", Decimal::ZERO, &credit.amount_due)?;
        stage.tell(&self.prepaid, "the month ended: nothing changes for prepaid").await?;
        Ok(())
    }
}

fn times(amount: Decimal, count: usize) -> Decimal {
    amount * Decimal::from(count)
}
