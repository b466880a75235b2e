//! Anything at all, sent to every RPC of the running service: it may be refused, but nothing panics, nothing is INTERNAL, and the service
//! serves afterwards. Messages are bytes without sense, or well-formed ones with values that nobody should send; for a bounded time.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::service::{Service, debit, seed};
use crate::support::{RedisServer, temporary_folder};
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use prost::encoding::{encode_key, encode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tollgate::grpc::v1::{self, PaymentMode};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// How long each engine is bothered.
const DURATION: Duration = Duration::from_secs(6);

/// Messages as bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// An RPC: its path, what it takes, and whether it is a stream of requests or answers.
struct Rpc {
    path: PathAndQuery,
    input: String,
    takes_stream: bool,
    gives_stream: bool,
}

/// All that the API's descriptors say.
struct Api {
    rpcs: Vec<Rpc>,
    messages: HashMap<String, DescriptorProto>,
}

impl Api {
    fn new() -> Self {
        let files = FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap().file;
        let (mut rpcs, mut messages) = (Vec::new(), HashMap::new());
        for file in files {
            for message in &file.message_type {
                for nested in &message.nested_type {
                    messages.insert(format!(".{}.{}.{}", file.package(), message.name(), nested.name()), nested.clone());
                }
                messages.insert(format!(".{}.{}", file.package(), message.name()), message.clone());
            }
            for service in &file.service {
                rpcs.extend(service.method.iter().map(|method| Rpc {
                    path: format!("/{}.{}/{}", file.package(), service.name(), method.name()).parse().unwrap(),
                    input: method.input_type().to_owned(),
                    takes_stream: method.client_streaming(),
                    gives_stream: method.server_streaming(),
                }));
            }
        }
        assert!(rpcs.len() >= 34, "the services were not found");
        Self { rpcs, messages }
    }

    /// A message that can be decoded, of values that may make no sense, or, if it is tame, that mostly do.
    fn message(&self, name: &str, is_tame: bool, random: &mut StdRng, depth: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let message = &self.messages[name];
        // Of each oneof, at most one member, as a client would send it.
        let mut chosen = BTreeMap::new();
        for field in &message.field {
            if let Some(index) = field.oneof_index {
                let others = message.field.iter().filter(|other| other.oneof_index == Some(index)).count();
                let number = *chosen.entry(index).or_insert_with(|| random.random_range(0..others + usize::from(is_tame && others > 1)));
                let place = message.field.iter().filter(|other| other.oneof_index == Some(index)).position(|other| other == field);
                if place != Some(number) {
                    continue;
                }
            }
            let needed = [
                "account_id",
                "request_id",
                "reservation_id",
                "charge_id",
                "name",
                "mode",
                "currency_code",
                "amount",
                "reserve",
                "command",
            ];
            let needed = needed.contains(&field.name()) || ["operator", "actor", "reason", "credit_limit", "limit"].contains(&field.name());
            let count = match (field.label(), needed) {
                (Label::Repeated, _) => random.random_range(usize::from(is_tame && name.ends_with("ChargeRequest"))..4),
                (_, true) => usize::from(is_tame || random.random_ratio(19, 20)),
                // What is rarely right: optional amounts, and times.
                (_, false) => usize::from(random.random_ratio(if is_tame { 3 } else { 12 }, 20) || field.oneof_index.is_some()),
            };
            for _ in 0..count {
                self.field(field, is_tame, random, depth, &mut bytes);
            }
        }
        bytes
    }

    fn field(&self, field: &FieldDescriptorProto, is_tame: bool, random: &mut StdRng, depth: usize, bytes: &mut Vec<u8>) {
        let number = field.number() as u32;
        match field.r#type() {
            Type::Message if depth == 0 => {}
            Type::Message => put_bytes(number, &self.message(field.type_name(), is_tame, random, depth - 1), bytes),
            Type::String => put_bytes(number, text(field.name(), is_tame, random).as_bytes(), bytes),
            Type::Bytes => put_bytes(number, &noise(random), bytes),
            Type::Bool => put_number(number, u64::from(is_tame || random.random()), bytes),
            Type::Enum if is_tame => put_number(number, random.random_range(1..3), bytes),
            _ if is_tame && field.name() == "nanos" => {}
            _ if is_tame && field.name() == "decimals" => put_number(number, 6, bytes),
            _ if is_tame => put_number(number, random.random_range(1..1000), bytes),
            Type::Enum if random.random_ratio(9, 10) => put_number(number, random.random_range(0..4), bytes),
            _ => put_number(number, some_number(random), bytes),
        }
    }
}

