//! Making one secret's value: random, proven, and ready for its store.
//!
//! A P2P key is made in this process, or by KMS: a pair from there cannot be proven here, since its
//! private half is sealed when it comes; its public half is checked instead.

use key_material::{ApiKey, ApiKeyKind, Curve, P2pPrivateKey, P2pPublicKey, SharePassword};

use crate::names::{ClusterName, Purpose, Slot};
use crate::ports::{MadeP2pKey, MakeError, P2pKeyMaker, PairSealer, Sealer};
use crate::properties::{ClusterSpec, SealingKeyArn};
use crate::sealing::{EncryptionContext, KeyOrigin, Protection, SealedSecret, StoredValue};
use crate::version_label::Form;

/// A value ready for its store, with its public half where it has one.
#[derive(Debug)]
pub(crate) struct MadeValue {
    pub(crate) public: Option<String>,
    pub(crate) value: StoredValue,
}

/// What a value is made for, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe<'a> {
    /// The cluster.
    pub(crate) cluster: &'a ClusterName,
    /// The customer's key.
    pub(crate) key: &'a SealingKeyArn,
    /// The curve of a P2P key.
    pub(crate) curve: Curve,
    /// How what the node reads is protected in its store, and what makes a P2P key.
    pub(crate) form: Form,
}

impl<'a> From<&'a ClusterSpec> for Recipe<'a> {
    fn from(spec: &'a ClusterSpec) -> Self {
        let form = Form { protection: spec.protection, origin: spec.key_origin };
        Self { cluster: &spec.cluster, key: &spec.kms_key, curve: spec.curve, form }
    }
}

/// Makes P2P keys in this process, from the operating system's generator.
#[derive(Debug)]
pub(crate) struct InProcessMaker<'a, S> {
    /// What seals the private half.
    pub(crate) sealer: &'a S,
    /// The cluster the keys are for.
    pub(crate) cluster: &'a ClusterName,
    /// The customer's key.
    pub(crate) key: &'a SealingKeyArn,
    /// How the private half is protected in its store.
    pub(crate) protection: Protection,
}

impl<S: Sealer> P2pKeyMaker for InProcessMaker<'_, S> {
    async fn make_p2p_key(&self, curve: Curve, slot: &Slot) -> Result<MadeP2pKey, MakeError> {
        let key = P2pPrivateKey::make(curve)?;
        let value = match self.protection {
            Protection::Service => StoredValue::plain_p2p_key(&key),
            Protection::Envelope => {
                // EXPOSE: to the key that seals it; only the ciphertext goes on.
                self.seal(slot, key.expose_pkcs8_der().as_slice()).await?
            }
        };
        Ok(MadeP2pKey { public: key.public_key(), value })
    }
}

/// Has KMS make P2P keys: the private half comes sealed, and nobody here could open it.
#[derive(Debug)]
pub(crate) struct KmsMaker<'a, S> {
    /// What makes and seals.
    pub(crate) pairs: &'a S,
    /// The cluster the keys are for.
    pub(crate) cluster: &'a ClusterName,
    /// The customer's key.
    pub(crate) key: &'a SealingKeyArn,
}

impl<S: PairSealer> P2pKeyMaker for KmsMaker<'_, S> {
    async fn make_p2p_key(&self, curve: Curve, slot: &Slot) -> Result<MadeP2pKey, MakeError> {
        let context = EncryptionContext::of(self.cluster, slot);
        let pair = self.pairs.make_sealed_pair(self.key, &context, curve).await?;
        let public = P2pPublicKey::from_spki_der(&pair.spki)?;
        if public.curve() != curve {
            return Err(MakeError::OtherCurve(curve));
        }
        let sealed = SealedSecret::new(&slot.purpose, &pair.sealed, self.key.as_str(), context);
        Ok(MadeP2pKey { public, value: sealed.to_stored_value()? })
    }
}

impl<S: Sealer> InProcessMaker<'_, S> {
    async fn seal(&self, slot: &Slot, plaintext: &[u8]) -> Result<StoredValue, MakeError> {
        let context = EncryptionContext::of(self.cluster, slot);
        let ciphertext = self.sealer.seal(self.key, &context, plaintext).await?;
        let sealed = SealedSecret::new(&slot.purpose, &ciphertext, self.key.as_str(), context);
        Ok(sealed.to_stored_value()?)
    }

    async fn make_share_password(&self, slot: &Slot) -> Result<StoredValue, MakeError> {
        let password = SharePassword::make()?;
        match self.protection {
            Protection::Service => Ok(StoredValue::plain_share_password(&password)),
            // EXPOSE: to the key that seals it; only the ciphertext goes on.
            Protection::Envelope => self.seal(slot, password.expose().as_bytes()).await,
        }
    }
}

/// Makes the value of `slot`.
pub(crate) async fn make_value(
    sealer: &(impl Sealer + PairSealer),
    recipe: Recipe<'_>,
    slot: &Slot,
) -> Result<MadeValue, MakeError> {
    let Recipe { cluster, key, curve, form } = recipe;
    let maker = InProcessMaker { sealer, cluster, key, protection: form.protection };
    let api_key = |kind| {
        let key = ApiKey::make(kind)?;
        Ok(MadeValue { public: Some(key.hash().to_string()), value: StoredValue::bare_api_key(&key) })
    };
    match &slot.purpose {
        Purpose::P2pKey => {
            let made = match form.origin {
                KeyOrigin::Function => maker.make_p2p_key(curve, slot).await?,
                KeyOrigin::Kms => KmsMaker { pairs: sealer, cluster, key }.make_p2p_key(curve, slot).await?,
            };
            Ok(MadeValue { public: Some(made.public.to_spki_base64()), value: made.value })
        }
        Purpose::SharePassword => {
            Ok(MadeValue { public: None, value: maker.make_share_password(slot).await? })
        }
        Purpose::ApiKey(_) => api_key(ApiKeyKind::Application),
        Purpose::ManagementKey => api_key(ApiKeyKind::Management),
    }
}
