//! `akkerisd token create|list|revoke`: straight on the database, also while the daemon runs.

use std::io::Write;

use super::database;
use super::failure::Failure;
use crate::config::Config;
use crate::ids::Ids;
use crate::model::names::UserName;
use crate::model::token::{Scope, Token, TokenKind, TokenName};
use crate::service::tokens::{self, NewToken};
use crate::store::Store;

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
        /// The user it acts as, who gets an account when there is none [default: its name]
        #[arg(long)]
        user: Option<String>,
        /// Let it read only
        #[arg(long)]
        read_only: bool,
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
    database::with_store(config, async |store| perform(command, store, output).await)
}

async fn perform(command: TokenCommand, store: &Store, output: &mut dyn Write) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { name, kind, user, read_only } => {
            let user = UserName::parse(user.as_ref().unwrap_or(&name))?;
            let scope = if read_only { Scope::Read } else { Scope::Global };
            let (name, kind) = (TokenName::parse(&name)?, kind.parse::<TokenKind>()?);
            let new = NewToken { name, kind, user, scope };
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
