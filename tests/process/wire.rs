//! A sentence of a table as a request of the API, by gRPC and by HTTP; and what came of it, in the table's words.

use axum::body::{Body, to_bytes};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use prost_reflect::DynamicMessage;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tollgate::grpc::dynamic::{Dynamic, path, to_json};
use tollgate::http::methods::Methods;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetail, StatusExt};

use crate::renderings::decimal;
use crate::service::PATIENCE;
use crate::table::{Limit, Next, Opening, ReserveTerms, Step, Temporary, What};

/// A call: the end of its path, and what is sent.
pub type Call<'a> = (&'a str, Value);

fn timestamp(millis: i64) -> Value {
    json!(jiff::Timestamp::from_millisecond(millis).unwrap().to_string())
}

fn seconds(millis: i64) -> String {
    format!("{}.{:03}s", millis / 1000, millis % 1000)
}

/// Reads requests off a step, at an instant.
struct Writer {
    currency: Option<&'static str>,
    now: i64,
}

impl Writer {
    fn money(&self, amount: &str) -> Value {
        match self.currency {
            Some(currency) => json!({ "amount": amount, "currencyCode": currency }),
            None => json!({ "amount": amount }),
        }
    }

    fn reserve(&self, wanted: &ReserveTerms) -> Value {
        let mut reserve = json!({ "amount": self.money(wanted.amount) });
        if let Some(minimum) = wanted.minimum {
            reserve["minimum"] = self.money(minimum);
        }
        if let Some(validity) = wanted.validity {
            reserve["validity"] = json!(seconds(validity));
        }
        if let Some(grace) = wanted.grace {
            reserve["grace"] = json!(seconds(grace));
        }
        reserve
    }

    fn limit(&self, limit: &Limit) -> Value {
        let mut change = json!({});
        if let Some(permanent) = limit.permanent {
            change["permanent"] = self.money(permanent);
        }
        match limit.temporary {
            None => {}
            Some(Temporary::Removed) => change["removeTemporary"] = json!(true),
            Some(Temporary::Days(amount, days)) => change["setTemporary"] = json!({ "limit": self.money(amount), "days": days }),
            Some(Temporary::Until(amount, ahead)) => {
                change["setTemporary"] = json!({ "limit": self.money(amount), "until": timestamp(self.now + ahead) });
            }
        }
        change
    }

    fn create(&self, opening: &Opening) -> Value {
        let mut request = json!({
            "name": "Alpha",
            "currencyCode": opening.currency,
            "mode": mode(opening.is_postpaid),
            "decimals": opening.decimals,
            "creditLimit": self.limit(&opening.limit),
            "nonUsageBilling": billing(opening.is_one_by_one),
            "allowUnusable": opening.allow_unusable,
        });
        if let Some(amount) = opening.low_credit {
            request["lowCreditThreshold"] = self.money(amount);
        }
        request
    }

    fn debit(&self, what: &What) -> Value {
        let What::Debit { amount, category, against, then, is_consumed } = what else { return Value::Null };
        let category = format!("CHARGE_CATEGORY_{}", category.to_uppercase());
        let mut request = json!({ "amount": self.money(amount), "usage": { "item": "item", "category": category } });
        if let Some(reservation) = against {
            request["reservationId"] = json!(reservation);
        }
        match then {
            Next::Settle => {}
            Next::Keep => request["keep"] = json!(true),
            Next::Reserve(wanted) => request["reserve"] = self.reserve(wanted),
        }
        if *is_consumed {
            request["excessPolicy"] = json!("EXCESS_POLICY_ALREADY_CONSUMED");
        }
        request
    }

    /// What undoes something, by its name.
    fn undo(&self, field: &str, name: &str, amount: Option<&str>) -> Value {
        let mut request = json!({ field: name });
        if let Some(amount) = amount {
            request["amount"] = self.money(amount);
        }
        request
    }

