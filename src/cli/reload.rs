//! SIGHUP: a running service reads its configuration file again, takes what it can, and names in its log what needs a new start.

use std::collections::BTreeMap;
use std::ffi::OsString;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches};
use tokio::signal::unix::{SignalKind, signal};

use super::config::variable;
use super::config_file::{Layers, key};
use super::{CommandLine, file_of};
use crate::app::Reload;
use crate::config::ServeOptions;

/// The settings of `serve` as they are given now.
pub struct Settings {
    options: ServeOptions,
    /// The values by key, with the options they belong to.
    values: BTreeMap<String, (String, Vec<OsString>)>,
}

impl Settings {
    /// Reads the command line of this process, its environment and its files.
    pub fn read() -> anyhow::Result<Self> {
        let command = CommandLine::command();
        let file = file_of(&command);
        let mut command = Layers::read(&command, file.as_deref(), variable)?.under(command);
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        let matches = matches.subcommand_matches("serve").context("this is not `tollgate serve`")?;
        let options = ServeOptions::from_arg_matches(matches)?;
        options.validate()?;
        let mut values = BTreeMap::new();
        for argument in command.find_subcommand("serve").into_iter().flat_map(clap::Command::get_arguments) {
            let (Some(key), Some(option)) = (key(argument), argument.get_long()) else { continue };
            let given = matches.get_raw(argument.get_id().as_str()).into_iter().flatten().map(ToOwned::to_owned).collect();
            values.insert(key, (format!("--{option}"), given));
        }
        Ok(Self { options, values })
    }

    /// The options that differ from what the service was started with, and that it cannot take while it runs.
    fn needing_a_start<'a>(&'a self, started: &Self) -> Vec<&'a str> {
        let is_other = |(key, value): &(&String, &(String, Vec<OsString>))| {
            !Reload::SETTINGS.contains(&key.as_str()) && started.values.get(*key) != Some(*value)
        };
        self.values.iter().filter(is_other).map(|(_, (option, _))| option.as_str()).collect()
    }
}

/// Follows SIGHUP, for ever.
pub async fn follow(reload: Reload, started: Settings) -> anyhow::Result<()> {
    let mut hangups = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    loop {
        hangups.recv().await;
        let settings = match Settings::read() {
            Ok(settings) => settings,
            Err(error) => {
                tracing::error!("the settings cannot be read again; keeping all previous values: {error:#}");
                continue;
            }
        };
        let (failed, waiting) = (reload.take(&settings.options), settings.needing_a_start(&started));
        for error in &failed {
            tracing::error!("a setting cannot be used; keeping its previous value: {error:#}");
        }
        if !waiting.is_empty() {
            tracing::warn!(settings = waiting.join(", "), "these settings have changed, and are taken only at a start");
        }
        tracing::info!("the settings were read again");
    }
}
