//! Certificates: the local authority, and the leaves it signs for the apps domain and the sites.
//!
//! Invariant: the authority's private key leaves its file (0600) for this process' memory only, and nothing is
//! signed for a name outside the apps domain that is no site's.

mod authority;
mod leaf;

pub use authority::{CertError, LocalAuthority};
pub use leaf::CertificateStore;
