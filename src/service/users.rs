//! The users of the web console: who there is, what each may do, and how they are let in. Nobody has signed in yet where these are
//! called, or the command line calls them on the machine itself, so that they take no context of a request. What somebody who has signed
//! in does with users is in [`managing`].

mod managing;
pub mod provided;
pub mod second_factor;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};

use access::file::GrantEntry;
use access::key::{KeyDigest, secret};
use access::{Access, Principal};
use billing::audit::Act;
use billing::users::{Invited, SessionAge, SignIn, StoredUser, UserTables};
use domain::origin::Origin;
use domain::time::{Millis, UnixMillis};
use platform::clock::system_now;

/// How long a link signs in.
pub const LINK_VALIDITY: Duration = Duration::from_mins(15);

/// After how much idleness a session ends, and after how long in any case.
pub const SESSION_IDLE: Duration = Duration::from_hours(1);
pub const SESSION_WHOLE: Duration = Duration::from_hours(12);

/// How long a user may take between the password or the link and the code.
const CODE_PATIENCE: Duration = Duration::from_mins(5);

/// How long until it is noted again that a session was used.
const NOTED_EVERY: Millis = 60_000;

/// The user that there is first.
const FIRST: &str = "admin";

/// The most characters of a name.
const MAX_NAME: usize = 64;

/// What a name must be.
const NAME_RULE: &str = "must be 1 to 64 characters out of A-Z a-z 0-9 . _ - @ +";

/// How many users are listed at most.
pub const MAX_LISTED: usize = 1_000;

#[derive(Clone, Debug)]
pub struct User {
    /// The name: the actor in the journal.
    pub name: String,
    /// Roles, accounts and bounds: one grant, or of a user of a provider one for each value of the claim.
    pub access: Vec<GrantEntry>,
    /// Whether there is a password.
    pub has_password: bool,
    /// Whether the user may not sign in.
    pub is_disabled: bool,
    /// Since when there is this user.
    pub created_at: UnixMillis,
    /// Whether a code is asked for when the user signs in.
    pub has_second_factor: bool,
    /// The identity provider where the user signs in; empty for none.
    pub issuer: String,
}

/// By what somebody signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInMethod {
    Password,
    Link,
    /// An identity provider.
    Provider,
}

impl SignInMethod {
    /// Its name, in the store and in audit records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Link => "link",
            Self::Provider => "provider",
        }
    }

    /// The way of a session, as it is stored: [`Users::stored_way`].
    fn stored(text: &str) -> Option<Self> {
        let name = text.split(' ').next();
        [Self::Password, Self::Link, Self::Provider].into_iter().find(|way| Some(way.name()) == name)
    }
}

/// What has begun, and what the browser has to keep of it.
#[derive(Clone, PartialEq, Eq)]
pub enum SignInProgress {
    Session(String),
    /// A code of the second factor is still to come.
    AwaitsCode(String),
}

/// A session that was found.
#[derive(Clone, Debug)]
pub struct Session {
    /// The signed-in user, with its current permissions.
    pub principal: Arc<Principal>,
    /// The language that the user chose; empty for none.
    pub language: String,
    /// By what the user has signed in.
    pub way: SignInMethod,
    /// Whether a code was asked for, or would be the next time.
    pub has_second_factor: bool,
}

/// The users. Cheap to clone.
#[derive(Clone)]
pub struct Users {
    tables: UserTables,
    access: Arc<Access>,
    /// The settings of the identity provider; empty if there is none.
    provider: String,
}

impl Users {
    /// The users of a store. The access file may define roles.
    #[must_use]
    pub fn new(tables: UserTables, access: Arc<Access>) -> Self {
        Self { tables, access, provider: String::new() }
    }

    /// The same with the settings of their identity provider, in words: sessions that began by others hold no more.
    #[must_use]
    pub fn of_provider(self, settings: String) -> Self {
        Self { provider: settings, ..self }
    }

    /// How a session began, as it is stored: of one that a provider has let in, also by which settings.
    fn stored_way(&self, way: SignInMethod) -> String {
        match way {
            SignInMethod::Provider => {
                let settings = KeyDigest::of(&format!("{} {}", self.access.provided_digest(), self.provider));
                format!("{} {settings}", way.name())
            }
            SignInMethod::Password | SignInMethod::Link => way.name().to_owned(),
        }
    }

