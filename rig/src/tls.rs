//! TLS on loopback, by certificates of an authority that a service of the rig made for itself.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Connects to a port of loopback whose certificate is from the authority in a file.
pub(crate) async fn connect(port: u16, authority: &Path) -> anyhow::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connecting")?;
    let name = ServerName::try_from("127.0.0.1")?;
    connector(authority)?.connect(name, stream).await.context("TLS")
}

/// What answers with the key and the certificates in a file.
pub(crate) fn acceptor(identity: &Path) -> anyhow::Result<TlsAcceptor> {
    let key = PrivateKeyDer::from_pem_file(identity)
        .with_context(|| format!("reading the key in {}", identity.display()))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates(identity)?, key)?;
    Ok(Arc::new(config).into())
}

/// The certificates in a file.
pub(crate) fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    read().with_context(|| format!("reading the certificates in {}", path.display()))
}

fn connector(authority: &Path) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        roots.add(certificate)?;
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

/// The one that everything here has, whichever a program has made its own default.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