fn put_bytes(number: u32, value: &[u8], bytes: &mut Vec<u8>) {
    encode_key(number, prost::encoding::WireType::LengthDelimited, bytes);
    encode_varint(value.len() as u64, bytes);
    bytes.extend_from_slice(value);
}

fn put_number(number: u32, value: u64, bytes: &mut Vec<u8>) {
    encode_key(number, prost::encoding::WireType::Varint, bytes);
    encode_varint(value, bytes);
}

fn pick<'a>(choices: &[&'a str], random: &mut StdRng) -> &'a str {
    choices[random.random_range(0..choices.len())]
}

/// Numbers near the edges, negative ones included.
fn some_number(random: &mut StdRng) -> u64 {
    let edges = [0, 1, 2, 50, 1000, 1_800_000_000, 253_402_300_799, i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX, i64::MIN, -1];
    if random.random() { edges[random.random_range(0..edges.len())] as u64 } else { random.random() }
}

/// Text for a field: mostly what leads further, sometimes what should not.
fn text(name: &str, is_tame: bool, random: &mut StdRng) -> String {
    let wild = ["", " ", "a\0b", "é", "\u{202e}x", "💶", "1e3", "NaN", "-", "..", "%s", "'; DROP TABLE", "\r\nEXEC\r\n"];
    if !is_tame && random.random_ratio(1, 8) {
        return if random.random() { pick(&wild, random).to_owned() } else { "x".repeat(random.random_range(0..5000)) };
    }
    match name {
        "account_id" => pick(&["acme", "monthly", "acme", "monthly", "beta", "group/a", "nobody"], random).to_owned(),
        "request_id" | "reservation_id" | "charge_id" | "payment_id" => format!("r{}", random.random_range(0..200)),
        "amount" | "quantity" => {
            let edges = ["0", "0.000001", "-1", "2251799813685248", "2251799813.685248", "-2251799813.685248", "0.01", "2251799812.5"];
            let fine = format!("{}.{}", random.random_range(0..30_u32), random.random_range(0..1_000_000_u32));
            if random.random_ratio(1, if is_tame { 12 } else { 2 }) { pick(&edges, random).to_owned() } else { fine }
        }
        "currency_code" if is_tame => "EUR".to_owned(),
        "currency_code" => pick(&["", "", "", "EUR", "USD", "XXX"], random).to_owned(),
        "page_token" | "resume_token" if is_tame => String::new(),
        "page_token" | "resume_token" => pick(&["", "", "00", "01aabbccddeeff0011"], random).to_owned(),
        "number" | "invoice_numbers" => pick(&["INV-000001", "STM-000001", "CRN-000001", "INV-999999"], random).to_owned(),
        "batch_id" => format!("b{}", random.random_range(0..20)),
        "name_prefix" => pick(&["Customer acme", "Customer m", "Customer"], random).to_owned(),
        "query" => pick(&["cust acme", "mon", "a", "%_\\\"'"], random).to_owned(),
        "item" | "unit" | "key" => "word".to_owned(),
        _ => pick(&["Some text", "word"], random).to_owned(),
    }
}

/// Bytes without sense.
fn noise(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(0..300)];
    random.fill_bytes(&mut bytes);
    bytes
}

/// Whatever there is to send to an RPC.
fn body(api: &Api, rpc: &Rpc, random: &mut StdRng) -> Vec<u8> {
    if random.random_ratio(1, 8) {
        return noise(random);
    }
    let is_tame = random.random_ratio(2, 3);
    let mut bytes = api.message(&rpc.input, is_tame, random, 6);
    if !is_tame && random.random_ratio(1, 4) && !bytes.is_empty() {
        let place = random.random_range(0..bytes.len());
        match random.random_range(0..3) {
            0 => bytes[place] = random.random(),
            1 => bytes.truncate(place),
            _ => bytes.insert(place, random.random()),
        }
    }
    bytes
}

