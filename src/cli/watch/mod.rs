//! `akkerisd watch`: a folder that deploys itself, for local work. A client of the API like any other.
//!
//! Invariant: unchanged content does nothing; a change that comes during a build is looked at after it.

mod changes;
mod deploy;
mod folder;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::json;

use self::changes::Changes;
use self::deploy::Target;
use self::folder::Packed;
use super::failure::Failure;
use super::progress::Progress;
use crate::config::{self, Config};
use crate::model::names::AppKey;
use crate::outbound::{ApiClient, ApiClientError, Lines};

/// Before the log of the app is asked for again.
const LOG_AGAIN: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub(super) struct WatchCommand {
    /// The folder with the source, a Dockerfile at its root
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The app: its key or id
    #[arg(long, value_name = "NAME")]
    app: String,
    /// The API [default: the address where the daemon of this machine listens]
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// A token [default: `AKKERISD_TOKEN`, else the one in the data dir's file admin-token]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Create the app where there is none
    #[arg(long)]
    create: bool,
    /// The organization of an app that is created
    #[arg(long, value_name = "NAME", default_value = "akkeris")]
    org: String,
}

impl std::fmt::Debug for WatchCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchCommand")
            .field("folder", &self.folder)
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

/// What is watched, and what it was deployed as.
struct Watch<'a> {
    target: Target<'a>,
    folder: &'a Path,
    changes: Changes,
    /// The hash of the content that was last sent.
    sent: Option<String>,
    log: Option<Lines>,
}

pub(super) fn run(command: &WatchCommand, config: &Config, output: &mut dyn Write) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        tokio::select! {
            watched = watch(command, config, output) => watched,
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        }
    });
    // A folder that is just being packed is not waited for.
    runtime.shutdown_background();
    Progress::new().clear();
    ended
}

async fn watch(command: &WatchCommand, config: &Config, output: &mut dyn Write) -> Result<(), Failure> {
    let folder = command.folder.canonicalize().map_err(|error| {
        Failure::Usage(anyhow!("the folder {} cannot be used: {error}", command.folder.display()))
    })?;
    if !folder.is_dir() {
        return Err(Failure::Usage(anyhow!("{} is no folder", folder.display())));
    }
    let base = command.api.clone().unwrap_or_else(|| format!("http://{}", config.api.addr));
    let api = ApiClient::new(&base, token(command, config)?).map_err(|error| Failure::Io(error.into()))?;
    let progress = Progress::new();
    let target = Target { api: &api, app: &command.app, progress: &progress };
    ensure_app(command, &api).await?;
    let sent = target.released().await?;
    let changes = Changes::of(&folder).map_err(Failure::Io)?;
    let mut watch = Watch { target, folder: &folder, changes, sent, log: None };
    writeln!(output, "Watching {} for {}; Ctrl-C ends it.", folder.display(), command.app)?;
    loop {
        watch.deploy_if_changed(output).await?;
        watch.show_log_until_change(output).await?;
    }
}

impl Watch<'_> {
    /// A deployment that fails is told, and the next change tries again.
    async fn deploy_if_changed(&mut self, output: &mut dyn Write) -> Result<(), Failure> {
        let packed = match pack(self.folder).await {
            Ok(packed) => packed,
            Err(error) => return tell(&error),
        };
        if self.sent.as_ref() == Some(&packed.hash) {
            return Ok(());
        }
        match self.target.deploy(&packed, output).await {
            Ok(()) => {
                self.sent = Some(packed.hash);
                Ok(())
            }
            Err(error) => {
                self.target.progress.clear();
                // What never arrived is sent again when anything changes.
                if !error.is::<ApiClientError>() {
                    self.sent = Some(packed.hash);
                }
                tell(&error)
            }
        }
    }

    async fn show_log_until_change(&mut self, output: &mut dyn Write) -> Result<(), Failure> {
        loop {
            tokio::select! {
                () = self.changes.settled() => return Ok(()),
                line = next_line(&mut self.log, &self.target) => writeln!(output, "{line}")?,
            }
        }
    }
}

/// The next line that the app's dynos write. Cancel-safe.
async fn next_line(log: &mut Option<Lines>, target: &Target<'_>) -> String {
    loop {
        let Some(open) = log else {
            let path = format!("/apps/{}/logs?tail=true&lines=1&source=app", target.app);
            match target.api.lines(&path).await {
                Ok(lines) => *log = Some(lines),
                Err(_) => tokio::time::sleep(LOG_AGAIN).await,
            }
            continue;
        };
        if let Some(line) = open.next().await {
            return line;
        }
        *log = None;
        tokio::time::sleep(LOG_AGAIN).await;
    }
}

async fn pack(folder: &Path) -> anyhow::Result<Packed> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || folder::pack(&folder)).await?
}

/// Tells what went wrong and goes on.
fn tell(error: &anyhow::Error) -> Result<(), Failure> {
    Ok(writeln!(io::stderr(), "akkerisd: {error:#}")?)
}

/// The app must be there, unless it shall be created.
async fn ensure_app(command: &WatchCommand, api: &ApiClient) -> Result<(), Failure> {
    match api.get(&format!("/apps/{}", command.app)).await {
        Ok(_) => Ok(()),
        Err(ApiClientError::Refused { status: 404, .. }) if command.create => {
            let (name, space) = AppKey::split(&command.app).unwrap_or((&command.app, "default"));
            let new = json!({ "name": name, "space": space, "org": command.org });
            Ok(api.post("/apps", &new).await.map(drop)?)
        }
        Err(ApiClientError::Refused { status: 404, message }) => {
            Err(Failure::Usage(anyhow!("{message} --create makes it.")))
        }
        Err(error) => Err(error.into()),
    }
}

fn token(command: &WatchCommand, config: &Config) -> Result<String, Failure> {
    if let Some(token) = &command.token {
        return Ok(token.clone());
    }
    if let Some(token) = config::client_token()? {
        return Ok(token.reveal().to_owned());
    }
    let path = config.admin_token_path();
    let token = std::fs::read_to_string(&path).with_context(|| {
        format!("no token: {} cannot be read; give one with --token or AKKERISD_TOKEN", path.display())
    });
    Ok(token.map_err(Failure::Usage)?.trim().to_owned())
}

impl From<ApiClientError> for Failure {
    fn from(error: ApiClientError) -> Self {
        match error {
            ApiClientError::Refused { .. } => Self::Usage(error.into()),
            ApiClientError::Unreachable { .. } | ApiClientError::Stranger { .. } => Self::Io(error.into()),
        }
    }
}
