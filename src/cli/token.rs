//! `akkerisd token create|list|revoke`: straight on the database, also while the daemon runs.

use std::io::Write;
use std::time::Duration;

use anyhow::anyhow;

use super::failure::Failure;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::Ids;
use crate::model::names::UserName;
use crate::model::token::{Token, TokenKind, TokenName};
use crate::service::tokens::{self, NewToken};
use crate::store::Store;

/// The store's writer has nothing left to do when a command ends.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and print its secret, once and nothing else
    Create {
        /// What to call it: up to 64 visible characters
        #[arg(long)]
        name: String,
        /// personal, service or admin
        #[arg(long, default_value = "personal")]
        kind: String,
        /// The user it acts as [default: its name]
        #[arg(long)]
        user: Option<String>,
    },
    /// List all tokens, without their secrets
    List,
    /// Make a token useless from now on
    Revoke {
        /// The token's name
        name: String,
    },
}

pub(super) fn run(command: TokenCommand, config: &Config, output: &mut dyn Write) -> Result<(), Failure> {
    let path = config.database_path();
    if !path.exists() {
        return Err(Failure::Io(anyhow!(
            "there is no database {}: start the daemon once, or name its data dir with --data-dir",
            path.display()
        )));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(&path, Clock::system())?;
        let result = perform(command, &store, output).await;
        store.close(CLOSE_LIMIT).await;
        result
    })
}

async fn perform(command: TokenCommand, store: &Store, output: &mut dyn Write) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { name, kind, user } => {
            let user = UserName::parse(user.as_ref().unwrap_or(&name))?;
            let new = NewToken { name: TokenName::parse(&name)?, kind: kind.parse::<TokenKind>()?, user };
            let (_, secret) = tokens::create(store, &Ids::random(), new).await?;
            writeln!(output, "{secret}")?;
        }
        TokenCommand::List => print(&tokens::list(store).await?, output)?,
        TokenCommand::Revoke { name } => {
            tokens::revoke(store, TokenName::parse(&name)?).await?;
        }
    }
    Ok(())
}

fn print(tokens: &[Token], output: &mut dyn Write) -> std::io::Result<()> {
    writeln!(output, "{:<24} {:<10} {:<24} {:<25} STATE", "NAME", "KIND", "USER", "CREATED")?;
    for token in tokens {
        let state = match token.revoked_at {
            Some(at) => format!("revoked {at}"),
            None => "usable".to_owned(),
        };
        let (name, kind, user) = (token.name.as_str(), token.kind.as_str(), token.user.as_str());
        writeln!(output, "{name:<24} {kind:<10} {user:<24} {:<25} {state}", token.created_at.to_string())?;
    }
    Ok(())
}
