//! The second factor of users: codes of an authenticator (TOTP, RFC 6238: SHA-1, 6 digits, 30 seconds, which every authenticator knows),
//! and recovery codes for users who have lost theirs. A code is taken once, and from one step before or after.

use std::time::Duration;

use anyhow::anyhow;
use totp_rs::{Builder, Secret, Totp};

use super::{SignInMethod, Users, digest};
use access::key::random;
use platform::clock::system_now;

/// What authenticators call the service, before the name of its host.
const ISSUER: &str = "tollgate";

/// How many recovery codes there are, and of how many random bytes each: 16 letters and digits.
const RECOVERY_CODES: usize = 10;
const RECOVERY_BYTES: usize = 10;

/// The longest that is looked at as a code.
const LONGEST: usize = 32;

/// The second factor of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondFactor {
    /// There is none.
    Off,
    /// Its secret was made, and no code has confirmed it yet.
    Offered,
    /// A code is asked for.
    On {
        /// How many recovery codes are left.
        recovery_codes: u64,
    },
}

/// What an authenticator needs, while it is set up. It is not shown in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrollment {
    /// The secret, in base32.
    pub secret: String,
    /// The same with all else, as a QR code holds it.
    pub url: String,
}

/// The factor that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedFactor {
    /// A code of the authenticator.
    Code,
    /// A recovery code, which is used up.
    RecoveryCode,
}

impl UsedFactor {
    /// Its name, in audit records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::RecoveryCode => "recovery code",
        }
    }
}

/// A sign-in that a second factor has completed.
#[derive(Clone, PartialEq, Eq)]
pub struct CompletedSignIn {
    /// By what it began.
    pub way: SignInMethod,
    /// The factor that was used then.
    pub proof: UsedFactor,
    /// What the browser has to keep.
    pub secret: String,
}

impl Users {
    /// The second factor of a user.
    pub async fn second_factor(&self, name: &str) -> anyhow::Result<SecondFactor> {
        self.tables.ready().await?;
        Ok(match self.tables.second_factor(name).await? {
            None => SecondFactor::Off,
            Some(factor) if factor.is_confirmed => SecondFactor::On { recovery_codes: factor.recovery_codes },
            Some(_) => SecondFactor::Offered,
        })
    }

    /// Makes the secret of a user's second factor, unless that is on. It is asked for once a code has confirmed it.
    pub async fn offer_second_factor(&self, name: &str) -> anyhow::Result<()> {
        let secret = Secret::from(random::<20>()?);
        Ok(self.tables.offer_second_factor(name, &secret.to_base32()).await?)
    }

    /// What an authenticator needs, as long as nothing has confirmed it; then nobody is given it any more.
    pub async fn offered_second_factor(&self, name: &str, host: &str) -> anyhow::Result<Option<Enrollment>> {
        let Some(factor) = self.tables.second_factor(name).await?.filter(|factor| !factor.is_confirmed) else { return Ok(None) };
        let url = totp(&factor.secret, name, host)?.to_url().map_err(|error| anyhow!("{error}"))?;
        Ok(Some(Enrollment { secret: factor.secret, url }))
    }

    /// Switches a user's second factor on, if this is a code of what was offered, and returns the recovery codes. All sessions of the user
    /// end but this one.
    pub async fn confirm_second_factor(&self, name: &str, typed: &str, session: &str) -> anyhow::Result<Option<Vec<String>>> {
        let Some(factor) = self.tables.second_factor(name).await? else { return Ok(None) };
        let Some(step) = step_of(&factor.secret, name, typed)? else { return Ok(None) };
        let (codes, digests) = recovery_codes(name)?;
        let (now, but) = (system_now(), digest(session));
        let is_confirmed = self.tables.confirm_second_factor(name, &factor.secret, step, now, &digests, &but).await?;
        Ok(is_confirmed.then_some(codes))
    }

    /// Takes a code of a user's second factor, or a recovery code; `None` if it is wrong, or was taken before.
    pub async fn prove(&self, name: &str, typed: &str) -> anyhow::Result<Option<UsedFactor>> {
        let Some(factor) = self.tables.second_factor(name).await?.filter(|factor| factor.is_confirmed) else { return Ok(None) };
        if let Some(step) = step_of(&factor.secret, name, typed)? {
            return Ok(self.tables.take_step(name, step).await?.then_some(UsedFactor::Code));
        }
        let is_taken = self.tables.take_recovery_code(name, &digest_of(name, &bare(typed))).await?;
        Ok(is_taken.then_some(UsedFactor::RecoveryCode))
    }

