//! A BatchCharge that would be too late is refused before it is decoded: where three times as many come as can be charged, decoding the two
//! thirds that are refused would take a tenth of the thread.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Buf;
use http::{Request, Response};
use prost::encoding::{DecodeContext, decode_key, skip_field};
use tonic::body::Body;
use tower::Service;

use super::charging::Charging;
use super::read_body::ReadBody;
use super::v1::charging_service_server::ChargingServiceServer;
use super::{context, status};

/// The path of a BatchCharge.
pub const PATH: &str = "/tollgate.v1.ChargingService/BatchCharge";

/// The number of the field that holds the commands.
const COMMANDS: u32 = 1;

/// Handles a BatchCharge. One that is compressed, or comes in several frames, goes to its method, which looks whether there is time once it
/// has the commands.
pub async fn call(
    charging: Arc<Charging>,
    mut general: ChargingServiceServer<Charging>,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible> {
    let (mut parts, rest) = request.into_parts();
    let context = context::of_parts(&parts.headers, &parts.extensions);
    let mut body = ReadBody::of(rest);
    let message = body.whole_message(&parts.headers, charging.max_message_bytes).await;
    if let Some(count) = message.and_then(commands)
        && let Err(error) = charging.use_cases.ensure_time_for_batch(&context, count)
    {
        let refused = charging.use_cases.handle(&context, async { Err(error) }).await;
        return Ok(refused.unwrap_or_else(|error| status::of(error).into_http()));
    }
    parts.extensions.insert(context);
    general.call(Request::from_parts(parts, Body::new(body))).await
}

/// How many commands a message has. `None`: it is none.
fn commands(mut message: impl Buf) -> Option<usize> {
    let mut count = 0;
    while message.has_remaining() {
        let (field, wire_type) = decode_key(&mut message).ok()?;
        skip_field(wire_type, field, &mut message, DecodeContext::default()).ok()?;
        count += usize::from(field == COMMANDS);
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use crate::grpc::v1::charge_command::Command;
    use crate::grpc::v1::{BatchChargeRequest, ChargeCommand, DebitRequest};

    #[test]
    fn commands_are_counted_without_decoding_them_and_what_is_no_message_has_no_count() {
        let debit = |number: usize| DebitRequest { account_id: "a".repeat(number), request_id: "r".into(), ..Default::default() };
        for count in [0, 1, 64, 300] {
            let commands: Vec<_> = (0..count).map(|number| ChargeCommand { command: Some(Command::Debit(debit(number))) }).collect();
            let message = BatchChargeRequest { commands }.encode_to_vec();
            assert_eq!(super::commands(&message[..]), Some(count));
            if count > 0 {
                assert_eq!(super::commands(&message[..message.len() - 1]), None);
            }
        }
    }
}