    /// Creates a user on the machine itself, who has no password yet.
    pub async fn create(&self, name: &str, entry: &GrantEntry, by: &str) -> anyhow::Result<()> {
        ensure!(is_name(name), "a user's name {NAME_RULE}");
        self.access.user(name, std::slice::from_ref(entry))?;
        self.tables.ready().await?;
        let act = on_machine("created", name, by).with("after", serde_json::to_value(entry)?);
        let is_new = self.tables.create(name, &serde_json::to_string(entry)?, system_now(), Some(&act)).await?;
        ensure!(is_new, "there is a user called {name:?} already");
        Ok(())
    }

    /// All users, by name.
    pub async fn list(&self) -> anyhow::Result<Vec<User>> {
        self.tables.ready().await?;
        self.tables.list(MAX_LISTED).await?.into_iter().map(understood).collect()
    }

    /// Disables a user on the machine itself, or enables it again. Its sessions and links end.
    pub async fn set_disabled(&self, name: &str, is_disabled: bool, by: &str) -> anyhow::Result<()> {
        self.tables.ready().await?;
        let act = on_machine(if is_disabled { "disabled" } else { "enabled" }, name, by);
        ensure!(self.tables.set_disabled(name, is_disabled, Some(&act)).await?, "there is no user called {name:?}");
        Ok(())
    }

    /// Forgets the second factor of a user on the machine itself, and ends the user's sessions.
    pub async fn reset_second_factor(&self, name: &str, by: &str) -> anyhow::Result<()> {
        self.tables.ready().await?;
        let act = on_machine("second_factor_reset", name, by);
        ensure!(self.tables.forget_second_factor(name, "", Some(&act)).await?, "{name:?} has no second factor");
        Ok(())
    }

    /// Makes what a link has to hold to sign a user in, once, on the machine itself.
    pub async fn invite(&self, name: &str, by: &str) -> anyhow::Result<String> {
        self.invite_by(name, &Principal::local().name, "", Some(&on_machine("invited", name, by))).await
    }

    async fn invite_by(&self, name: &str, by: &str, on_behalf_of: &str, act: Option<&Act>) -> anyhow::Result<String> {
        self.tables.ready().await?;
        match self.tables.find(name).await? {
            None => bail!("there is no user called {name:?}"),
            Some(user) => {
                ensure!(!user.is_disabled, "the user {name:?} is disabled");
                ensure!(user.issuer.is_empty(), "the user {name:?} signs in at {}, and by no link", user.issuer);
            }
        }
        let (secret, now) = (secret()?, system_now());
        let made = Invited { at: now, by: by.to_owned(), on_behalf_of: on_behalf_of.to_owned() };
        self.tables.add_link(&digest(&secret), name, &made, now + millis(LINK_VALIDITY), act).await?;
        Ok(secret)
    }

    /// Does the same for the first user, an administrator, as long as nobody can sign in by a password.
    pub async fn invite_first(&self) -> anyhow::Result<Option<String>> {
        self.tables.ready().await?;
        if self.tables.has_passwords().await? {
            return Ok(None);
        }
        let entry = GrantEntry { roles: vec!["admin".to_owned()], ..GrantEntry::default() };
        self.tables.create(FIRST, &serde_json::to_string(&entry)?, system_now(), None).await?;
        if self.tables.find(FIRST).await?.is_none_or(|first| first.is_disabled || !first.issuer.is_empty()) {
            return Ok(None);
        }
        self.invite_by(FIRST, &Principal::local().name, "", None).await.map(Some)
    }

    /// The user whom a link would sign in.
    pub async fn invited(&self, secret: &str) -> anyhow::Result<Option<String>> {
        self.tables.ready().await?;
        Ok(self.tables.link(&digest(secret), system_now()).await?)
    }

    /// Signs in by what a link holds; returns the user's name, and what has begun.
    pub async fn sign_in_by_link(&self, secret: &str) -> anyhow::Result<Option<(String, SignInProgress)>> {
        self.tables.ready().await?;
        match self.tables.take_link(&digest(secret), system_now()).await? {
            Some(name) => {
                let begun = self.begin(&name, SignInMethod::Link).await?;
                Ok(Some((name, begun)))
            }
            None => Ok(None),
        }
    }

