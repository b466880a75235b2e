//! Files that people and tools change while the process runs.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, ensure};
use rustix::fs::{Mode, Stat, stat};
use rustix::process::umask;
use serde::de::DeserializeOwned;

/// Identifies the state of some files. Compared only with that of the same paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Vec<Option<(u64, u64, i64, SystemTime)>>);

impl Stamp {
    /// That of the files now.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        Self(paths.into_iter().map(one).collect())
    }
}

fn one(path: &Path) -> Option<(u64, u64, i64, SystemTime)> {
    let Stat { st_dev, st_ino, st_size, .. } = stat(path).ok()?;
    let changed = std::fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or(UNIX_EPOCH);
    Some((st_dev, st_ino, st_size, changed))
}

/// Keeps what this process writes from now on from all but its owner and group, whatever umask it was started with: stores hold secrets, and
/// what customers did.
pub fn keep_from_others() {
    let before = umask(Mode::RWXO);
    umask(before | Mode::RWXO);
}

/// Refuses a file with a secret in it that others than its owner and group can read.
pub fn private_file(path: &Path) -> anyhow::Result<()> {
    let mode = Mode::from_raw_mode(stat(path).context("cannot be read")?.st_mode);
    ensure!(!mode.intersects(Mode::RWXO), "can be read by everybody on this machine: chmod o-rwx {}", path.display());
    Ok(())
}

/// Reads TOML. An error says on which line and why, and shows no value: it may be a secret.
pub fn from_toml<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    toml::from_str(text).map_err(|error| {
        let message = error.message();
        // "invalid type: string \"...\", expected a sequence"
        let wanted = message.starts_with("invalid ").then(|| message.rsplit_once(", expected ")).flatten();
        let said = wanted.map_or_else(|| message.to_owned(), |(_, wanted)| format!("has another type or value: expected {wanted}"));
        match error.span() {
            Some(span) => anyhow!("line {}: {said}", line_of(text, span.start)),
            None => anyhow!("{said}"),
        }
    })
}

/// On which line of a text a byte stands.
#[must_use]
pub fn line_of(text: &str, place: usize) -> usize {
    text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1
}

/// Reads a file, up to a number of bytes.
pub fn read_bounded(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let size = std::fs::metadata(path).context("cannot be read")?.len();
    ensure!(size <= most, "has {size} bytes, more than {most}");
    std::fs::read(path).context("cannot be read")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn an_error_names_the_line_and_shows_no_value() {
        #[derive(Debug, serde::Deserialize)]
        struct Wanted {
            #[expect(dead_code, reason = "only read")]
            roles: Vec<String>,
        }
        let error = from_toml::<Wanted>("# a comment\nroles = 'tg_Zk3v9QxY_secret, expected by nobody'\n").unwrap_err().to_string();
        assert_eq!(error, "line 2: has another type or value: expected a sequence");
    }
}
