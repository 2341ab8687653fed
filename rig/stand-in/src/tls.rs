//! TLS 1.3 between nodes, on nothing but their P2P keys.
//!
//! The keys stand for themselves as raw public keys (RFC 7250), on both sides: there are no
//! certificates, names or authorities that could vouch for another key.

use std::slice;
use std::sync::Arc;

use key_material::{P2pPrivateKey, P2pPublicKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};

/// A key as TLS signs with it.
pub(crate) fn certified(key: &P2pPrivateKey) -> Result<Arc<CertifiedKey>, Error> {
    // EXPOSE: to the TLS library, which signs with it.
    let pkcs8 = key.expose_pkcs8_der();
    let signing =
        ring::sign::any_ecdsa_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_slice())))?;
    let spki = CertificateDer::from(key.public_key().to_spki_der());
    Ok(Arc::new(CertifiedKey::new(vec![spki], signing)))
}

/// How a node takes connections: from the holders of these keys, and nobody else.
pub(crate) fn server(own: &Arc<CertifiedKey>, expected: &[P2pPublicKey]) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Expected::new(expected, &provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(own))));
    // Each connection shows its key anew, so that one that is no longer expected gets in nowhere.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// How a node dials: the holder of this key, and nobody else.
pub(crate) fn client(own: &Arc<CertifiedKey>, expected: &P2pPublicKey) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Expected::new(slice::from_ref(expected), &provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(own))));
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Lets the holders of some keys pass, on either side.
///
/// rustls asks twice: whether a key is one of them, and whether the other side signed with it.
#[derive(Debug)]
struct Expected {
    /// The keys' `SubjectPublicKeyInfo`, which each key has one of.
    keys: Vec<Vec<u8>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Expected {
    fn new(keys: &[P2pPublicKey], provider: &CryptoProvider) -> Self {
        let keys = keys.iter().map(P2pPublicKey::to_spki_der).collect();
        Self { keys, algorithms: provider.signature_verification_algorithms }
    }

    fn contains(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        if self.keys.iter().any(|key| key == shown.as_ref()) {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn signed(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(shown.as_ref());
        verify_tls13_signature_with_raw_key(message, &spki, signature, &self.algorithms)
    }
}

fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("nodes speak TLS 1.3 only".to_owned()))
}

impl ServerCertVerifier for Expected {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.contains(shown).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Expected {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.contains(shown).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use key_material::Curve;
    use tokio::io::AsyncReadExt as _;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    fn key(curve: Curve) -> P2pPrivateKey {
        P2pPrivateKey::make(curve).unwrap()
    }

    /// What each side of a handshake comes to; the client's is known once it has read.
    async fn handshake(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> [Result<(), String>; 2] {
        let (near, far) = tokio::io::duplex(1 << 16);
        let serving = async {
            TlsAcceptor::from(server).accept(near).await.map(drop).map_err(|fault| fault.to_string())
        };
        let dialing = async {
            let name = ServerName::try_from("node").unwrap();
            let connected = TlsConnector::from(client).connect(name, far).await;
            let mut stream = connected.map_err(|fault| fault.to_string())?;
            match stream.read(&mut [0]).await {
                Err(fault) if fault.to_string().contains("alert") => Err(fault.to_string()),
                // Let in, and the server hung up: it has nothing to say here.
                _ => Ok(()),
            }
        };
        tokio::join!(serving, dialing).into()
    }

    #[tokio::test]
    async fn both_sides_know_each_other_by_their_keys_on_either_curve() {
        for (one, other) in
            [(Curve::P256, Curve::P256), (Curve::P384, Curve::P384), (Curve::P256, Curve::P384)]
        {
            let (near, far) = (key(one), key(other));
            let server = server(&certified(&near).unwrap(), &[far.public_key()]).unwrap();
            let client = client(&certified(&far).unwrap(), &near.public_key()).unwrap();
            assert_eq!(handshake(server, client).await, [Ok(()), Ok(())], "{one} and {other}");
        }
    }

    #[tokio::test]
    async fn who_shows_a_key_and_does_not_hold_it_is_refused_on_either_side() {
        let (near, far, stranger) = (key(Curve::P256), key(Curve::P256), key(Curve::P256));
        let posing_as = |shown: &P2pPrivateKey| {
            let spki = CertificateDer::from(shown.public_key().to_spki_der());
            Arc::new(CertifiedKey::new(vec![spki], Arc::clone(&certified(&stranger).unwrap().key)))
        };

        let honest = server(&certified(&near).unwrap(), &[far.public_key()]).unwrap();
        let posing = client(&posing_as(&far), &near.public_key()).unwrap();
        let [serving, _] = handshake(honest, posing).await;
        assert!(serving.as_ref().is_err_and(|fault| fault.contains("BadSignature")), "{serving:?}");

        let posing = server(&posing_as(&near), &[far.public_key()]).unwrap();
        let honest = client(&certified(&far).unwrap(), &near.public_key()).unwrap();
        let [_, dialing] = handshake(posing, honest).await;
        assert!(dialing.as_ref().is_err_and(|fault| fault.contains("BadSignature")), "{dialing:?}");
    }
}
