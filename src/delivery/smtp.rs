//! Sends one mail over one connection, stage by stage: the outcome depends on the stage that failed.
//!
//! A server has taken a mail when it has replied to the dot at its end (RFC 5321, 4.2.5). So whatever ends before that dot is written is
//! tried again; what ends behind it, without a reply, is unknown.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter, RcptParameter};
use lettre::transport::smtp::response::Response;
use tokio::time::timeout;

use platform::config::{SmtpServer, SmtpTls};

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// How long a reply may take.
const REPLY_LIMIT: Duration = Duration::from_mins(2);

/// How long the mail itself may take, with the reply to its end (RFC 5321, 4.5.3.2.6).
const DATA_LIMIT: Duration = Duration::from_mins(15);

/// How many bytes are written at once.
const CHUNK: usize = 16 * 1024;

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The server has taken the mail.
    Taken(String),
    /// The server refuses this mail for good.
    Refused(String),
    /// The server has not taken it, and may later.
    Later(String),
    /// The server itself is in trouble, and not the mail.
    Trouble(String),
    /// Unknown whether the server has taken it.
    Unknown(String),
    /// The claim is lost: it was not given to the server.
    Lost,
}

/// Sender and recipient of a mail.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// From.
    pub from: Address,
    /// To.
    pub to: Address,
}

/// A mail server that connections are made to. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    address: SmtpServer,
    hello: ClientId,
    tls: Option<TlsParameters>,
}

/// A connection, signed in.
pub struct Connection {
    connection: AsyncSmtpConnection,
}

impl Server {
    /// The server of these settings. Reads the authorities' certificates.
    pub fn new(address: SmtpServer, authorities: Option<&Path>) -> anyhow::Result<Self> {
        let tls = match address.tls {
            SmtpTls::None => None,
            _ => {
                let mut builder = TlsParameters::builder(address.host.clone());
                if let Some(path) = authorities {
                    let pem = std::fs::read(path).with_context(|| format!("--smtp-ca {} cannot be read", path.display()))?;
                    let certificate =
                        Certificate::from_pem(&pem).with_context(|| format!("--smtp-ca {} is no PEM file", path.display()))?;
                    builder = builder.add_root_certificate(certificate);
                }
                Some(builder.build_rustls().context("there can be no TLS to the mail server")?)
            }
        };
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let hello = if name.is_empty() { ClientId::default() } else { ClientId::Domain(name) };
        Ok(Self { address, hello, tls })
    }

    /// Connects, encrypts and signs in.
    pub async fn connect(&self) -> Result<Connection, String> {
        let SmtpServer { host, port, tls, login } = &self.address;
        let work = async {
            let implicit = if *tls == SmtpTls::Implicit { self.tls.clone() } else { None };
            let connected = AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), Some(CONNECT_LIMIT), &self.hello, implicit, None);
            let mut connection = connected.await.map_err(|error| said(&error))?;
            if let (SmtpTls::Required | SmtpTls::Opportunistic, Some(parameters)) = (tls, &self.tls) {
                if connection.can_starttls() {
                    connection.starttls(parameters.clone(), &self.hello).await.map_err(|error| said(&error))?;
                } else if *tls == SmtpTls::Required {
                    return Err("the server has no STARTTLS, and --smtp-url requires it".to_owned());
                }
            }
            if let Some((user, password)) = login {
                if !connection.is_encrypted() && *tls == SmtpTls::Opportunistic {
                    return Err("the server has no STARTTLS, and the password is not sent for everybody to read".to_owned());
                }
                let credentials = Credentials::new(user.clone(), password.clone());
                connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(|error| said(&error))?;
            }
            Ok(Connection { connection })
        };
        let limit = CONNECT_LIMIT + REPLY_LIMIT;
        timeout(limit, work).await.unwrap_or_else(|_| Err("the server does not reply".to_owned()))
    }
}

impl Connection {
    /// Whether the server is still there.
    pub async fn is_alive(&mut self) -> bool {
        timeout(CONNECT_LIMIT, self.connection.test_connected()).await.unwrap_or(false)
    }

