//! A chain's keys and document in memory, whose calls can be cut off at any moment.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use key_material::P2pPrivateKey;
use key_material::ethereum::EthereumAddress;
use keyboot_onprem::chain::ChainError;
use keyboot_onprem::chain::store::{ChainStore, Found, FoundKey, KeyId, Standing};
use provisioning::audit::AuditEvent;
use provisioning::chain::ChainDocument;
use provisioning::ownership::{Generation, Owner};
use vault::VaultError;

/// A key that is stored; its value is not kept, since nobody may read it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) address: EthereumAddress,
    pub(crate) owner: Owner,
    pub(crate) until: Option<Timestamp>,
    pub(crate) is_hidden: bool,
    public: String,
    generation: Generation,
}

#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) keys: RefCell<BTreeMap<KeyId, Stored>>,
    pub(crate) document: RefCell<Option<ChainDocument>>,
    pub(crate) events: RefCell<Vec<String>>,
    newest: Cell<u64>,
    /// Every path that was ever written.
    paths: RefCell<BTreeSet<KeyId>>,
    effects: Cell<usize>,
    /// How many effects there may still be.
    fuse: Cell<Option<usize>>,
}

impl Memory {
    /// How many things were changed so far.
    pub(crate) fn effects(&self) -> usize {
        self.effects.get()
    }

    /// Lets so many further changes happen, and cuts off the one after them.
    pub(crate) fn dies_after(&self, effects: Option<usize>) {
        self.fuse.set(effects);
    }

    fn effect(&self) -> Result<(), ChainError> {
        match self.fuse.get() {
            Some(0) => {
                Err(VaultError::Unavailable { what: "a call".into(), code: "the connection ended".into() }
                    .into())
            }
            left => {
                self.fuse.set(left.map(|left| left - 1));
                self.effects.set(self.effects.get() + 1);
                Ok(())
            }
        }
    }

    fn change(&self, id: KeyId, change: impl FnOnce(&mut Stored)) -> Result<(), ChainError> {
        let mut keys = self.keys.borrow_mut();
        let key = keys.get_mut(&id);
        change(key.ok_or_else(|| VaultError::NotFound { what: format!("{id:?}") })?);
        Ok(())
    }
}

impl ChainStore for Memory {
    async fn find(&self) -> Result<Found, ChainError> {
        let keys = self.keys.borrow();
        let keys = keys.iter().map(|(id, key)| FoundKey {
            id: *id,
            address: key.address,
            public: key.public.clone(),
            owner: Some(key.owner.clone()),
            generation: Some(key.generation.clone()),
            standing: match (key.is_hidden, key.until) {
                (false, None) => Standing::Held,
                (hidden, until) => Standing::Leaving { until, hidden },
            },
        });
        Ok(Found {
            newest: self.newest.get(),
            document: self.document.borrow().clone(),
            keys: keys.collect(),
            unknown: Vec::new(),
        })
    }

    async fn create(
        &self,
        id: KeyId,
        key: &P2pPrivateKey,
        owner: &Owner,
        generation: &Generation,
    ) -> Result<(), ChainError> {
        self.effect()?;
        assert!(self.paths.borrow_mut().insert(id), "{id:?} was written before");
        let public = key.public_key();
        let stored = Stored {
            address: EthereumAddress::of(&public)?,
            owner: owner.clone(),
            until: None,
            is_hidden: false,
            public: public.to_spki_base64(),
            generation: generation.clone(),
        };
        self.keys.borrow_mut().insert(id, stored);
        Ok(())
    }

    async fn take_over(&self, id: KeyId, owner: &Owner) -> Result<(), ChainError> {
        self.effect()?;
        self.change(id, |key| key.owner = owner.clone())
    }

    async fn restore(&self, id: KeyId) -> Result<(), ChainError> {
        self.effect()?;
        self.change(id, |key| key.is_hidden = false)?;
        self.effect()?;
        self.change(id, |key| key.until = None)
    }

    async fn schedule(&self, id: KeyId, until: Timestamp) -> Result<(), ChainError> {
        self.effect()?;
        self.change(id, |key| {
            key.until.get_or_insert(until);
        })?;
        self.effect()?;
        self.change(id, |key| key.is_hidden = true)
    }

    async fn remove(&self, id: KeyId) -> Result<(), ChainError> {
        self.effect()?;
        self.keys.borrow_mut().remove(&id);
        Ok(())
    }

    async fn write(&self, document: &ChainDocument, newest: u64) -> Result<(), ChainError> {
        self.effect()?;
        if newest != self.newest.get() {
            return Err(ChainError::Meanwhile);
        }
        self.newest.set(newest + 1);
        *self.document.borrow_mut() = Some(document.clone());
        Ok(())
    }

    fn key_arn(&self, id: KeyId) -> String {
        format!("key/{}/{}", id.role, id.number)
    }

    fn document_arn(&self) -> String {
        "document".to_owned()
    }

    fn record(&self, event: &AuditEvent<'_>) {
        self.events.borrow_mut().push(serde_json::to_string(event).unwrap());
    }
}
