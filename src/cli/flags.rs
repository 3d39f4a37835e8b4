//! The flags that every subcommand shares: where the configuration is and what of it to change.

use std::path::PathBuf;

use crate::config::{Config, ConfigError, Environment, Layers};

/// Flags lie over the environment, which lies over the file.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct ConfigFlags {
    /// The configuration file [default: /etc/akkerisd/akkerisd.toml where it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database, keys, certificates and logs [default: /var/lib/akkerisd]
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Where the API listens, in plain HTTP [default: 127.0.0.1:5000]
    #[arg(long, global = true, value_name = "ADDRESS")]
    api_addr: Option<String>,
    /// Where the edge listens for HTTP [default: 0.0.0.0:80]
    #[arg(long, global = true, value_name = "ADDRESS")]
    http_addr: Option<String>,
    /// Where the edge listens for HTTPS [default: 0.0.0.0:443]
    #[arg(long, global = true, value_name = "ADDRESS")]
    https_addr: Option<String>,
    /// Apps answer on names under this domain [default: localhost]
    #[arg(long, global = true, value_name = "DOMAIN")]
    apps_domain: Option<String>,
    /// The address that clients reach the API at, for links [default: that of the request]
    #[arg(long, global = true, value_name = "URL")]
    public_url: Option<String>,
    /// The Docker Engine [default: the socket /var/run/docker.sock]
    #[arg(long, global = true, value_name = "ADDRESS")]
    docker_host: Option<String>,
    /// Serve plain HTTP instead of redirecting to HTTPS; needs --http-addr on loopback
    #[arg(long, global = true)]
    no_redirect: bool,
    /// text or json [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl ConfigFlags {
    /// The checked configuration.
    pub(super) fn load(&self) -> Result<Config, ConfigError> {
        Config::from_layers(&self.layers()?)
    }

    /// The merged sources, with the place of each value.
    pub(super) fn layers(&self) -> Result<Layers, ConfigError> {
        Layers::load(self.config.as_deref(), &Environment::of_process()?, &self.given())
    }

    fn given(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("--data-dir", &self.data_dir),
            ("--api-addr", &self.api_addr),
            ("--http-addr", &self.http_addr),
            ("--https-addr", &self.https_addr),
            ("--apps-domain", &self.apps_domain),
            ("--public-url", &self.public_url),
            ("--docker-host", &self.docker_host),
            ("--log-format", &self.log_format),
            ("--log-level", &self.log_level),
        ];
        let mut given: Vec<_> =
            texts.into_iter().filter_map(|(flag, text)| Some((flag, text.clone()?))).collect();
        if self.no_redirect {
            given.push(("--no-redirect", "true".to_owned()));
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::config::Setting;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        flags: ConfigFlags,
    }

    #[test]
    fn every_setting_with_a_flag_is_on_the_command_line_and_back() {
        let command = Only::command();
        let on_the_line: Vec<String> =
            command.get_arguments().filter_map(|a| Some(format!("--{}", a.get_long()?))).collect();
        for setting in Setting::all() {
            if let Some(flag) = setting.flag {
                assert!(on_the_line.iter().any(|known| known == flag), "{flag}");
            }
        }
        let all = [
            "akkerisd",
            "--data-dir",
            "/d",
            "--api-addr",
            "a",
            "--http-addr",
            "b",
            "--https-addr",
            "c",
            "--apps-domain",
            "d",
            "--public-url",
            "e",
            "--docker-host",
            "f",
            "--log-format",
            "g",
            "--log-level",
            "h",
            "--no-redirect",
        ];
        let given = Only::parse_from(all).flags.given();
        assert_eq!(given.len(), Setting::all().filter(|setting| setting.flag.is_some()).count());
        for (flag, _) in given {
            assert!(Setting::by_flag(flag).is_some(), "{flag}");
        }
    }
}
