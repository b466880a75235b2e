//! The configuration file: TOML, with a key for each setting of a service. The environment goes before it, the command line before both.
//!
//! A key is the name of the setting's variable without `TOLLGATE_`, in small letters. A setting that is a secret can also be read from a
//! file of its own, whose path is in the variable with `_FILE` behind its name: then it is in no process list and in no environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Arg, ArgAction, Command};
use platform::files::{from_toml, line_of, private_file, read_bounded};
use toml::{Spanned, Value};

/// The commands that take settings from it.
const COMMANDS: [&str; 9] = ["serve", "init", "aggregate", "verify", "reconcile", "restore", "retention", "release-journal", "user"];

/// The largest file that is read, and the largest secret.
const MAX_BYTES: u64 = 1024 * 1024;
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Where a setting comes from, if not from the command line or the environment.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The configuration file, and its values by key.
    file: Option<(PathBuf, BTreeMap<String, Vec<String>>)>,
    /// Secrets, by key, and the variables that name their files.
    secrets: BTreeMap<String, (String, String)>,
}

/// The key of a setting.
pub fn key(argument: &Arg) -> Option<String> {
    let variable = argument.get_env()?.to_str()?;
    Some(variable.strip_prefix("TOLLGATE_")?.to_lowercase())
}

impl Layers {
    /// Reads the configuration file, if there is one, and the secrets that have files. Says which key is wrong, and what would be right.
    pub fn read(command: &Command, file: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<Self> {
        let mut layers = Self::default();
        let settings = settings(command);
        if let Some(path) = file {
            let values = read_file(path, &settings).with_context(|| format!("--config {}", path.display()))?;
            layers.file = Some((path.to_owned(), values));
        }
        for (key, argument) in settings.iter().filter(|(_, argument)| argument.is_hide_env_values_set()) {
            let name = format!("TOLLGATE_{}_FILE", key.to_uppercase());
            let Some(path) = variable(&name).map(PathBuf::from) else { continue };
            let read = || -> anyhow::Result<String> {
                private_file(&path)?;
                let secret = String::from_utf8(read_bounded(&path, MAX_SECRET_BYTES)?)?.trim_end().to_owned();
                check(argument, &secret)
                    .map_err(|_| anyhow::anyhow!("does not hold a value of --{}", argument.get_long().unwrap_or_default()))?;
                Ok(secret)
            };
            layers.secrets.insert(key.clone(), (name.clone(), read().with_context(|| format!("{name} {}", path.display()))?));
        }
        Ok(layers)
    }

    /// The command line whose settings default to these layers.
    pub fn under(&self, mut command: Command) -> Command {
        for name in COMMANDS {
            command = command.mut_subcommand(name, |command| {
                command.mut_args(|argument| match self.values_of(&argument) {
                    // They live as long as the process, as the command line does.
                    Some(values) => argument.default_values(values.into_iter().map(|value| &*value.leak())),
                    None => argument,
                })
            });
        }
        command
    }

    fn values_of(&self, argument: &Arg) -> Option<Vec<String>> {
        let key = key(argument)?;
        let secret = self.secrets.get(&key).map(|(_, secret)| vec![secret.clone()]);
        secret.or_else(|| self.file.as_ref()?.1.get(&key).cloned())
    }

    /// Where a setting comes from that is neither on the command line nor in the environment.
    pub fn source_of(&self, key: &str) -> String {
        match (self.secrets.get(key), &self.file) {
            (Some((variable, _)), _) => variable.clone(),
            (None, Some((path, values))) if values.contains_key(key) => path.display().to_string(),
            _ => "default".to_owned(),
        }
    }
}

/// The settings of all commands that take them from a file, by key.
fn settings(command: &Command) -> BTreeMap<String, Arg> {
    let commands = COMMANDS.iter().filter_map(|name| command.find_subcommand(name));
    commands
        .flat_map(|command| command.get_arguments().filter(|one| !one.is_hide_set()).filter_map(|one| Some((key(one)?, one.clone()))))
        .collect()
}

fn read_file(path: &Path, settings: &BTreeMap<String, Arg>) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let content = String::from_utf8(read_bounded(path, MAX_BYTES)?)?;
    let table: BTreeMap<String, Spanned<Value>> = from_toml(&content)?;
    let (mut values, mut problems) = (BTreeMap::new(), Vec::new());
    for (key, value) in table {
        let place = value.span().start;
        match values_of(&key, value.into_inner(), settings, path) {
            Ok(texts) => drop(values.insert(key, texts)),
            Err(error) => problems.push((place, format!("{error:#}"))),
        }
    }
    problems.sort();
    let problems: Vec<_> = problems.into_iter().map(|(place, problem)| format!("line {}: {problem}", line_of(&content, place))).collect();
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(values)
}