    /// Sends a mail to the server. Calls `begin`, which may forbid it, before the server can have it.
    pub async fn deliver<E: std::fmt::Display>(
        &mut self,
        envelope: &Envelope,
        message: &[u8],
        begin: impl AsyncFnOnce() -> Result<bool, E>,
    ) -> DeliveryOutcome {
        let has_eight_bits = self.connection.server_info().supports_feature(Extension::EightBitMime);
        let mail = Mail::new(Some(envelope.from.clone()), mail_parameters(message, has_eight_bits));
        match self.command(mail).await {
            Ok(_) => {}
            // It is about the sender, so about all mail: later, when somebody has looked.
            Err(StageFailure::Refused(reply) | StageFailure::Later(reply) | StageFailure::Broken(reply)) => {
                return DeliveryOutcome::Trouble(reply);
            }
        }
        match self.command(Rcpt::new(envelope.to.clone(), Vec::<RcptParameter>::new())).await {
            Ok(_) => {}
            Err(stopped) => return stopped.into(),
        }
        match self.command(Data).await {
            Ok(_) => {}
            Err(stopped) => return stopped.into(),
        }
        match begin().await {
            Ok(true) => {}
            Ok(false) => return DeliveryOutcome::Lost,
            Err(error) => return DeliveryOutcome::Later(format!("before the mail was given to the server: {error}")),
        }
        // Nothing is left of the iterator once the next bytes are the dot's.
        let is_at_end = Cell::new(false);
        let mut chunks = message.chunks(CHUNK);
        let watched = std::iter::from_fn(|| {
            let chunk = chunks.next();
            is_at_end.set(chunk.is_none());
            chunk
        });
        let given = timeout(DATA_LIMIT, self.connection.message_iter(watched)).await;
        let broken = |reason: String| if is_at_end.get() { DeliveryOutcome::Unknown(reason) } else { DeliveryOutcome::Later(reason) };
        match given {
            Ok(Ok(reply)) => DeliveryOutcome::Taken(text(&reply)),
            Ok(Err(error)) => match StageFailure::of(&error) {
                StageFailure::Broken(reason) => broken(reason),
                stopped => stopped.into(),
            },
            Err(_) => broken("the server did not reply in time".to_owned()),
        }
    }

    async fn command(&mut self, command: impl std::fmt::Display) -> Result<Response, StageFailure> {
        match timeout(REPLY_LIMIT, self.connection.command(command)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(StageFailure::of(&error)),
            Err(_) => Err(StageFailure::Broken("the server did not reply in time".to_owned())),
        }
    }
}

fn mail_parameters(message: &[u8], has_eight_bits: bool) -> Vec<MailParameter> {
    if !message.is_ascii() && has_eight_bits { vec![MailParameter::Body(MailBodyParameter::EightBitMime)] } else { Vec::new() }
}

/// Why a stage failed.
enum StageFailure {
    Refused(String),
    Later(String),
    Broken(String),
}

impl StageFailure {
    fn of(error: &lettre::transport::smtp::Error) -> Self {
        if error.is_permanent() {
            Self::Refused(said(error))
        } else if error.is_transient() {
            Self::Later(said(error))
        } else {
            Self::Broken(said(error))
        }
    }
}

impl From<StageFailure> for DeliveryOutcome {
    fn from(stopped: StageFailure) -> Self {
        match stopped {
            StageFailure::Refused(reply) => Self::Refused(reply),
            StageFailure::Later(reply) => Self::Later(reply),
            StageFailure::Broken(reply) => Self::Later(reply),
        }
    }
}

fn said(error: &lettre::transport::smtp::Error) -> String {
    use std::error::Error;

    match (error.status(), error.source()) {
        (Some(code), Some(source)) => format!("{code} {source}"),
        (Some(code), None) => code.to_string(),
        (None, Some(source)) => source.to_string(),
        (None, None) => error.to_string(),
    }
}

fn text(reply: &Response) -> String {
    format!("{} {}", reply.code(), reply.message().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests;
