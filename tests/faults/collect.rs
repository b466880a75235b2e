//! What the stores hold when all is over, read by the API.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prost_types::Timestamp;
use rust_decimal::Decimal;
use tollgate::grpc::v1::account_service_client::AccountServiceClient;
use tollgate::grpc::v1::billing_service_client::BillingServiceClient;
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tollgate::grpc::v1::{self, EntryKind, InvoiceKind, InvoiceState, MailState};
use tonic::transport::Channel;

use crate::checker::evidence::{AccountAtEnd, Document, Entry, Evidence, Kind, MailEnd};
use crate::wire::{credit_of, decimal, operator};

/// How long it may take until everything is in the billing store, issued and sent, when all is whole.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often an account is read again of which something has just expired.
const TRIES: usize = 20;

/// All services, over one connection.
pub struct Reader {
    accounts: AccountServiceClient<Channel>,
    charging: ChargingServiceClient<Channel>,
    billing: BillingServiceClient<Channel>,
}

fn millis(time: Option<&Timestamp>) -> i64 {
    time.map_or(0, |time| time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000)
}

fn amount(money: Option<&v1::Money>) -> Decimal {
    money.map_or(Decimal::ZERO, |money| decimal(&money.amount))
}

impl Reader {
    pub fn new(channel: Channel) -> Self {
        let (accounts, charging) = (AccountServiceClient::new(channel.clone()), ChargingServiceClient::new(channel.clone()));
        Self { accounts, charging, billing: BillingServiceClient::new(channel) }
    }

    /// Who issues documents, at which rate, and that they are sent.
    pub async fn set_up(&mut self, accounts: &[String]) {
        let issuer = Some(v1::Issuer { name: "Nordlicht".into(), city: "Hamburg".into(), country_code: "DE".into(), ..Default::default() });
        let mut number = 0;
        let mut request_id = || {
            number += 1;
            format!("set-up-{number}")
        };
        let request = v1::SetIssuerRequest { request_id: request_id(), issuer, operator: operator(), ..Default::default() };
        self.billing.set_issuer(request).await.unwrap();
        let rate = Some(v1::TaxRate { percent: "19".into(), valid_from: "2020-01-01".into(), ..Default::default() });
        let request = v1::SetTaxRateRequest { request_id: request_id(), rate, operator: operator(), ..Default::default() };
        self.billing.set_tax_rate(request).await.unwrap();
        let request = v1::SetSendingRequest {
            request_id: request_id(),
            settings: Some(v1::SendingSettings {
                enabled: true,
                from: "Nordlicht <billing@nordlicht.example>".into(),
                contact: "Ann".into(),
                ..Default::default()
            }),
            operator: operator(),
            ..Default::default()
        };
        self.billing.set_sending(request).await.unwrap();
        for account in accounts {
            let email = format!("accounts@{account}.example");
            let customer = Some(v1::Party { name: format!("Customer {account}"), email, language: "en".into(), ..Default::default() });
            let request = v1::SetBillingDetailsRequest { account_id: account.clone(), customer, ..Default::default() };
            self.billing.set_billing_details(request).await.unwrap();
        }
    }

    /// Whether it serves, and reaches its stores.
    pub async fn is_there(&mut self) -> bool {
        self.billing.get_aggregation(v1::GetAggregationRequest {}).await.is_ok()
    }

    /// Whether the billing store has all that is in the journal.
    pub async fn is_aggregated(&mut self) -> bool {
        let found = self.billing.get_aggregation(v1::GetAggregationRequest {}).await;
        found.is_ok_and(|found| {
            let found = found.into_inner();
            !found.partitions.is_empty() && found.partitions.iter().all(|partition| partition.lag_entries == 0)
        })
    }

