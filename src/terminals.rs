//! Terminals: who attaches to a one-off dyno, and the bytes between the two.
//!
//! Invariants: a dyno has one terminal in its life; it is started when the terminal is there, so that nothing of its
//! output is lost, and stopped when the terminal goes away.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;
use tokio_util::sync::CancellationToken;

use crate::engine::{
    ContainerEngine, ContainerId, ContainerState, EngineError, ObservedContainer, TerminalSize,
};
use crate::model::ids::AppId;
use crate::model::log::OutputStream;
use crate::model::names::DynoName;
use crate::model::oneoff::{ATTACH_WITHIN, OneOff};
use crate::model::principal::Principal;
use crate::service::{self, oneoffs};
use crate::store::{self, Store};

/// Between two looks for a container that is being made.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Between two looks for the end of a dyno whose output has ended.
const END_AGAIN: Duration = Duration::from_millis(50);
/// How long its end may take to be noted.
const END_LIMIT: Duration = Duration::from_secs(30);

/// Gives terminals out. Clones share them.
#[derive(Debug, Clone)]
pub struct Terminals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Store,
    engine: Arc<dyn ContainerEngine>,
    stop: CancellationToken,
    held: Mutex<HashSet<DynoName>>,
}

/// Why there is no terminal.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    #[error(transparent)]
    Service(#[from] service::Error),
    #[error("the engine did not give the terminal out")]
    Engine(#[from] EngineError),
    #[error("the dyno was not made in time, or ended before it could be started")]
    NotMade,
}

/// A one-off dyno that runs at somebody's terminal.
pub struct Session {
    pub output: Output,
    pub input: Input,
    pub control: Control,
}

/// What the dyno writes; it ends with the dyno.
pub type Output = BoxStream<'static, (OutputStream, Bytes)>;
/// Where the bytes for the dyno go.
pub type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// A session without its bytes.
#[derive(Debug)]
pub struct Control {
    terminals: Terminals,
    container: ContainerId,
    oneoff: OneOff,
    author: Principal,
    _hold: Hold,
}

impl Terminals {
    /// Terminals of dynos in this engine, until `stop` is cancelled.
    pub fn new(store: Store, engine: Arc<dyn ContainerEngine>, stop: CancellationToken) -> Self {
        Self(Arc::new(Shared { store, engine, stop, held: Mutex::default() }))
    }

    /// Takes the one place at the terminal of a dyno, waits until the dyno is made, and has it started.
    pub async fn open(&self, author: &Principal, oneoff: OneOff) -> Result<Session, TerminalError> {
        let hold = self.hold(&oneoff)?;
        let made = tokio::time::timeout(ATTACH_WITHIN, self.made(oneoff.app_id, &oneoff.name)).await;
        let container = made.map_err(|_| TerminalError::NotMade)??;
        let attachment = self.0.engine.attach(&container).await?;
        oneoffs::attach(&self.0.store, author, &oneoff).await?;
        let (terminals, author) = (self.clone(), author.clone());
        let control = Control { terminals, container, oneoff, author, _hold: hold };
        let output =
            attachment.output.map(Result::ok).take_while(|piece| std::future::ready(piece.is_some()));
        let output = output.filter_map(std::future::ready).boxed();
        Ok(Session { output, input: attachment.input, control })
    }

    fn hold(&self, oneoff: &OneOff) -> Result<Hold, service::Error> {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if oneoff.attached_at.is_some() || !held.insert(oneoff.name.clone()) {
            return Err(service::Error::Conflict(format!(
                "Somebody is attached to {}.{} already, or was; start another one-off dyno.",
                oneoff.process_type, oneoff.name
            )));
        }
        Ok(Hold { terminals: self.clone(), name: oneoff.name.clone() })
    }

    /// The container of a dyno, once it is made.
    async fn made(&self, app: AppId, name: &DynoName) -> Result<ContainerId, EngineError> {
        loop {
            let containers = self.0.engine.list(Some(app)).await?;
            let made = |c: &ObservedContainer| c.dyno == *name && c.state == ContainerState::Created;
            if let Some(container) = containers.into_iter().find(made) {
                return Ok(container.id);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl Control {
    /// Returns when the daemon stops.
    pub async fn stopping(&self) {
        self.terminals.0.stop.cancelled().await;
    }

    /// Gives the terminal another size; a dyno without one stays as it is.
    pub async fn resize(&self, columns: u16, rows: u16) {
        let size = TerminalSize { columns, rows };
        if let Err(error) = self.terminals.0.engine.resize(&self.container, size).await {
            tracing::debug!(dyno = %self.oneoff.name, %error, "a terminal kept its size");
        }
    }

    /// Ends the session. A dyno that still runs is stopped when its terminal went away; one whose output has ended is
    /// waited for. Returns it as it ended, `None` when nobody knows yet.
    pub async fn close(self, output_ended: bool) -> Result<Option<OneOff>, service::Error> {
        let store = &self.terminals.0.store;
        if !output_ended {
            oneoffs::detach(store, &self.author, &self.oneoff).await?;
            return Ok(None);
        }
        let ended = async {
            loop {
                let (app, name) = (self.oneoff.app_id, self.oneoff.name.clone());
                let found = store.read(move |c| store::oneoffs::find_end(c, app, &name)).await?;
                if let Some(ended) = found {
                    return Ok(OneOff { ended: Some(ended), ..self.oneoff.clone() });
                }
                tokio::time::sleep(END_AGAIN).await;
            }
        };
        match tokio::time::timeout(END_LIMIT, ended).await {
            Ok(ended) => ended.map(Some),
            // It closed its output and goes on, where nobody can see it.
            Err(_) => oneoffs::detach(store, &self.author, &self.oneoff).await.map(|()| None),
        }
    }
}

/// The place at a dyno's terminal; free again when it is dropped.
#[derive(Debug)]
struct Hold {
    terminals: Terminals,
    name: DynoName,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.terminals.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(&self.name);
    }
}
