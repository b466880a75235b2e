//! How a script is sent: to a server that its slot is on its way to, with what that asks for; and with the proof that its write needs.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisResult, Value};

/// How many replicas must have a write, and how durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// How many of them must have it.
    pub replicas: u32,
    /// Whether it must be on their disks.
    pub is_on_disk: bool,
    /// How long they may take.
    pub time: Duration,
}

/// The proof that a write needs, if any.
pub type Wait = Option<Proof>;

/// The number of the connection over which a partition was checked at a server that its slot is on its way to. A write goes over that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking(pub u64);

/// How a script is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScriptOptions {
    /// The slot is on its way to this server.
    pub asking: Option<Asking>,
    /// How many replicas must have a write, and how durably.
    pub wait: Wait,
}

/// A script's answer, and how many replicas have what it wrote, if that was asked.
#[derive(Debug)]
pub struct ScriptReply {
    pub answer: Value,
    pub replicas: Option<u64>,
}

/// Sends a command, and around it what its manner asks for.
pub async fn send_so(connection: &mut MultiplexedConnection, command: Cmd, manner: ScriptOptions) -> RedisResult<ScriptReply> {
    let ScriptOptions { asking, wait } = manner;
    let is_asking = asking.is_some();
    if !is_asking && wait.is_none() {
        let answer = connection.send_packed_command(&command).await.and_then(Value::extract_error)?;
        return Ok(ScriptReply { answer, replicas: None });
    }
    let mut commands = Pipeline::with_capacity(3);
    if is_asking {
        commands.cmd("ASKING");
    }
    commands.add_command(command);
    if let Some(Proof { replicas, is_on_disk, time }) = wait {
        let command = if is_on_disk { commands.cmd("WAITAOF").arg(0) } else { commands.cmd("WAIT") };
        command.arg(replicas).arg(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }
    let answers = connection.send_packed_commands(&commands, 0, commands.len()).await?;
    let mut answers = answers.into_iter().skip(usize::from(is_asking));
    let answer = answers.next().unwrap_or_default().extract_error()?;
    // A server that refuses to wait has proved nothing.
    let replicas = wait.is_some().then(|| {
        let found = match answers.next() {
            Some(Value::Int(replicas)) => replicas,
            // Of WAITAOF: whether the server's own disk has it, and how many replicas' have.
            Some(Value::Array(found)) => found.get(1).map_or(0, |replicas| if let Value::Int(replicas) = replicas { *replicas } else { 0 }),
            _ => 0,
        };
        u64::try_from(found).unwrap_or(0)
    });
    Ok(ScriptReply { answer, replicas })
}
