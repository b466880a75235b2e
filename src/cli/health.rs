//! `tollgate health`: asks a process whether it serves, as a load balancer would: for scripts, and for the health check of a container.

use std::process::ExitCode;

use clap::Args;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::client::{ServerOptions, connect};
use super::failure::{Failure, explain};

/// Of what, and whom to ask.
#[derive(Args, Debug)]
pub struct HealthOptions {
    /// A name of grpc.health.v1: tollgate.liveness, whether it answers, whatever its store does; tollgate.partitions, tollgate.aggregation
    /// [default: whether the process serves]
    #[arg(value_name = "NAME", default_value = "", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    server: ServerOptions,
}

/// Asks, and says it by the exit code, too.
pub async fn run(options: HealthOptions) -> anyhow::Result<ExitCode> {
    let mut client = HealthClient::new(connect(&options.server).await?);
    let answer = client.check(HealthCheckRequest { service: options.name }).await.map_err(explain)?.into_inner();
    if answer.status() != ServingStatus::Serving {
        return Err(Failure::refused("it does not serve: its log and /healthz at its metrics address say why").into());
    }
    println!("serving");
    Ok(ExitCode::SUCCESS)
}