fn values_of(key: &str, value: Value, settings: &BTreeMap<String, Arg>, path: &Path) -> anyhow::Result<Vec<String>> {
    let Some(argument) = settings.get(key) else { bail!("there is no setting {key:?}: `tollgate config default` lists all") };
    let texts = match value {
        Value::Array(values) => values.iter().map(text).collect::<anyhow::Result<Vec<_>>>(),
        value => text(&value).map(|text| vec![text]),
    };
    let texts = texts.with_context(|| key.to_owned())?;
    ensure!(
        !argument.is_hide_env_values_set() || private_file(path).is_ok(),
        "{key} may hold a secret, and everybody can read the file: chmod o-rwx"
    );
    for text in &texts {
        check(argument, text).with_context(|| key.to_owned())?;
    }
    Ok(texts)
}

fn text(value: &Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Ok(value.to_string()),
        _ => bail!("must be a text, a number, true or false, or a list of them"),
    }
}

/// Checks a value by the command line's own parser.
fn check(argument: &Arg, value: &str) -> anyhow::Result<()> {
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        ensure!(["true", "false"].contains(&value), "must be true or false");
        return Ok(());
    }
    let alone = Arg::new(argument.get_id().clone()).long("value").value_parser(argument.get_value_parser().clone());
    let checked = Command::new("setting").arg(alone).try_get_matches_from(["setting", &format!("--value={value}")]);
    let wrong = checked.err().map(|error| error.to_string());
    let first = |text: String| {
        text.lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .replace(" for '--value <value>'", "")
            .replace(&format!(" for '--value <{}>'", argument.get_id()), "")
    };
    wrong.map_or(Ok(()), |text| Err(anyhow::anyhow!(first(text))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::CommandLine;

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn wrong(text: &str) -> String {
        format!("{:#}", Layers::read(&CommandLine::command(), Some(written(text).path()), |_| None).unwrap_err())
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let file =
            written("listen = '127.0.0.1:1'\nlanes = 3\nshutdown_grace = '3s'\nserve_ahead = true\naggregate_metrics_listen = 'off'");
        let layers = Layers::read(&CommandLine::command(), Some(file.path()), |_| None).unwrap();
        let command = layers.under(CommandLine::command());
        let matches = command.clone().get_matches_from(["tollgate", "serve", "--lanes", "2"]);
        let raw = |id: &str| matches.subcommand().unwrap().1.get_raw(id).unwrap().next().unwrap().to_str().unwrap().to_owned();
        assert_eq!([raw("listen"), raw("lanes"), raw("shutdown_grace"), raw("serve_ahead")], ["127.0.0.1:1", "2", "3s", "true"]);
        assert_eq!(raw("metrics_listen"), "127.0.0.1:7601");
        let matches = command.get_matches_from(["tollgate", "aggregate"]);
        assert_eq!(matches.subcommand().unwrap().1.get_raw("metrics_listen").unwrap().next().unwrap(), "off");
        assert_eq!((layers.source_of("lanes"), layers.source_of("log").as_str()), (file.path().display().to_string(), "default"));
    }

    #[test]
    fn what_is_wrong_in_the_file_is_said_with_its_key() {
        assert!(wrong("lisen = 'a'").ends_with("there is no setting \"lisen\": `tollgate config default` lists all"));
        assert!(wrong("listen = 'nowhere'").contains("listen: invalid value 'nowhere'"), "{}", wrong("listen = 'nowhere'"));
        assert!(wrong("insecure = 'perhaps'").ends_with("insecure: must be true or false"));
        assert!(wrong("[network]\nlisten = 'a'").contains("there is no setting \"network\""));
        assert!(wrong("listen = ").contains("--config"));
        assert!(wrong("lanes = 0").contains("lanes: invalid value '0'"));
        let several = wrong("log_format = 'json'\nlisen = 'a'\n\nlanes = 0\n");
        assert!(several.contains("line 2: there is no setting \"lisen\"") && several.contains("\nline 4: lanes: invalid"), "{several}");
    }

    #[test]
    fn a_secret_is_read_from_a_file_that_only_its_owner_can_read() {
        let secret = written("redis://tollgate:hush@127.0.0.1:6379\n");
        let read = || Layers::read(&CommandLine::command(), None, |name| (name == "TOLLGATE_REDIS_FILE").then(|| secret.path().into()));
        let command = read().unwrap().under(CommandLine::command());
        let matches = command.get_matches_from(["tollgate", "serve"]);
        assert_eq!(matches.subcommand().unwrap().1.get_raw("redis").unwrap().next().unwrap(), "redis://tollgate:hush@127.0.0.1:6379");
        std::fs::set_permissions(secret.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(format!("{:#}", read().unwrap_err()).contains("can be read by everybody"));
        let wrong = written("");
        std::fs::write(wrong.path(), b"hush\xff").unwrap();
        let read = Layers::read(&CommandLine::command(), None, |name| (name == "TOLLGATE_REDIS_FILE").then(|| wrong.path().into()));
        let said = format!("{:#}", read.unwrap_err());
        assert!(said.contains("TOLLGATE_REDIS_FILE") && !said.contains("hush"), "{said}");
    }
}
