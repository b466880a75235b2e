//! Every unary RPC refuses the same by gRPC and by HTTP: requests that lack everything, that name what is not there, that are wrong in each field.

use prost_reflect::{FieldDescriptor, Kind, MethodDescriptor};
use serde_json::{Map, Value, json};
use tollgate::http::methods::Methods;

use crate::http::url_of;
use crate::on_paper::Stage;
use crate::wire::{ByGrpc, ByHttp, problem};

/// A value of a field that no request may have; `None` if there is none.
fn wrong(field: &FieldDescriptor) -> Option<Value> {
    let one = match field.kind() {
        Kind::String => json!("\u{1}".repeat(2_000)),
        Kind::Int32 | Kind::Int64 => json!(-1),
        Kind::Enum(_) => json!(77),
        Kind::Message(message) => match message.name() {
            "Money" => json!({ "amount": "1e3", "currencyCode": "euro" }),
            "Timestamp" => json!("1969-12-31T00:00:00Z"),
            "Operator" => json!({}),
            _ => return None,
        },
        _ => return None,
    };
    Some(if field.is_list() { json!([one]) } else { one })
}

/// What names nothing that is there, and is right else.
fn strange(field: &FieldDescriptor) -> Option<Value> {
    Some(match (field.name(), field.kind()) {
        ("operator", _) => json!({ "actor": "ann", "reason": "a test" }),
        (_, Kind::Message(message)) if message.name() == "Money" => json!({ "amount": "1.00" }),
        ("currency_code", _) => json!("EUR"),
        ("account_id" | "request_id" | "name", _) => json!("nobody"),
        (name, Kind::String) if name.ends_with("_id") || name.ends_with("number") => json!("nothing"),
        _ => return None,
    })
}

fn request(method: &MethodDescriptor, value: impl Fn(&FieldDescriptor) -> Option<Value>) -> Value {
    let mut used = Vec::new();
    let mut fields = Map::new();
    for field in method.input().fields() {
        // Of several of which one may be given, the first.
        let choice = field.containing_oneof().filter(|choice| !choice.is_synthetic()).map(|choice| choice.name().to_owned());
        if choice.as_ref().is_some_and(|name| used.contains(name)) {
            continue;
        }
        if let Some(value) = value(&field) {
            fields.insert(field.json_name().to_owned(), value);
            used.extend(choice);
        }
    }
    Value::Object(fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unary_rpc_refuses_the_same_by_grpc_and_by_http() {
    let stage = Stage::embedded_with("2026-01-30T00:00:00Z", &["--http-listen", "127.0.0.1:0"]).await;
    let (grpc, mut http) = (ByGrpc::connect(stage.service.address).await, ByHttp::connect(&url_of(&stage.service)).await);
    let mut reasons = std::collections::BTreeSet::new();
    for (path, method) in Methods::load().all().filter(|(_, method)| !method.is_server_streaming()) {
        let path = path.trim_start_matches("/v1/");
        let mut requests = vec![json!({}), request(method, wrong), request(method, strange)];
        for field in method.input().fields() {
            requests.extend([wrong(&field), strange(&field)].into_iter().flatten().map(|value| json!({ field.json_name(): value })));
        }
        for body in requests {
            let by_grpc = grpc.call(&(path, body.clone())).await;
            let (status, answer) = http.call(&(path, body.clone())).await;
            match by_grpc {
                Ok(_) => assert_eq!(status, 200, "{path} {body}: {answer:#}"),
                Err(refused) => {
                    assert_eq!((status, &answer), (problem(&refused).0, &problem(&refused).1), "{path} {body}");
                    reasons.insert(answer["reason"].as_str().unwrap().to_owned());
                }
            }
        }
    }
    println!("{reasons:?}");
    for reason in ["ACCOUNT_NOT_FOUND", "INVALID_REQUEST", "INVOICE_NOT_FOUND", "PAYMENT_NOT_FOUND"] {
        assert!(reasons.contains(reason), "{reasons:?}");
    }
    assert!(stage.service.stopped().await.success());
}
