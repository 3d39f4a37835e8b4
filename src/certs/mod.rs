//! Certificates: the local authority and its leaves, what is ordered elsewhere, and which of them the edge shows.
//!
//! Invariants: a private key leaves its place (a file of mode 0600, or a sealed column) for this process' memory
//! only; without an order nothing is signed for a name outside the apps domain that is no site's; no handshake waits for an issuer,
//! the store or a file.

mod acme;
mod authority;
mod auto;
mod book;
mod dns;
pub mod expiry;
mod folder;
mod installed;
mod issuer;
mod leaf;
mod orders;

pub use acme::{AcmeError, AcmeIssuer, AcmeParts};
pub use authority::{CertError, LocalAuthority};
pub use auto::AutoOrders;
pub use book::{CertificateBook, EdgeCertificates, Expiry, FileCertificate, InstalledCertificate};
pub use dns::{DnsError, DnsRecords, ProofRecord};
pub use folder::{CertificateFolder, FileFault, FolderError, FolderReading};
pub use installed::Installation;
pub use issuer::{IssueError, Issuer, Issuers, Renewal, RenewalWindow};
pub use leaf::CertificateStore;
pub use orders::{Orders, OrdersParts};
