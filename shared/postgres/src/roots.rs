//! The authorities that a database's certificate may come from.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// TLS under the authorities of a file, and under no other.
#[derive(Clone)]
pub struct Roots(ClientConfig);

/// A file is no list of authorities.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be a list of certificates of authorities, in PEM")]
pub struct NoRoots;

impl Roots {
    /// Reads certificates in PEM, at least one. What is there has to be sound to the last one: a file
    /// that was cut would otherwise pass until the missing authority is needed.
    ///
    /// # Errors
    ///
    /// [`NoRoots`].
    pub fn parse(pem: &[u8]) -> Result<Self, NoRoots> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|_| NoRoots)?).map_err(|_| NoRoots)?;
        }
        if roots.is_empty() {
            return Err(NoRoots);
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|_| NoRoots)?;
        Ok(Self(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    pub(crate) fn config(&self) -> ClientConfig {
        self.0.clone()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_list_of_authorities_is_refused() {
        for bad in [
            "",
            "no certificate",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n",
        ] {
            assert!(Roots::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
