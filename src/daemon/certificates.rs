//! Certificates, from the store and the issuers to the edge.

use std::sync::Arc;

use super::DaemonError;
use super::control_plane::Surroundings;
use super::state::State;
use crate::certs::{
    AcmeIssuer, AcmeParts, AutoOrders, CertificateBook, CertificateFolder, CertificateStore,
    EdgeCertificates, Installation, Issuer, Issuers, LocalAuthority, Orders, OrdersParts, expiry,
};
use crate::config::Config;
use crate::edge::Challenges;
use crate::tasks::Tasks;

/// What the edge shows.
pub(super) struct Certificates {
    pub(super) shown: Arc<EdgeCertificates>,
    pub(super) challenges: Challenges,
    pub(super) book: CertificateBook,
}

impl Certificates {
    /// Opens the local authority, reads what is installed into the book, and goes on with the orders.
    pub(super) async fn start(
        config: &Config,
        (state, surroundings): (&State, &Surroundings),
        tasks: &Tasks,
    ) -> Result<Self, DaemonError> {
        let authority = Arc::new(LocalAuthority::open(&config.ca_dir(), state.clock.clone())?);
        let (challenges, book) = (surroundings.challenges.clone(), surroundings.book.clone());
        let (store, sealer) = (state.store.clone(), state.sealer.clone());
        let acme = AcmeParts {
            store: store.clone(),
            sealer: sealer.clone(),
            challenges: challenges.clone(),
            book: book.clone(),
            clock: state.clock.clone(),
        };
        let acme = config.certs.acme.as_ref().map(|config| AcmeIssuer::new(acme, config)).transpose()?;
        let issuers = Issuers {
            local: Arc::clone(&authority) as Arc<dyn Issuer>,
            acme: acme.map(|issuer| Arc::new(issuer) as Arc<dyn Issuer>),
        };
        let installation = Installation { store: store.clone(), sealer: sealer.clone(), book: book.clone() };
        installation.start(tasks).await?;
        CertificateFolder::start(config.certs_dir(), book.clone(), state.clock.clone(), tasks)?;
        expiry::warn_daily(book.clone(), state.clock.clone(), tasks);
        Orders::start(OrdersParts { store, sealer, clock: state.clock.clone(), issuers }, tasks);
        if config.certs.auto {
            let (store, ids, issuer) = (state.store.clone(), state.ids.clone(), config.certs.issuer);
            AutoOrders { store, ids, issuer }.start(tasks);
        }
        let local = CertificateStore::new(authority, &config.edge.apps_domain)?
            .with_sites(surroundings.routes.table());
        Ok(Self { shown: Arc::new(EdgeCertificates::new(book.clone(), local)), challenges, book })
    }
}