    pub async fn until_aggregated(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_aggregated().await {
            if Instant::now() > deadline {
                let found = self.billing.get_aggregation(v1::GetAggregationRequest {}).await;
                return Err(format!("the journal is not taken in: {found:?}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Waits until nothing is left to issue or to send.
    async fn until_settled(&mut self) -> Result<Vec<v1::Mail>, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.until_aggregated().await?;
            let request = v1::GetIssuingRequest::default();
            let issuing = self.billing.get_issuing(request).await.map_err(|status| format!("{status:?}"))?.into_inner();
            let mails = self.mails().await;
            let is_waiting = |mail: &v1::Mail| [MailState::Waiting, MailState::Sending, MailState::Deferred].contains(&mail.state());
            let waiting = mails.iter().filter(|mail| is_waiting(mail)).count();
            if issuing.waiting.iter().all(|waiting| waiting.count == 0) && waiting == 0 {
                return Ok(mails);
            }
            if Instant::now() > deadline {
                let example = mails.iter().find(|mail| is_waiting(mail));
                return Err(format!("not issued: {:?}; not sent: {waiting}, such as {example:?}", issuing.waiting));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn mails(&mut self) -> Vec<v1::Mail> {
        let mut request = v1::ListMailsRequest { page_size: 1000, ..Default::default() };
        let mut found = Vec::new();
        loop {
            let page = self.billing.list_mails(request.clone()).await.unwrap().into_inner();
            found.extend(page.mails);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return found;
            }
        }
    }

    /// Reads everything.
    pub async fn collect(&mut self, accounts: &[String], taken: impl FnOnce() -> Vec<String>) -> Result<Evidence, String> {
        let mut evidence = Evidence::default();
        let mails = self.until_settled().await?;
        for mail in &mails {
            let end = match mail.state() {
                MailState::Sent => MailEnd::Sent,
                MailState::Unknown => MailEnd::Unknown,
                _ => MailEnd::Failed,
            };
            evidence.mails.insert(mail.mail_id.clone(), (end, 0));
        }
        for id in taken() {
            evidence.mails.entry(id).or_insert((MailEnd::Failed, 0)).1 += 1;
        }
        for account in accounts {
            let journal = self.journal(account).await;
            let end = self.account(account).await;
            evidence.journal.insert(account.clone(), journal);
            evidence.accounts.insert(account.clone(), end);
        }
        evidence.exported = self.exported().await;
        evidence.documents = self.documents().await?;
        Ok(evidence)
    }

    async fn journal(&mut self, account: &str) -> Vec<Entry> {
        let mut request = v1::ListEntriesRequest { account_id: account.into(), page_size: 1000, ..Default::default() };
        let mut entries = Vec::new();
        loop {
            let page = self.accounts.list_entries(request.clone()).await.unwrap().into_inner();
            entries.extend(page.entries.iter().map(entry_of));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                entries.reverse();
                return entries;
            }
        }
    }

    /// An account as it is at one instant: what expires while it is read has it read again.
    async fn account(&mut self, account: &str) -> AccountAtEnd {
        for _ in 0..TRIES {
            let (found, ends) = self.read(account).await;
            let open: Decimal = found.reservations.values().copied().sum();
            if open == found.credit.reserved && ends.is_none_or(|ends| ends > found.read_at) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.read(account).await.0
    }

    /// Reads an account; also says when the first of its reservations ends.
    async fn read(&mut self, account: &str) -> (AccountAtEnd, Option<i64>) {
        let request = v1::GetUsableCreditRequest { account_id: account.into() };
        let credit = self.charging.get_usable_credit(request).await.unwrap().into_inner().credit.unwrap();
        let mut request = v1::ListReservationsRequest { account_id: account.into(), page_size: 1000, ..Default::default() };
        let (mut reservations, mut ends) = (BTreeMap::new(), None::<i64>);
        loop {
            let page = self.accounts.list_reservations(request.clone()).await.unwrap().into_inner();
            for found in page.reservations {
                let end = found.expires_at.as_ref().map(|end| end.seconds * 1_000 + i64::from(end.nanos) / 1_000_000);
                ends = ends.into_iter().chain(end).min();
                reservations.insert(found.reservation_id, amount(found.amount.as_ref()));
            }
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let read_at = jiff::Timestamp::now().as_millisecond();
        (AccountAtEnd { credit: credit_of(&credit), read_at, reservations }, ends)
    }

    async fn exported(&mut self) -> Vec<String> {
        let mut stream = self.billing.export_usage(v1::ExportUsageRequest::default()).await.unwrap().into_inner();
        let mut ids = Vec::new();
        while let Some(part) = stream.message().await.unwrap() {
            ids.extend(part.records.into_iter().map(|record| record.record_id));
        }
        ids
    }

    async fn documents(&mut self) -> Result<Vec<Document>, String> {
        let mut request = v1::ListInvoicesRequest { page_size: 1000, ..Default::default() };
        let mut documents = Vec::new();
        loop {
            let page = self.billing.list_invoices(request.clone()).await.unwrap().into_inner();
            for found in page.invoices {
                if found.state() != InvoiceState::Issued {
                    return Err(format!("a document is {:?}: {found:?}", found.state()));
                }
                documents.push(self.document(found).await);
            }
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return Ok(documents);
            }
        }
    }

    async fn document(&mut self, found: v1::Invoice) -> Document {
        let mut request = v1::GetInvoiceRequest { number: found.number.clone(), page_size: 1000, ..Default::default() };
        let mut lines = (0, Decimal::ZERO);
        loop {
            let page = self.billing.get_invoice(request.clone()).await.unwrap().into_inner();
            let invoice = page.invoice.unwrap();
            for line in invoice.items.iter().chain(&invoice.deducted).filter(|line| !line.amount.starts_with('-')) {
                lines.0 += u64::try_from(line.count).unwrap();
                lines.1 += decimal(&line.amount);
            }
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let request = v1::GetInvoiceFileRequest { number: found.number.clone(), form: v1::InvoiceForm::Csv.into(), ..Default::default() };
        let mut file = self.billing.get_invoice_file(request).await.unwrap().into_inner();
        let mut text = Vec::new();
        while let Some(part) = file.message().await.unwrap() {
            text.extend(part.content);
        }
        let mut rows = csv::Reader::from_reader(&*text);
        let records = rows.records().map(Result::unwrap).filter(|row| &row[3] == "charge").map(|row| row[0].to_owned()).collect();
        Document {
            is_credit_note: found.kind() == InvoiceKind::CreditNote,
            number: found.number,
            account: found.account_id,
            bill: u32::try_from(found.bill_number).unwrap(),
            records,
            lines,
        }
    }
}

fn entry_of(entry: &v1::Entry) -> Entry {
    let (partition, sequence) = entry.entry_id.split_once('-').unwrap();
    Entry {
        partition: partition.parse().unwrap(),
        sequence: sequence.parse().unwrap(),
        kind: kind_of(entry.kind()),
        request: entry.request_id.clone(),
        account_sequence: u64::try_from(entry.account_sequence).unwrap(),
        at: millis(entry.accepted_at.as_ref()),
        bill: u32::try_from(entry.bill_number).unwrap(),
        amount: amount(entry.amount.as_ref()),
        balance: [amount(entry.balance_before.as_ref()), amount(entry.balance_after.as_ref())],
        unbilled: [amount(entry.unbilled_before.as_ref()), amount(entry.unbilled_after.as_ref())],
        reserved_after: amount(entry.reserved_after.as_ref()),
        refers_to: entry.refers_to.clone(),
        taken_off: entry.taken_off.as_ref().map(|money| decimal(&money.amount)),
    }
}

fn kind_of(kind: EntryKind) -> Kind {
    match kind {
        EntryKind::Created => Kind::Created,
        EntryKind::ChargedBalance => Kind::ChargedBalance,
        EntryKind::ChargedUnbilled => Kind::ChargedUnbilled,
        EntryKind::ChargedOwnBill => Kind::ChargedOwnBill,
        EntryKind::RefundedBalance => Kind::RefundedBalance,
        EntryKind::RefundedUnbilled => Kind::RefundedUnbilled,
        EntryKind::ToppedUp => Kind::ToppedUp,
        EntryKind::PaymentRecorded => Kind::PaymentRecorded,
        EntryKind::Withdrawn => Kind::Withdrawn,
        EntryKind::Adjusted => Kind::Adjusted,
        EntryKind::LimitSet => Kind::LimitSet,
        EntryKind::Converted => Kind::Converted,
        EntryKind::PeriodClosed => Kind::PeriodClosed,
        EntryKind::FinalBilled => Kind::FinalBilled,
        EntryKind::Rounded => Kind::Rounded,
        EntryKind::AmountDueRounded => Kind::AmountDueRounded,
        EntryKind::Suspended => Kind::Suspended,
        EntryKind::Resumed => Kind::Resumed,
        EntryKind::Reserved => Kind::Reserved,
        EntryKind::ReservationExtended => Kind::ReservationExtended,
        EntryKind::Released => Kind::Released,
        _ => Kind::Other,
    }
}
