//! KMS: the customer's key that seals and makes pairs, and our key that signs records.
//!
//! A pair is only ever asked for without its private half in plain.

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeyPairSpec, MessageType, SigningAlgorithmSpec};
use key_material::Curve;
use provisioning::authority::Permit;
use provisioning::ports::{PairSealer, PortError, RecordSigner, SealedPair, Sealer};
use provisioning::properties::SealingKeyArn;
use provisioning::sealing::EncryptionContext;

use crate::failure::failure;
use crate::session::AwsWorld;

impl Sealer for AwsWorld {
    async fn seal(
        &self,
        key: &SealingKeyArn,
        context: &EncryptionContext,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, PortError> {
        let mut call = self.kms().encrypt().key_id(key.as_str()).plaintext(Blob::new(plaintext));
        for (name, value) in context.pairs() {
            call = call.encryption_context(name, value);
        }
        let sealed = call.send().await.map_err(|error| failure("Encrypt under", key.as_str(), &error))?;
        sealed.ciphertext_blob.map(Blob::into_inner).ok_or_else(|| empty("Encrypt under", key.as_str()))
    }
}

impl PairSealer for AwsWorld {
    async fn make_sealed_pair(
        &self,
        key: &SealingKeyArn,
        context: &EncryptionContext,
        curve: Curve,
    ) -> Result<SealedPair, PortError> {
        const CALL: &str = "GenerateDataKeyPairWithoutPlaintext under";
        let spec = match curve {
            Curve::P256 => DataKeyPairSpec::EccNistP256,
            Curve::P384 => DataKeyPairSpec::EccNistP384,
            Curve::Secp256k1 => DataKeyPairSpec::EccSecgP256K1,
        };
        let mut call =
            self.kms().generate_data_key_pair_without_plaintext().key_id(key.as_str()).key_pair_spec(spec);
        for (name, value) in context.pairs() {
            call = call.encryption_context(name, value);
        }
        let made = call.send().await.map_err(|error| failure(CALL, key.as_str(), &error))?;
        let (spki, sealed) = (made.public_key, made.private_key_ciphertext_blob);
        match (spki.map(Blob::into_inner), sealed.map(Blob::into_inner)) {
            (Some(spki), Some(sealed)) if !sealed.is_empty() => Ok(SealedPair { spki, sealed }),
            _ => Err(empty(CALL, key.as_str())),
        }
    }
}

impl RecordSigner for AwsWorld {
    fn signer(&self) -> &str {
        self.signing_key().as_str()
    }

    async fn sign_digest(&self, _: &Permit, digest: [u8; 32]) -> Result<Vec<u8>, PortError> {
        let key = self.signer();
        let signed = self
            .kms()
            .sign()
            .key_id(key)
            .message(Blob::new(digest))
            .message_type(MessageType::Digest)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .send()
            .await
            .map_err(|error| failure("Sign with", key, &error))?;
        signed.signature.map(Blob::into_inner).ok_or_else(|| empty("Sign with", key))
    }

    async fn verifying_key(&self) -> Result<Vec<u8>, PortError> {
        self.public_half(self.signer()).await
    }

    fn former_signers(&self) -> Vec<String> {
        self.former_signing_keys().iter().map(|key| key.as_str().to_owned()).collect()
    }

    async fn former_verifying_key(&self, signer: &str) -> Result<Vec<u8>, PortError> {
        self.public_half(signer).await
    }
}

impl AwsWorld {
    async fn public_half(&self, key: &str) -> Result<Vec<u8>, PortError> {
        let answer = self
            .kms()
            .get_public_key()
            .key_id(key)
            .send()
            .await
            .map_err(|error| failure("GetPublicKey of", key, &error))?;
        answer.public_key.map(Blob::into_inner).ok_or_else(|| empty("GetPublicKey of", key))
    }
}

fn empty(call: &str, key: &str) -> PortError {
    PortError::Unavailable { what: format!("{call} {key}"), code: "empty answer".into() }
}
