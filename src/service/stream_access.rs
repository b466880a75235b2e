//! The caller of what stays open: a stream goes on as long as its caller's credential holds, and allows it.
//!
//! For a command of a stream the look costs the comparison of a number: who calls is looked up again only when the access file or the keys
//! of an identity provider were read again, and once the credential has ended.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::context::RequestContext;
use super::error::Error;
use access::{Access, Denied, Kind, Principal};
use platform::clock::system_now;

/// A stream's caller.
#[derive(Debug)]
pub struct StreamAccess {
    caller: Finder,
    context: RequestContext,
}

/// Finds the caller again.
struct Finder {
    access: Arc<Access>,
    changes: watch::Receiver<()>,
}

impl std::fmt::Debug for Finder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Finder")
    }
}

impl StreamAccess {
    /// That of a stream which begins.
    pub fn new(access: &Arc<Access>, context: RequestContext) -> Result<Self, Error> {
        let changes = access.changes();
        let mut held = Self { caller: Finder { access: Arc::clone(access), changes }, context };
        // What has changed since the caller was let in, was told before.
        held.renew()?;
        Ok(held)
    }

    /// The context, with the caller as it was last looked up.
    #[must_use]
    pub fn context(&self) -> &RequestContext {
        &self.context
    }

    /// Looks the caller up again if it may not be what it was.
    pub fn check(&mut self) -> Result<(), Error> {
        let has_ended = self.context.ends().is_some_and(|ends| system_now() >= ends);
        if has_ended || self.caller.changes.has_changed().unwrap_or_default() { self.renew() } else { Ok(()) }
    }

    fn renew(&mut self) -> Result<(), Error> {
        self.caller.changes.mark_unchanged();
        let renewed = match self.context.certificate_ends {
            Some(ends) if self.context.caller.kind == Kind::Certificate && system_now() >= ends => Err(Denied::EndedCertificate),
            _ => self.caller.access.renew(&self.context.caller),
        };
        match renewed {
            Ok(caller) => {
                self.context.caller = caller;
                Ok(())
            }
            Err(denied) => {
                // It stays so until the stream has ended.
                self.caller.changes.mark_changed();
                Err(ended(denied, &self.context.caller))
            }
        }
    }

    /// Waits until the caller may no longer go on: its credential has ended, or it no longer has what the stream needs.
    pub async fn lost(&mut self, needed: impl Fn(&RequestContext) -> Result<(), Error>) -> Error {
        loop {
            if let Err(error) = self.check().and_then(|()| needed(&self.context)) {
                return error;
            }
            let ends = self.context.ends().map(|ends| u64::try_from(ends - system_now()).unwrap_or_default());
            tokio::select! {
                Ok(()) = self.caller.changes.changed() => self.caller.changes.mark_changed(),
                () = sleep(Duration::from_millis(ends.unwrap_or_default())), if ends.is_some() => {}
                else => std::future::pending().await,
            }
        }
    }

    /// A stream that ends with an error once its caller may no longer go on.
    pub fn hold<T: Send + 'static>(
        self,
        answers: impl Stream<Item = Result<T, Error>> + Send + 'static,
        needed: impl Fn(&RequestContext) -> Result<(), Error> + Send + Sync + 'static,
    ) -> impl Stream<Item = Result<T, Error>> + Send {
        stream::unfold(Some((self, Box::pin(answers), needed)), |held| async move {
            let (mut watched, mut answers, needed) = held?;
            let next = tokio::select! {
                biased;
                error = watched.lost(&needed) => Some(Err(error)),
                next = answers.next() => next,
            };
            match next? {
                Ok(answer) => Some((Ok(answer), Some((watched, answers, needed)))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

fn ended(denied: Denied, caller: &Principal) -> Error {
    tracing::info!(caller = caller.name, reason = %denied, "a stream ends, because its caller is no longer let in");
    Error::credentials_ended()
}
