//! KMS: the customer's key that seals, and our key that signs records.

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use provisioning::authority::Permit;
use provisioning::ports::{PortError, RecordSigner, Sealer};
use provisioning::properties::KmsKeyArn;
use provisioning::sealing::EncryptionContext;

use crate::failure::failure;
use crate::session::AwsWorld;

impl Sealer for AwsWorld {
    async fn seal(
        &self,
        key: &KmsKeyArn,
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
        let key = self.signer();
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
