//! The repositories of apps, and what git does with them: fetch, clone and push.
//!
//! Invariants: git itself speaks with its clients (`git http-backend`), and only `process` starts it; the branch that
//! an app deploys moves only after its commit was built and released.

mod change;
mod deploy;
mod exchange;
pub mod hook;
mod message;
mod process;
mod reception;
mod repository;
mod teller;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::exchange::{Call, Exchange, Reply, RequestBody, RequestHead, Service};
use self::process::Program;
use self::repository::Repository;
use crate::builds::log::BuildLogs;
use crate::builds::source::SourceFolder;
use crate::ids::Ids;
use crate::logs::Rings;
use crate::model::app::App;
use crate::model::ids::AppId;
use crate::model::principal::Principal;
use crate::seal::Sealer;
use crate::store::Store;
use crate::tasks::Tasks;

/// Clients that git serves at once, over all apps.
const CLIENTS: usize = 16;
const PRIVATE_FOLDER: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// The repositories. Clones share them.
#[derive(Debug, Clone)]
pub struct Git(Arc<Shared>);

/// What the repositories work with.
#[derive(Debug)]
pub struct GitParts {
    pub store: Store,
    pub sealer: Sealer,
    pub ids: Ids,
    pub sources: SourceFolder,
    pub build_logs: BuildLogs,
    pub rings: Rings,
    pub tasks: Tasks,
    pub settings: GitSettings,
}

/// What the operator decided about git.
#[derive(Debug, Clone)]
pub struct GitSettings {
    /// Holds the repositories, each under the id of its app.
    pub folder: PathBuf,
    /// The program, looked for in the usual folders when it is a bare name.
    pub program: PathBuf,
    /// What git runs before it moves a branch: this very program ([`hook`]).
    pub hook: PathBuf,
    /// Bytes of one push.
    pub max_push: u64,
    /// Bytes of one repository.
    pub max_repository: u64,
    /// Bytes of the files of one commit.
    pub max_archive: u64,
    /// Longest exchange with a client, with the build that it leads to.
    pub limit: Duration,
}

/// Where the people of an app find it.
#[derive(Debug, Clone)]
pub struct Links {
    /// What they push to.
    pub remote: String,
    /// Where it answers.
    pub web: String,
}

/// Why git did not do it.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("git is not installed on this host; its operator installs the package git")]
    Missing,
    #[error("this host serves {CLIENTS} clients of git already; try again in a moment")]
    Busy,
    #[error("git did not answer in time")]
    Slow,
    #[error("what shall be run before a branch moves is not there: {0}")]
    NoHook(#[source] io::Error),
    /// With git's own words.
    #[error("git failed: {0}")]
    Failed(String),
    #[error("the repositories cannot be used")]
    Io(#[from] io::Error),
}

#[derive(Debug)]
struct Shared {
    parts: GitParts,
    program: Program,
    /// Pushes whose objects are on their way, by the key that their hook will show.
    pushes: Mutex<HashMap<String, Push>>,
    /// Apps that are deployed by a push just now, or whose repository is tidied.
    busy: Mutex<HashSet<AppId>>,
    clients: Arc<Semaphore>,
    closed: CancellationToken,
}

/// Who pushes, and where to.
#[derive(Debug, Clone)]
struct Push {
    app: App,
    author: Principal,
    links: Links,
}

impl Git {
    /// Repositories in the folder that the settings name. Nothing is touched before the first is asked for.
    pub fn new(parts: GitParts) -> Self {
        let program = Program::new(&parts.settings.program, &parts.settings.folder);
        Self(Arc::new(Shared {
            parts,
            program,
            pushes: Mutex::default(),
            busy: Mutex::default(),
            clients: Arc::new(Semaphore::new(CLIENTS)),
            closed: CancellationToken::new(),
        }))
    }

    /// Listens for pushes that have arrived, and keeps the repositories tidy, until the tasks are stopped. Must be
    /// called within a runtime. Blocks for some files.
    pub fn start(&self) -> io::Result<()> {
        let settings = &self.0.parts.settings;
        make_folder(&settings.folder)?;
        make_folder(&self.hooks())?;
        remove_half_made(&settings.folder)?;
        let hook = self.hook();
        remove_if_there(&hook)?;
        std::os::unix::fs::symlink(&settings.hook, hook)?;
        let socket = self.socket();
        remove_if_there(&socket)?;
        let listener = UnixListener::bind(&socket)?;
        std::fs::set_permissions(&socket, Permissions::from_mode(PRIVATE_FILE))?;
        let tasks = &self.0.parts.tasks;
        tasks.spawn("git-reception", reception::serve(self.clone(), listener));
        let git = self.clone();
        tasks.supervise("git-upkeep", move || upkeep::run(git.clone()));
        Ok(())
    }

    /// Ends the pushes that are under way, because the daemon stops. Builds that have begun go on with the next one.
    pub fn close(&self) {
        self.0.closed.cancel();
    }

    fn repository(&self, app: AppId) -> Repository {
        let path = self.0.parts.settings.folder.join(folder_of(app));
        Repository::new(self.0.program.clone(), path)
    }

    fn hooks(&self) -> PathBuf {
        self.0.parts.settings.folder.join("hooks")
    }

    fn hook(&self) -> PathBuf {
        self.hooks().join(hook::NAME)
    }

    fn socket(&self) -> PathBuf {
        self.0.parts.settings.folder.join("push.sock")
    }

    /// Has an app for oneself; `None` while somebody else has it.
    fn hold(&self, app: AppId) -> Option<Hold> {
        lock(&self.0.busy).insert(app).then(|| Hold { git: self.clone(), app })
    }
}

/// The version of git, as it says it itself; an error when it cannot serve clients.
pub async fn version(program: &Path) -> Result<String, GitError> {
    const LIMIT: Duration = Duration::from_secs(10);
    let git = Program::new(program, Path::new("/"));
    let said = async |argument: &str| {
        let said = git.invoke(&[]).arg(argument).ask(LIMIT).await?;
        Ok::<_, GitError>(String::from_utf8_lossy(&said).trim().to_owned())
    };
    let backend = Path::new(&said("--exec-path").await?).join("git-http-backend");
    if !tokio::fs::try_exists(&backend).await? {
        return Err(GitError::Failed(format!("it has no {}", backend.display())));
    }
    Ok(said("version").await?.trim_start_matches("git version ").to_owned())
}

/// An app that nobody else deploys by a push or tidies meanwhile.
#[derive(Debug)]
struct Hold {
    git: Git,
    app: AppId,
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.git.0.busy).remove(&self.app);
    }
}

fn folder_of(app: AppId) -> String {
    format!("{app}.git")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path)
}

/// Removes what a daemon that died was about to make.
fn remove_half_made(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(repository::HALF_MADE) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
