//! `akkerisd config check`: says whether the configuration is valid, and what is in force and why.

use std::io::Write;

use super::failure::Failure;
use super::flags::ConfigFlags;
use crate::config::{Config, Layers, Place, Setting};

#[derive(Debug, clap::Subcommand)]
pub(super) enum ConfigCommand {
    /// Check the configuration and print the values in force, without secrets, as a configuration file
    Check,
}

pub(super) fn run(
    command: &ConfigCommand,
    flags: &ConfigFlags,
    output: &mut dyn Write,
) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check => {
            let layers = flags.layers()?;
            let config = Config::from_layers(&layers)?;
            print(&layers, &config, output)?;
            Ok(())
        }
    }
}

/// The values as a file that could be used, each with its source as a comment.
fn print(layers: &Layers, config: &Config, output: &mut dyn Write) -> std::io::Result<()> {
    let mut section = None;
    for setting in Setting::all() {
        let (name, _) = setting.section_and_name();
        // Groups of settings may share a section, which a file may open only once.
        if let Some(name) = name.filter(|_| name != section) {
            writeln!(output, "\n[{name}]")?;
        }
        section = name;
        print_setting(layers, setting, output)?;
    }
    let admin_token = if config.admin_token.is_some() { "set" } else { "not set" };
    writeln!(output, "\n# AKKERISD_ADMIN_TOKEN is {admin_token}")
}

fn print_setting(layers: &Layers, setting: &Setting, output: &mut dyn Write) -> std::io::Result<()> {
    let Some(value) = layers.value(setting) else { return Ok(()) };
    let (_, name) = setting.section_and_name();
    let place = match &value.place {
        Place::Default { .. } => "default".to_owned(),
        Place::File { path, .. } => path.clone(),
        Place::Variable(name) | Place::Flag(name) => (*name).to_owned(),
    };
    let unset = if value.text.is_empty() { "# " } else { "" };
    writeln!(output, "{unset}{name} = {}  # {place}", setting.form.to_toml(&value.text))
}
