//! `akkerisd user …`: accounts, straight on the database, also while the daemon runs.

use std::io::{BufRead, Write};

use super::database;
use super::failure::Failure;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::Ids;
use crate::model::account::{Account, Email, Role, check_password};
use crate::model::names::UserName;
use crate::password::Passwords;
use crate::service::accounts::{self, NewAccount};
use crate::store::{self, Store};

/// Characters of a password that is made up: 80 bits.
const MADE_UP: usize = 16;

#[derive(Debug, clap::Subcommand)]
pub(super) enum UserCommand {
    /// Make an account and print its password
    Create {
        /// Up to 64 letters, digits and . - _ @
        #[arg(long)]
        name: String,
        /// owner (administers everything) or member (acts in its organizations)
        #[arg(long, default_value = "member")]
        role: String,
        #[arg(long, default_value = "")]
        email: String,
        /// An organization to be a member of; may be repeated [default: the only one, when there is one only]
        #[arg(long = "organization")]
        organizations: Vec<String>,
        /// Read the password from standard input instead of making one up
        #[arg(long)]
        password_stdin: bool,
    },
    /// List all accounts
    List,
    /// Give an account another password and print it
    Password {
        /// The account's name
        name: String,
        /// Read the password from standard input instead of making one up
        #[arg(long)]
        password_stdin: bool,
    },
    /// Accept nothing from an account any more, its tokens included
    Suspend {
        /// The account's name
        name: String,
    },
    /// Accept a suspended account again
    Resume {
        /// The account's name
        name: String,
    },
    /// Ask an account for no one-time code any more: its authenticator is lost
    DropTwoFactor {
        /// The account's name
        name: String,
    },
}

pub(super) fn run(command: UserCommand, config: &Config, output: &mut dyn Write) -> Result<(), Failure> {
    database::with_store(config, async |store| perform(command, store, output).await)
}

async fn perform(command: UserCommand, store: &Store, output: &mut dyn Write) -> Result<(), Failure> {
    match command {
        UserCommand::Create { name, role, email, organizations, password_stdin } => {
            let (password, made_up) = password(password_stdin)?;
            let new = NewAccount {
                name: UserName::parse(&name)?,
                role: role.parse::<Role>()?,
                email: Email::parse(&email)?,
                organizations,
                password_hash: Some(hash(password.clone()).await?),
            };
            accounts::create(store, &Ids::random(), new).await?;
            tell(&password, made_up, output)?;
        }
        UserCommand::List => print(&store.read(store::accounts::list).await?, output)?,
        UserCommand::Password { name, password_stdin } => {
            let name = UserName::parse(&name)?;
            let (password, made_up) = password(password_stdin)?;
            accounts::set_password(store, name, hash(password.clone()).await?).await?;
            tell(&password, made_up, output)?;
        }
        UserCommand::Suspend { name } => {
            accounts::suspend(store, UserName::parse(&name)?, Some(Clock::system().now())).await?;
        }
        UserCommand::Resume { name } => accounts::suspend(store, UserName::parse(&name)?, None).await?,
        UserCommand::DropTwoFactor { name } => {
            accounts::drop_two_factor(store, UserName::parse(&name)?).await?;
        }
    }
    Ok(())
}

/// The password, and whether it was made up here.
fn password(from_stdin: bool) -> Result<(String, bool), Failure> {
    if !from_stdin {
        return Ok((Ids::random().suffix(MADE_UP), true));
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    check_password(&password)?;
    Ok((password, false))
}

async fn hash(password: String) -> Result<String, Failure> {
    Ok(Passwords::new().hash(password).await?)
}

fn tell(password: &str, made_up: bool, output: &mut dyn Write) -> std::io::Result<()> {
    if made_up { writeln!(output, "{password}") } else { Ok(()) }
}

fn print(accounts: &[Account], output: &mut dyn Write) -> std::io::Result<()> {
    writeln!(output, "{:<24} {:<8} {:<32} {:<25} STATE", "NAME", "ROLE", "E-MAIL", "LAST LOGIN")?;
    for account in accounts {
        let last = account.last_login_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let state = match (account.suspended_at, account.has_password, account.two_factor) {
            (Some(at), _, _) => format!("suspended {at}"),
            (None, false, _) => "tokens only".to_owned(),
            (None, true, false) => "password".to_owned(),
            (None, true, true) => "password and one-time code".to_owned(),
        };
        let (name, email) = (account.name.as_str(), account.email.as_str());
        writeln!(output, "{name:<24} {:<8} {email:<32} {last:<25} {state}", account.role.as_str())?;
    }
    Ok(())
}