    fn call(&self, what: &What) -> Call<'static> {
        let amount = |amount: &str| json!({ "amount": self.money(amount) });
        match what {
            What::Given { opening, .. } | What::Create(opening) => ("account/create-account", self.create(opening)),
            What::Reserve(wanted) => ("charging/authorize", json!({ "reserve": self.reserve(wanted) })),
            What::Debit { .. } => ("charging/debit", self.debit(what)),
            What::Release(name) => ("charging/release", json!({ "reservationId": name })),
            What::Refund { charge, amount } => ("charging/refund", self.undo("chargeId", charge, *amount)),
            What::ReversePayment { payment, amount } => ("account/reverse-payment", self.undo("paymentId", payment, *amount)),
            What::ReverseWriteOff { write_off, amount } => ("billing/reverse-write-off", self.undo("writeOffId", write_off, *amount)),
            What::TopUp(sum) => ("account/top-up", amount(sum)),
            What::RecordPayment(sum) => ("billing/record-payment", amount(sum)),
            What::Withdraw(sum) => ("account/withdraw", amount(sum)),
            What::Adjust(sum) => ("account/adjust-balance", amount(sum)),
            What::WriteOff(sum) => ("billing/write-off", sum.map_or_else(|| json!({}), amount)),
            What::SetLimit { limit, allow_unusable } => {
                ("account/set-credit-limit", json!({ "creditLimit": self.limit(limit), "allowUnusable": allow_unusable }))
            }
            What::Convert { is_to_postpaid, limit, allow_unusable } => {
                let (mode, limit) = (mode(*is_to_postpaid), self.limit(limit));
                ("charging/convert", json!({ "mode": mode, "creditLimit": limit, "allowUnusable": allow_unusable }))
            }
            What::Rename(name) => ("account/update-account", json!({ "name": name })),
            What::LowCredit(Some(amount)) => ("account/update-account", json!({ "lowCreditThreshold": self.money(amount) })),
            What::LowCredit(None) => ("account/update-account", json!({ "removeLowCreditThreshold": true })),
            What::Bill { is_one_by_one } => ("account/update-account", json!({ "nonUsageBilling": billing(*is_one_by_one) })),
            What::Suspend => ("account/suspend-account", json!({})),
            What::Resume => ("account/resume-account", json!({})),
            What::Close => ("account/close-account", json!({})),
            What::Reopen => ("account/reopen-account", json!({})),
            What::ReserveAll | What::TimePasses(_) | What::MonthEnds => panic!("{what:?} is no request"),
        }
    }
}

fn mode(is_postpaid: bool) -> &'static str {
    if is_postpaid { "PAYMENT_MODE_POSTPAID" } else { "PAYMENT_MODE_PREPAID" }
}

fn billing(is_one_by_one: bool) -> &'static str {
    if is_one_by_one { "NON_USAGE_BILLING_ONE_BY_ONE" } else { "NON_USAGE_BILLING_CONSOLIDATED" }
}

/// The request of a step, for an account, at an instant.
pub fn call(step: &Step, account: &str, now: i64) -> Call<'static> {
    let request = &step.request;
    let (path, mut body) = Writer { currency: request.currency, now }.call(&request.what);
    body["accountId"] = json!(account);
    body["requestId"] = json!(request.name.map_or_else(|| format!("line-{}", step.line), str::to_owned));
    if let Some(sent) = request.first_sent {
        body["firstSentAt"] = timestamp(now + sent);
    }
    // Charging is done by programs; the rest by people, who say why.
    if !path.starts_with("charging/") {
        body["operator"] = json!({ "actor": "ann", "reason": "a test" });
    }
    (path, body)
}

/// What an answer says, in the words of the tables.
pub fn words(what: &What, answer: &Value) -> String {
    let money = |place: &str| answer.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is = |name: &str| answer[name] == true;
    let mut words = if answer["declined"].is_object() {
        format!("declined {}", decline(&answer["declined"]))
    } else {
        match what {
            What::Reserve(_) => format!("granted {}{}", money("/granted/amount/amount"), final_unit(&answer["granted"])),
            What::Debit { .. } => charged(&answer["charged"]),
            What::Release(_) => format!("released {}", money("/released/amount")),
            What::Refund { .. } if answer["refunded"] != answer["credited"] => {
                format!("refunded {}, credited {}", money("/refunded/amount"), money("/credited/amount"))
            }
            What::Refund { .. } => format!("refunded {}", money("/refunded/amount")),
            What::ReversePayment { .. } | What::ReverseWriteOff { .. } => format!("reversed {}", money("/reversed/amount")),
            What::WriteOff(_) => format!("written off {}", money("/writtenOff/amount")),
            What::Withdraw(_) => format!("withdrawn {}", money("/withdrawn/amount")),
            What::Convert { .. } if is("converted") => format!("converted, usable before {}", money("/usableBefore/amount")),
            What::Convert { .. } => "unchanged".to_owned(),
            What::Suspend | What::Resume if !is("changed") => "unchanged".to_owned(),
            _ => "done".to_owned(),
        }
    };
    if is("replayed") {
        words.push_str(", replayed");
    }
    words
}

fn decline(declined: &Value) -> String {
    let reason = declined["reason"].as_str().unwrap_or_default().trim_start_matches("DECLINE_REASON_");
    format!("{reason}, short by {}", declined["shortfall"]["amount"].as_str().unwrap_or_default())
}

fn final_unit(reservation: &Value) -> &'static str {
    if reservation["finalUnit"] == true { ", final unit" } else { "" }
}

