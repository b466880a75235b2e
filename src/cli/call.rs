//! `tollgate call METHOD JSON`: any RPC by hand, in the canonical JSON of its messages.

use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Request;
use tonic::client::Grpc;

use super::client::{ServerOptions, connect};
use super::failure::Failure;
use super::output::print_json;
use crate::cli::failure::explain;
use crate::grpc::dynamic::{Dynamic, descriptors, path, to_json};

/// What to call.
#[derive(Args, Debug)]
pub struct CallOptions {
    /// The RPC: `Debit`, or `tollgate.v1.ChargingService/Debit`. Without one, all are listed.
    method: Option<String>,
    /// Its request in JSON, such as {"accountId": "acme"}; "-": from the standard input.
    #[arg(default_value = "{}")]
    request: String,
    #[command(flatten)]
    server: ServerOptions,
}

/// Calls it, and prints what it returns; of a stream, each message as it comes.
pub async fn run(options: CallOptions) -> anyhow::Result<ExitCode> {
    let Some(name) = &options.method else {
        for method in methods() {
            println!("{}/{}", method.parent_service().full_name(), method.name());
        }
        return Ok(ExitCode::SUCCESS);
    };
    let method = find(name)?;
    let request = Request::new(read(&method, &options.request)?);
    let mut grpc = Grpc::new(connect(&options.server).await?);
    grpc.ready().await.map_err(|error| Failure::unavailable(format!("{error:#}")))?;
    let (path, codec) = (path(&method).map_err(explain)?, Dynamic(method.output()));
    if method.is_server_streaming() {
        let mut answers = grpc.server_streaming(request, path, codec).await.map_err(explain)?.into_inner();
        while let Some(answer) = answers.message().await.map_err(explain)? {
            println!("{}", to_json(&answer).map_err(explain)?);
        }
    } else {
        let answer = grpc.unary(request, path, codec).await.map_err(explain)?;
        print_json(&to_json(answer.get_ref()).map_err(explain)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// All RPCs that take one request.
fn methods() -> impl Iterator<Item = MethodDescriptor> {
    let services = descriptors().services().filter(|service| service.package_name() == "tollgate.v1");
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).filter(|method| !method.is_client_streaming())
}

fn find(name: &str) -> anyhow::Result<MethodDescriptor> {
    let name = name.replace('/', ".");
    let is_it = |method: &MethodDescriptor| {
        method.name() == name || method.full_name() == name || method.full_name().ends_with(&format!(".{name}"))
    };
    methods()
        .find(is_it)
        .ok_or_else(|| Failure::refused(format!("there is no RPC {name:?}: `tollgate call` lists those that there are")).into())
}

fn read(method: &MethodDescriptor, text: &str) -> anyhow::Result<DynamicMessage> {
    let mut input = String::new();
    if text == "-" {
        std::io::stdin().read_to_string(&mut input).context("cannot read the standard input")?;
    }
    let text = if text == "-" { &input } else { text };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let message = DynamicMessage::deserialize(method.input(), &mut deserializer);
    let message = message.with_context(|| format!("this is not a {} in JSON", method.input().name()))?;
    deserializer.end().context("something follows the request")?;
    Ok(message)
}