    /// Signs in a user who has shown a password or a link, or asks for a code first.
    pub async fn begin(&self, name: &str, way: SignInMethod) -> anyhow::Result<SignInProgress> {
        if way == SignInMethod::Provider || self.tables.find(name).await?.is_none_or(|user| !user.has_second_factor) {
            return self.begin_session(name, way).await.map(SignInProgress::Session);
        }
        let (secret, now) = (secret()?, system_now());
        let sign_in = SignIn { digest: &digest(&secret), user: name, way: way.name() };
        self.tables.begin_unfinished(sign_in, now, now + millis(CODE_PATIENCE)).await?;
        Ok(SignInProgress::AwaitsCode(secret))
    }

    /// Begins a session for a fully authenticated user; returns the secret that the browser keeps.
    pub async fn begin_session(&self, name: &str, way: SignInMethod) -> anyhow::Result<String> {
        let secret = secret()?;
        let sign_in = SignIn { digest: &digest(&secret), user: name, way: &self.stored_way(way) };
        self.tables.begin_session(sign_in, system_now(), age()).await?;
        Ok(secret)
    }

    /// The hash of a user's password; `None` if there is no such user, or nobody signs in by it.
    pub async fn password_of(&self, name: &str) -> anyhow::Result<Option<String>> {
        self.tables.ready().await?;
        let user = self.tables.find(name).await?;
        Ok(user.filter(|user| !user.is_disabled && !user.password.is_empty()).map(|user| user.password))
    }

    /// Sets the hash of a user's password. All sessions of the user end.
    pub async fn set_password(&self, name: &str, hash: &str) -> anyhow::Result<()> {
        Ok(self.tables.set_password(name, hash).await?)
    }

    /// Finds the session of what a browser keeps.
    pub async fn session(&self, secret: &str) -> anyhow::Result<Option<Session>> {
        self.tables.ready().await?;
        let (digest, now) = (digest(secret), system_now());
        let Some(found) = self.tables.session(&digest, now, age()).await? else { return Ok(None) };
        let Some(way) = SignInMethod::stored(&found.way) else { return Ok(None) };
        if found.way != self.stored_way(way) {
            tracing::info!(
                user = found.user.name,
                "a session holds no more: the settings of the identity provider that let it in have changed"
            );
            self.tables.end_session(&digest).await?;
            return Ok(None);
        }
        if now - found.seen_at > NOTED_EVERY {
            self.tables.touch(&digest, now).await?;
        }
        let user = understood(found.user)?;
        // A role that is gone lets nobody in, and keeps nobody from signing in as somebody else.
        let principal = match self.access.user(&user.name, &user.access) {
            Ok(principal) => Arc::new(principal),
            Err(error) => {
                tracing::warn!(user = user.name, %error, "a session holds no more: what its user may do is not known");
                return Ok(None);
            }
        };
        Ok(Some(Session { principal, language: found.language, way, has_second_factor: user.has_second_factor }))
    }

    /// Notes the language that the user of a session chose.
    pub async fn set_language(&self, secret: &str, language: &str) -> anyhow::Result<()> {
        Ok(self.tables.set_language(&digest(secret), language).await?)
    }

    /// Ends a session.
    pub async fn sign_out(&self, secret: &str) -> anyhow::Result<()> {
        Ok(self.tables.end_session(&digest(secret)).await?)
    }

    /// Ends all sessions of a user.
    pub async fn sign_out_everywhere(&self, name: &str) -> anyhow::Result<()> {
        Ok(self.tables.end_sessions(name).await?)
    }
}

/// What somebody does with a user on the machine itself.
fn on_machine(what: &str, name: &str, by: &str) -> Act {
    let (at, actor, action, origin) = (system_now(), by.to_owned(), format!("user.{what}"), Origin::local());
    Act { at, actor, action, origin, ..Act::default() }.with("name", name)
}

fn is_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_word)
}

fn understood(stored: StoredUser) -> anyhow::Result<User> {
    Ok(User {
        access: grants_of(&stored.access)?,
        issuer: stored.issuer,
        has_password: !stored.password.is_empty(),
        name: stored.name,
        is_disabled: stored.is_disabled,
        created_at: stored.created_at,
        has_second_factor: stored.has_second_factor,
    })
}

/// What a user may do, as it is kept.
pub(crate) fn grants_of(access: &str) -> serde_json::Result<Vec<GrantEntry>> {
    if access.starts_with('[') { serde_json::from_str(access) } else { Ok(vec![serde_json::from_str(access)?]) }
}

fn age() -> SessionAge {
    SessionAge { idle: millis(SESSION_IDLE), whole: millis(SESSION_WHOLE) }
}

fn digest(secret: &str) -> String {
    KeyDigest::of(secret).to_string()
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