fn charged(charged: &Value) -> String {
    let money = |value: &Value| value["amount"].as_str().unwrap_or_default().to_owned();
    let mut words = format!("charged {}", money(&charged["amount"]));
    let overdraft = money(&charged["overdraft"]);
    if !decimal(&overdraft).is_zero() {
        words.push_str(&format!(", overdraft {overdraft}"));
    }
    let reservation = &charged["reservation"];
    if reservation.is_object() {
        words.push_str(&format!(", {} reserved{}", money(&reservation["amount"]), final_unit(reservation)));
    }
    if charged["reserveDeclined"].is_object() {
        words.push_str(&format!(", not reserved: {}", decline(&charged["reserveDeclined"])));
    }
    for (field, why) in [("reserveSuspended", "suspended"), ("reserveTooMany", "too many")] {
        if charged[field] == true {
            words.push_str(&format!(", not reserved: {why}"));
        }
    }
    words
}

/// Calls by gRPC, in the messages' form as JSON.
pub struct ByGrpc {
    methods: Methods,
    channel: Channel,
}

impl ByGrpc {
    pub async fn connect(address: std::net::SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_timeout(PATIENCE);
        Self { methods: Methods::load(), channel: endpoint.connect().await.unwrap() }
    }

    pub async fn call(&self, (called, body): &Call<'_>) -> Result<Value, Status> {
        let (service, name) = called.split_once('/').unwrap();
        let method = self.methods.find(service, name).unwrap_or_else(|| panic!("there is no {called}"));
        let message = DynamicMessage::deserialize(method.input(), body).unwrap_or_else(|error| panic!("{body}: {error}"));
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let answer = grpc.unary(Request::new(message), path(method).unwrap(), Dynamic(method.output())).await?;
        to_json(answer.get_ref())
    }
}

/// Calls by HTTP.
pub struct ByHttp {
    host: String,
    requests: SendRequest<Body>,
}

impl ByHttp {
    pub async fn connect(url: &str) -> Self {
        let host = url.trim_start_matches("http://").to_owned();
        let requests = connection(&host).await;
        Self { host, requests }
    }

    /// The status, and the body.
    pub async fn call(&mut self, (called, body): &Call<'_>) -> (u16, Value) {
        let request = http::Request::post(format!("/v1/{called}")).header("host", &self.host).header("content-type", "application/json");
        // One that was idle for long is closed.
        if self.requests.ready().await.is_err() {
            self.requests = connection(&self.host).await;
        }
        let answer = self.requests.send_request(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = to_bytes(Body::new(answer.into_body()), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

async fn connection(host: &str) -> SendRequest<Body> {
    let (requests, connection) = handshake(TokioIo::new(TcpStream::connect(host).await.unwrap())).await.unwrap();
    tokio::spawn(connection);
    requests
}

/// An error of gRPC as HTTP has to tell it: the status, and the problem (RFC 9457).
pub fn problem(status: &Status) -> (u16, Value) {
    let (http, code) = match status.code() {
        Code::InvalidArgument => (400, "INVALID_ARGUMENT"),
        Code::FailedPrecondition => (400, "FAILED_PRECONDITION"),
        Code::NotFound => (404, "NOT_FOUND"),
        Code::AlreadyExists => (409, "ALREADY_EXISTS"),
        Code::ResourceExhausted => (429, "RESOURCE_EXHAUSTED"),
        Code::Unimplemented => (501, "UNIMPLEMENTED"),
        other => panic!("no test leads to {other:?}: {status:?}"),
    };
    let mut problem = Map::from_iter([("code".to_owned(), json!(code)), ("detail".to_owned(), json!(status.message()))]);
    let mut set = |name: &str, value: Value| drop(problem.insert(name.to_owned(), value));
    set("status", json!(http));
    set("title", json!(http::StatusCode::from_u16(http).unwrap().canonical_reason()));
    for detail in status.get_error_details_vec() {
        match detail {
            ErrorDetail::ErrorInfo(info) => {
                set("type", json!(format!("urn:tollgate:reason:{}", info.reason)));
                set("reason", json!(info.reason));
                if !info.metadata.is_empty() {
                    set("metadata", json!(info.metadata));
                }
            }
            ErrorDetail::BadRequest(bad) => {
                let fields = bad.field_violations.iter().map(|found| json!({ "field": found.field, "description": found.description }));
                set("fieldViolations", fields.collect());
            }
            ErrorDetail::PreconditionFailure(failure) => {
                let violations = failure.violations.iter();
                let violations =
                    violations.map(|one| json!({ "type": one.r#type, "subject": one.subject, "description": one.description }));
                set("preconditionViolations", violations.collect());
            }
            ErrorDetail::ResourceInfo(info) => set("resource", json!({ "type": info.resource_type, "name": info.resource_name })),
            other => panic!("no test leads to {other:?}"),
        }
    }
    (http, Value::Object(problem))
}
