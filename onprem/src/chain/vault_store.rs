//! A chain's keys and its document in Vault: [`ChainStore`] over the server.

use std::collections::BTreeMap;

use jiff::Timestamp;
use key_material::P2pPrivateKey;
use provisioning::audit::AuditEvent;
use provisioning::chain::ChainDocument;
use provisioning::names::{ClusterName, ParameterName};
use provisioning::ownership::{Generation, Owner};
use provisioning::signed::{CanonicalText, DocumentError, PinnedKeys};
use vault::kv::{Kv, TEXT};
use vault::transit::Transit;
use vault::{Place, RoleKeyName, RoleKeyState, RoleKeyStore, Session, VaultError};

use super::store::{ChainStore, Found, FoundKey, KeyId, Standing};
use super::{ChainError, Role};
use crate::audit::Audit;

/// A chain's keys and its document on a server.
#[derive(Clone, Copy, Debug)]
pub struct VaultChainStore<'a> {
    session: &'a Session,
    place: &'a Place,
    chain: &'a ClusterName,
    audit: &'a Audit,
}

impl<'a> VaultChainStore<'a> {
    /// Those of a chain.
    #[must_use]
    pub fn new(session: &'a Session, place: &'a Place, chain: &'a ClusterName, audit: &'a Audit) -> Self {
        Self { session, place, chain, audit }
    }

    fn keys(&self) -> RoleKeyStore<'a> {
        RoleKeyStore::new(self.session, self.place)
    }

    fn documents(&self) -> Kv<'a> {
        Kv::new(self.session.connection(), &self.place.mounts.documents)
    }

    fn transit(&self) -> Transit<'a> {
        Transit::new(self.session.connection(), &self.place.mounts.transit)
    }

    fn document_name(&self) -> ParameterName {
        self.chain.chain_parameter()
    }

    fn document_path(&self) -> String {
        self.document_name().as_str().trim_start_matches('/').to_owned()
    }

    fn name_of(&self, id: KeyId) -> RoleKeyName {
        RoleKeyName { chain: self.chain.clone(), role: id.role.as_segment(), number: id.number }
    }

    /// The document, checked, and how many times it was written.
    async fn document(&self) -> Result<(u64, Option<ChainDocument>), ChainError> {
        let path = self.document_path();
        let (newest, held) = self.documents().read_numbered(&path).await?;
        let refused = |error| ChainError::Document { subject: self.document_name().to_string(), error };
        let Some(mut held) = held else {
            // Which keys count is written in it alone.
            return if newest == 0 {
                Ok((0, None))
            } else {
                Err(refused(DocumentError::Malformed("it was there and is deleted: bring it back".into())))
            };
        };
        let text =
            held.take(TEXT).ok_or_else(|| refused(DocumentError::Malformed("it has no text".into())))?;
        let spki = self.transit().public_key(&self.place.mounts.record_key).await?;
        let keys = PinnedKeys::default().pin(self.place.signer(), &spki).map_err(refused)?;
        // Each version has the next serial number: what was put back is older than its place.
        let document = ChainDocument::verify(&text, &keys, self.chain, newest).map_err(refused)?;
        Ok((newest, Some(document)))
    }
}

impl ChainStore for VaultChainStore<'_> {
    async fn find(&self) -> Result<Found, ChainError> {
        let (newest, document) = self.document().await?;
        let listed = self.keys().list(self.chain).await?;
        let mut found = Found { newest, document, ..Found::default() };
        for key in listed.known {
            // Another program's role, or a later version's: nobody asks for it here.
            let Some(id) = id_of(&key.name) else { continue };
            found.keys.push(FoundKey {
                id,
                address: key.address,
                public: key.public.to_spki_base64(),
                owner: key.owner,
                generation: key.generation,
                standing: match key.state {
                    RoleKeyState::Held => Standing::Held,
                    RoleKeyState::Leaving { until, hidden } => Standing::Leaving { until, hidden },
                    RoleKeyState::Lost => Standing::Lost,
                },
            });
        }
        found.unknown =
            listed.unknown.iter().filter_map(|key| Some((id_of(&key.name)?, key.fault))).collect();
        Ok(found)
    }

    async fn create(
        &self,
        id: KeyId,
        key: &P2pPrivateKey,
        owner: &Owner,
        generation: &Generation,
    ) -> Result<(), ChainError> {
        self.keys().create(&self.name_of(id), key, owner, generation).await.map_err(meanwhile)
    }

    async fn take_over(&self, id: KeyId, owner: &Owner) -> Result<(), ChainError> {
        Ok(self.keys().tag(&self.name_of(id), &owner.owner_tags()).await?)
    }

    async fn restore(&self, id: KeyId) -> Result<(), ChainError> {
        Ok(self.keys().restore(&self.name_of(id)).await?)
    }

    async fn schedule(&self, id: KeyId, until: Timestamp) -> Result<(), ChainError> {
        Ok(self.keys().schedule(&self.name_of(id), until).await?)
    }

    async fn remove(&self, id: KeyId) -> Result<(), ChainError> {
        Ok(self.keys().remove(&self.name_of(id)).await?)
    }

    async fn write(&self, document: &ChainDocument, newest: u64) -> Result<(), ChainError> {
        let refused = |error| ChainError::Document { subject: self.document_name().to_string(), error };
        let text = CanonicalText::of(document).map_err(refused)?;
        let signer = self.place.signer();
        // The longest signature is 72 bytes; what would not fit is refused before it is signed.
        text.signed(&[0; 72], &signer).map_err(refused)?;
        let signature = self.transit().sign(&self.place.mounts.record_key, text.digest()).await?;
        let stored = text.signed(&signature, &signer).map_err(refused)?;
        let fields = BTreeMap::from([(TEXT, stored.as_str())]);
        let written = self.documents().put_fields(&self.document_path(), &fields, newest).await;
        written.map(drop).map_err(meanwhile)
    }

    fn key_arn(&self, id: KeyId) -> String {
        self.place.secret_arn(&self.name_of(id).to_string())
    }

    fn document_arn(&self) -> String {
        self.place.document_arn(self.document_name().as_str())
    }

    fn record(&self, event: &AuditEvent<'_>) {
        self.audit.write(event);
    }
}

fn id_of(name: &RoleKeyName) -> Option<KeyId> {
    let role: Role = name.role.as_str().parse().ok()?;
    Some(KeyId { role, number: name.number })
}

/// Who finds his place taken was overtaken.
fn meanwhile(error: VaultError) -> ChainError {
    match error {
        VaultError::Conflict { .. } => ChainError::Meanwhile,
        other => other.into(),
    }
}