/// Sends a message, and takes what comes: at most a few answers of a stream.
async fn send(channel: &Channel, rpc: &Rpc, bodies: Vec<Vec<u8>>) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let path = rpc.path.clone();
    if !rpc.takes_stream && !rpc.gives_stream {
        return client.unary(Request::new(bodies.into_iter().next().unwrap()), path, Raw).await.map(|_| ());
    }
    let wanted = if rpc.takes_stream { bodies.len() } else { 1 };
    let mut answers = client.streaming(Request::new(tokio_stream::iter(bodies)), path, Raw).await?.into_inner();
    for _ in 0..wanted {
        let Some(answer) = answers.message().await? else { break };
        if rpc.takes_stream {
            for outcome in v1::ChargeResponse::decode(answer).unwrap().outcomes {
                if let Some(v1::charge_outcome::Outcome::Error(error)) = outcome.outcome {
                    return Err(Status::new(Code::from_i32(error.code), error.message));
                }
            }
        }
    }
    Ok(())
}

async fn bother(mut service: Service) {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let api = Api::new();
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "100", "1000").await;
    client.open("monthly", PaymentMode::Postpaid, "1000", "0").await;
    client.open("canary", PaymentMode::Prepaid, "0", "100").await;
    // Where there is a billing store, its tables are made meanwhile.
    crate::service::until("billing is there", || {
        let mut billing = client.billing.clone();
        async move {
            let answer = billing.get_aggregation(v1::GetAggregationRequest {}).await;
            answer.map_or_else(|status| status.code() != Code::Unavailable, |_| true).then_some(())
        }
    })
    .await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap();
    let (started, mut codes) = (Instant::now(), BTreeMap::<String, usize>::new());
    while started.elapsed() < DURATION {
        for rpc in &api.rpcs {
            let count = if rpc.takes_stream { random.random_range(1..4) } else { 1 };
            let bodies: Vec<_> = (0..count).map(|_| body(&api, rpc, &mut random)).collect();
            let sent = bodies.clone();
            let answer = tokio::time::timeout(Duration::from_secs(10), send(&channel, rpc, bodies)).await;
            let code = match answer.unwrap_or_else(|_| panic!("seed {seed}: no answer to {} {sent:x?}", rpc.path)) {
                Ok(()) => Code::Ok,
                Err(status) => {
                    let is_told =
                        [Code::InvalidArgument, Code::NotFound, Code::AlreadyExists, Code::FailedPrecondition, Code::ResourceExhausted];
                    assert!(is_told.contains(&status.code()), "seed {seed}: {status:?} to {} {sent:x?}", rpc.path);
                    status.code()
                }
            };
            *codes.entry(format!("{code:?}")).or_default() += 1;
        }
    }
    println!("{codes:?}");
    assert!(codes.len() >= 5 && codes["Ok"] > 50, "seed {seed}: the messages do not get far: {codes:?}");
    assert!(service.is_running(), "seed {seed}: it has ended: {:#?}", service.log());
    // It serves, it was not charged for anything, and it stops in good order.
    assert_eq!(client.credit("canary").await.balance, "100.00");
    client.charging.debit(debit("canary", "last", "1")).await.unwrap();
    for id in ["acme", "monthly"] {
        client.journal(id).await;
    }
    let errors: Vec<_> = service.log().into_iter().filter(|line| line.contains(r#""level":"ERROR""#)).collect();
    assert!(errors.is_empty(), "seed {seed}: {errors:#?}");
    assert!(service.stopped().await.success());
}

#[tokio::test]
async fn nothing_that_is_sent_ends_the_service_on_the_embedded_engine() {
    let folder = temporary_folder();
    bother(Service::embedded(folder.path())).await;
}

#[tokio::test]
async fn nothing_that_is_sent_ends_the_service_on_redis() {
    let redis = RedisServer::redis();
    bother(Service::redis(&redis.url())).await;
}

#[tokio::test]
async fn frames_that_are_none_are_refused() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..200 {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut socket = tokio::net::TcpStream::connect(service.address).await.unwrap();
        let mut bytes = if random.random() { b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec() } else { Vec::new() };
        bytes.extend(noise(&mut random));
        let _ = socket.write_all(&bytes).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answer)).await.expect("the socket stays open");
    }
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1").await;
    assert!(service.stopped().await.success());
}