    /// Makes recovery codes in the place of the others.
    pub async fn renew_recovery_codes(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let (codes, digests) = recovery_codes(name)?;
        self.tables.set_recovery_codes(name, &digests).await?;
        Ok(codes)
    }

    /// Forgets a user's second factor, and returns whether there was one. All sessions of the user end, but for this one if it is the user's.
    pub async fn forget_second_factor(&self, name: &str, session: Option<&str>) -> anyhow::Result<bool> {
        self.tables.ready().await?;
        Ok(self.tables.forget_second_factor(name, &session.map(digest).unwrap_or_default(), None).await?)
    }

    /// The user of whom a code is still to come, by what the browser keeps.
    pub async fn awaiting_code(&self, secret: &str) -> anyhow::Result<Option<String>> {
        self.tables.ready().await?;
        Ok(self.tables.unfinished(&digest(secret), system_now()).await?.map(|unfinished| unfinished.user))
    }

    /// Completes a sign-in with a code; `None` if the code is wrong or it took too long.
    pub async fn finish_by_code(&self, secret: &str, typed: &str) -> anyhow::Result<Option<CompletedSignIn>> {
        let Some(unfinished) = self.tables.unfinished(&digest(secret), system_now()).await? else { return Ok(None) };
        let Some(way) = SignInMethod::stored(&unfinished.way) else { return Ok(None) };
        let Some(proof) = self.prove(&unfinished.user, typed).await? else { return Ok(None) };
        // It may have been finished meanwhile, or ended with the user's sessions.
        if !self.tables.end_unfinished(&digest(secret)).await? {
            return Ok(None);
        }
        let secret = self.begin_session(&unfinished.user, way).await?;
        Ok(Some(CompletedSignIn { way, proof, secret }))
    }
}

fn totp(secret: &str, name: &str, host: &str) -> anyhow::Result<Totp> {
    let secret = Secret::try_from_base32(secret).map_err(|error| anyhow!("the secret of a second factor: {error}"))?;
    let issuer = Some(format!("{ISSUER} {host}"));
    Builder::new().with_secret(secret).with_account_name(name).with_issuer(issuer).build().map_err(|error| anyhow!("{error}"))
}

/// The step of time that a code is of: this one, the one before or the one after.
fn step_of(secret: &str, name: &str, typed: &str) -> anyhow::Result<Option<i64>> {
    let now = Duration::from_millis(u64::try_from(system_now().get()).unwrap_or_default()).as_secs();
    let typed: String = typed.chars().take(LONGEST).filter(|character| !character.is_whitespace()).collect();
    Ok(totp(secret, name, "")?.check(&typed, now).and_then(|step| i64::try_from(step).ok()))
}

/// Recovery codes as they are shown, and their digests as they are stored.
fn recovery_codes(name: &str) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let mut codes = Vec::new();
    for _ in 0..RECOVERY_CODES {
        codes.push(Secret::from(random::<RECOVERY_BYTES>()?).to_base32());
    }
    let digests = codes.iter().map(|code| digest_of(name, code)).collect();
    let shown = |code: &String| code.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-");
    Ok((codes.iter().map(shown).collect(), digests))
}

/// A recovery code without what people type beside it.
fn bare(typed: &str) -> String {
    typed.chars().take(LONGEST).filter(char::is_ascii_alphanumeric).map(|character| character.to_ascii_uppercase()).collect()
}

fn digest_of(name: &str, code: &str) -> String {
    digest(&format!("recovery code of {name}: {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, of which authenticators show the last six digits: its secret is "12345678901234567890".
        let totp = totp("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "alice", "console.example.org").unwrap();
        for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")] {
            assert_eq!(totp.check(code, time), Some(time / 30), "{time}");
            assert_eq!(totp.check(code, time + 30), Some(time / 30), "one step later");
            assert_eq!(totp.check(code, time + 60), None, "two steps later");
        }
        let url = "otpauth://totp/tollgate%20console.example.org:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=";
        assert!(totp.to_url().unwrap().starts_with(url), "{}", totp.to_url().unwrap());
    }

    #[test]
    fn a_recovery_code_is_known_however_it_is_typed_and_only_of_its_user() {
        let (codes, digests) = recovery_codes("alice").unwrap();
        assert_eq!((codes.len(), digests.len()), (RECOVERY_CODES, RECOVERY_CODES));
        let code = &codes[0];
        assert_eq!(code.len(), 19, "{code}");
        assert_eq!(digest_of("alice", &bare(&format!(" {} ", code.to_lowercase().replace('-', " ")))), digests[0]);
        assert_ne!(digest_of("bob", &bare(code)), digests[0]);
        assert!(!digests.contains(&digest_of("alice", &bare(""))));
    }
}
