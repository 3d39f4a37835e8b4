//! Programs inside of an instance: whether it is ready, what sets it up, and how their failures are told.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::spec::Blueprint;
use crate::engine::instance::{Exec, ExecInput, ExecOutput, Exited, InstanceEngine};
use crate::engine::{ContainerId, ContainerState, EngineError};
use crate::model::addon_engine::{Template, fill_all};

/// Longest that a program which asks about the health may take.
const HEALTH_LIMIT: Duration = Duration::from_secs(20);
/// Longest that a program which sets something up may take.
const SETUP_LIMIT: Duration = Duration::from_mins(2);
/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Characters of a program's complaint that are passed on.
const COMPLAINT_LIMIT: usize = 500;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub(in crate::addons) enum ProgramError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It ended with another code than 0; the text is for people.
    #[error("{0}")]
    Failed(String),
}

/// A running container with its blueprint.
#[derive(Debug, Clone, Copy)]
pub(in crate::addons) struct Inside<'a> {
    pub(in crate::addons) engine: &'a dyn InstanceEngine,
    pub(in crate::addons) id: &'a ContainerId,
    pub(in crate::addons) blueprint: &'a Blueprint,
}

impl Inside<'_> {
    /// Runs a program that must end with 0.
    pub(in crate::addons) async fn run(
        self,
        argv: &[Template],
        (input, output): (Option<ExecInput>, Option<ExecOutput>),
        limit: Duration,
    ) -> Result<Exited, ProgramError> {
        let argv = fill_all(argv, &self.blueprint.values);
        let program = argv.first().cloned().unwrap_or_default();
        let exec = Exec { argv, env: self.blueprint.exec_env(), input, output, limit };
        let exited = self.engine.exec(self.id, exec).await?;
        if exited.code == 0 {
            return Ok(exited);
        }
        let said = if exited.errors.is_empty() { &exited.output } else { &exited.errors };
        let said: String = self.blueprint.redacted(said).chars().take(COMPLAINT_LIMIT).collect();
        Err(ProgramError::Failed(format!("{program} ended with {}: {said}", exited.code)))
    }

    /// Whether it is ready; a failure says in which way it is not.
    pub(in crate::addons) async fn is_healthy(self, state: &ContainerState) -> Result<(), ProgramError> {
        let Some(health) = &self.blueprint.engine.health else { return self.accepts(state).await };
        self.run(health, (None, None), HEALTH_LIMIT).await.map(drop)
    }

    async fn accepts(self, state: &ContainerState) -> Result<(), ProgramError> {
        let ContainerState::Running { address: Some(address), .. } = state else {
            return Err(ProgramError::Failed("it has no address".to_owned()));
        };
        let place = SocketAddr::new(*address, self.blueprint.engine.port);
        match tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(place)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(ProgramError::Failed(format!("port {}: {error}", place.port()))),
            Err(_) => Err(ProgramError::Failed(format!("port {} does not answer", place.port()))),
        }
    }

    /// Makes users, databases and the like. It may have been done before.
    pub(in crate::addons) async fn set_up(self) -> Result<(), ProgramError> {
        for step in &self.blueprint.engine.setup {
            let input = step.input.as_ref().map(|input| {
                let bytes = input.fill(&self.blueprint.values).into_bytes();
                Box::pin(std::io::Cursor::new(bytes)) as ExecInput
            });
            self.run(&step.argv, (input, None), SETUP_LIMIT).await?;
        }
        Ok(())
    }
}
