//! Our account at an ACME server: made once, kept with its key.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountBuilder, AccountCredentials, ExternalAccountKey, NewAccount};
use tokio::sync::OnceCell;

use super::{AcmeError, AcmeIssuer};
use crate::config::{AcmeConfig, EabConfig};
use crate::model::ids::CertificateId;
use crate::model::principal::Principal;
use crate::store::{self, StoreError, Tx};

/// The account in use, and what a new one is made with.
pub(super) struct Accounts {
    /// Filled by the first who needs it, while the others wait; replaced when the server has lost it.
    current: Mutex<Arc<OnceCell<Account>>>,
    contact: Option<String>,
    external: Option<ExternalAccountKey>,
}

impl Accounts {
    pub(super) fn new(config: &AcmeConfig) -> Result<Self, AcmeError> {
        Ok(Self {
            current: Mutex::default(),
            contact: config.email.as_ref().map(|email| format!("mailto:{email}")),
            external: config.eab.as_ref().map(external_key).transpose()?,
        })
    }
}

impl AcmeIssuer {
    /// Our account: the one in use, else the stored one, else a new one.
    pub(super) async fn account(&self) -> Result<Account, AcmeError> {
        let cell = Arc::clone(&self.accounts.current.lock().unwrap_or_else(PoisonError::into_inner));
        cell.get_or_try_init(|| self.open_account()).await.cloned()
    }

    /// Has the next order make a new account: the server does not know the present one.
    pub(super) async fn forget_account(&self) -> Result<(), StoreError> {
        let directory = self.directory.clone();
        let forget = move |tx: &mut Tx<'_>| store::acme::forget_credentials(tx, &directory);
        self.parts.store.write(&Principal::daemon(), forget).await?;
        *self.accounts.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        Ok(())
    }

    pub(super) async fn forget_order(&self, id: CertificateId) -> Result<(), StoreError> {
        self.parts.store.write(&Principal::daemon(), move |tx| store::acme::forget_order(tx, id)).await
    }

    async fn open_account(&self) -> Result<Account, AcmeError> {
        let (sealer, directory) = (self.parts.sealer.clone(), self.directory.clone());
        let stored = self.parts.store.read(move |c| store::acme::credentials(c, &sealer, &directory)).await?;
        if let Some(stored) = stored {
            let credentials: AccountCredentials =
                serde_json::from_str(&stored).map_err(AcmeError::Credentials)?;
            return Ok(self.builder().await?.from_credentials(credentials).await?);
        }
        let contact: Vec<&str> = self.accounts.contact.iter().map(String::as_str).collect();
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = self.accounts.external.as_ref();
        let (account, credentials) =
            self.builder().await?.create(&new, self.directory.clone(), external).await?;
        let credentials = serde_json::to_string(&credentials).map_err(AcmeError::Credentials)?;
        let (sealer, directory) = (self.parts.sealer.clone(), self.directory.clone());
        let keep = move |tx: &mut Tx<'_>| store::acme::put_credentials(tx, &sealer, &directory, &credentials);
        self.parts.store.write(&Principal::daemon(), keep).await?;
        tracing::info!(server = self.server(), "made an account at the ACME server");
        Ok(account)
    }

    /// A client that trusts the configured root, else those of the machine. Reads files, so not on the runtime.
    async fn builder(&self) -> Result<AccountBuilder, AcmeError> {
        let ca = self.ca.clone();
        let built = tokio::task::spawn_blocking(move || build(ca.as_deref())).await;
        Ok(built.map_err(|error| instant_acme::Error::Other(Box::new(error)))??)
    }
}

fn build(ca: Option<&Path>) -> Result<AccountBuilder, instant_acme::Error> {
    match ca {
        Some(ca) => Account::builder_with_root(ca),
        None => Account::builder(),
    }
}

fn external_key(eab: &EabConfig) -> Result<ExternalAccountKey, AcmeError> {
    let failed = |source| AcmeError::ExternalKey { path: eab.key_file.clone(), source };
    let text = std::fs::read_to_string(&eab.key_file).map_err(failed)?;
    let key = URL_SAFE_NO_PAD
        .decode(text.trim().trim_end_matches('='))
        .map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))?;
    Ok(ExternalAccountKey::new(eab.kid.clone(), &key))
}
