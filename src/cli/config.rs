//! `tollgate config`: what settings there are, which are in force, and whether they are sound.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Subcommand};

use super::config_file::{Layers, key};
use super::pipe::output;
use super::table::table_of;
use super::{CommandLine, has_password};
use crate::config::{AggregateOptions, ServeOptions};
use access::Access;
use platform::telemetry;
use platform::tls::Tls;

/// `tollgate config`.
#[derive(Args, Debug)]
pub struct ConfigOptions {
    #[command(subcommand)]
    act: Act,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Act {
    /// Check the settings of this environment and of --config: those of `serve`, or those of `aggregate`.
    Check {
        /// Check those of `aggregate`.
        #[arg(long)]
        aggregate: bool,
    },
    /// Show the settings that are in force, and where each comes from. Secrets are hidden.
    Show {
        /// Show those of `aggregate`.
        #[arg(long)]
        aggregate: bool,
    },
    /// Print a configuration file with every setting of `serve`, its meaning and its default.
    Default,
}

/// Runs the command.
pub fn run(options: &ConfigOptions, file: Option<&PathBuf>) -> anyhow::Result<ExitCode> {
    match options.act {
        Act::Check { aggregate } => {
            let (_, _, matches) = in_force(file, aggregate)?;
            if aggregate {
                let options = AggregateOptions::from_arg_matches(&matches)?;
                let telemetry = telemetry::check(&options.telemetry).err();
                say_all(options.validate().err().into_iter().chain(Tls::load(&options.tls).err()).chain(telemetry))?;
            } else {
                let options = ServeOptions::from_arg_matches(&matches)?;
                let access = options.network.access_file.as_deref().and_then(|path| Access::of_file(path).err());
                let (tls, telemetry) = (Tls::load(&options.tls).err(), telemetry::check(&options.telemetry).err());
                say_all(options.problems().into_iter().chain(tls).chain(access).chain(telemetry))?;
            }
            println!("The settings are sound.");
        }
        Act::Show { aggregate } => show(file, aggregate)?,
        Act::Default => write!(output(), "{}", default_file())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Describes all that is wrong, a line each.
fn say_all(problems: impl Iterator<Item = anyhow::Error>) -> anyhow::Result<()> {
    let problems: Vec<String> = problems.map(|problem| format!("{problem:#}")).collect();
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// The settings of a command without any on its command line.
fn in_force(file: Option<&PathBuf>, aggregate: bool) -> anyhow::Result<(Command, Layers, ArgMatches)> {
    let name = if aggregate { "aggregate" } else { "serve" };
    let layers = Layers::read(&CommandLine::command(), file.map(PathBuf::as_path), variable)?;
    let mut command = layers.under(CommandLine::command());
    let matches = command.try_get_matches_from_mut(["tollgate", name])?;
    let (_, matches) = matches.subcommand().context("there is no such command")?;
    let command = command.find_subcommand(name).context("there is no such command")?.clone();
    Ok((command, layers, matches.clone()))
}

#[allow(clippy::disallowed_methods, reason = "this is where settings come from")]
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn show(file: Option<&PathBuf>, aggregate: bool) -> anyhow::Result<()> {
    let (command, layers, matches) = in_force(file, aggregate)?;
    let mut listing = table_of(&["setting", "value", "from"], 3..3);
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let Some(key) = key(argument) else { continue };
        let id = argument.get_id().as_str();
        let values: Vec<_> = matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy()).collect();
        // A URL with a password is refused where it must have none; until then it must not be shown either.
        let is_secret = argument.is_hide_env_values_set() || values.iter().any(|value| has_password(value));
        let value = if is_secret && !values.is_empty() { "(hidden)".to_owned() } else { values.join(" ") };
        let from = match matches.value_source(id) {
            Some(ValueSource::EnvVariable) => argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            _ => layers.source_of(&key),
        };
        listing.add_row([key, value, from]);
    }
    println!("{listing}");
    if !aggregate && ServeOptions::from_arg_matches(&matches).is_ok_and(|options| names_nobody(&options)) {
        println!(
            "No access file names anybody: everybody who reaches a listener may do everything, unless the billing store names somebody."
        );
    }
    Ok(())
}

fn names_nobody(options: &ServeOptions) -> bool {
    options.network.access_file.as_deref().is_none_or(|path| Access::of_file(path).is_ok_and(|access| access.is_open()))
}

fn default_file() -> String {
    let command = CommandLine::command();
    let mut text =
        "# Settings of tollgate. Each can also be given on the command line or in the environment, which go before this file.\n".to_owned();
    let mut heading = None;
    for argument in command.find_subcommand("serve").into_iter().flat_map(Command::get_arguments).filter(|argument| !argument.is_hide_set())
    {
        let Some(key) = key(argument) else { continue };
        if argument.get_help_heading() != heading {
            heading = argument.get_help_heading();
            let _ = writeln!(text, "\n# {}", heading.unwrap_or("Others").to_uppercase());
        }
        let _ = writeln!(text, "\n# {}", argument.get_help().map(ToString::to_string).unwrap_or_default().replace('\n', "\n# "));
        let _ = writeln!(text, "# {key} = {}", example(argument));
    }
    text
}

fn example(argument: &Arg) -> String {
    let is_flag = !argument.get_action().takes_values();
    match argument.get_default_values() {
        _ if is_flag => "true".to_owned(),
        [default] => format!("{:?}", default.to_string_lossy()),
        _ => format!("{:?}", argument.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str())),
    }
}
