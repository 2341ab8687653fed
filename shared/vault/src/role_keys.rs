//! The keys of a chain's roles: each in a path of its own, written once, never read back.
//!
//! The value is what Web3Signer reads: 64 hexadecimal digits and nothing else. What describes the key is told
//! beside it in the names of keys, in the one call that creates it; what may change later stands in the
//! path's own metadata. A key of a role that is let go of is hidden from its readers at once and can be
//! brought back until its time is over.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use key_material::ethereum::EthereumAddress;
use key_material::{Curve, P2pPrivateKey, P2pPublicKey};
use provisioning::names::{ClusterName, Segment};
use provisioning::ownership::{
    DELETE_AFTER_TAG, GENERATION_TAG, Generation, LEAVING_TAG, OWNER_TAG, Owner, OwnerId, PUBLIC_TAG, Tags,
};

use crate::connection::Connection;
use crate::error::VaultError;
use crate::facts::{Facts, facts_of};
use crate::kv::{Kv, Metadata, VersionState};
use crate::session::Session;
use crate::settings::Place;

/// The tag that names the chain.
pub const CHAIN_TAG: &str = "keyboot:chain";
/// The tag that names the role.
pub const ROLE_TAG: &str = "keyboot:role";
/// The tag with the address, in EIP-55 case.
pub const ADDRESS_TAG: &str = "keyboot:address";

/// Where the key of a role is: `<namespace>/<chain>/role/<role>/<number>`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct RoleKeyName {
    /// The chain.
    pub chain: ClusterName,
    /// The role.
    pub role: Segment,
    /// The number among the keys of this role, from 1.
    pub number: u32,
}

/// A text is no path of a role's key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a path of the form <namespace>/<chain>/role/<role>/<number>")]
pub struct RoleKeyNameError;

impl fmt::Display for RoleKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/role/{}/{}", self.chain, self.role, self.number)
    }
}

impl FromStr for RoleKeyName {
    type Err = RoleKeyNameError;

    fn from_str(text: &str) -> Result<Self, RoleKeyNameError> {
        let (rest, number) = text.rsplit_once('/').ok_or(RoleKeyNameError)?;
        let (rest, role) = rest.rsplit_once('/').ok_or(RoleKeyNameError)?;
        let chain = rest.strip_suffix("/role").ok_or(RoleKeyNameError)?;
        let name = Self {
            chain: chain.parse().map_err(|_| RoleKeyNameError)?,
            role: role.parse().map_err(|_| RoleKeyNameError)?,
            number: number.parse().map_err(|_| RoleKeyNameError)?,
        };
        if name.number > 0 && name.to_string() == text { Ok(name) } else { Err(RoleKeyNameError) }
    }
}

/// The tags that say what a key is, and not whose.
const OF_THE_KEY: [&str; 5] = [GENERATION_TAG, CHAIN_TAG, ROLE_TAG, PUBLIC_TAG, ADDRESS_TAG];

/// What becomes of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RoleKeyState {
    /// Its readers can read it.
    Held,
    /// It is let go of, and can be brought back until then.
    Leaving {
        /// When it may be removed; none where that cannot be read, and then it never may.
        until: Option<Timestamp>,
        /// Whether it cannot be read any more: a death may have come between the two.
        hidden: bool,
    },
    /// There is a path and no value in it that could be brought back.
    Lost,
}

/// What can be told of a role's key without reading it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RoleKeyFacts {
    /// Where it is.
    pub name: RoleKeyName,
    /// Its public half.
    pub public: P2pPublicKey,
    /// Its address.
    pub address: EthereumAddress,
    /// Whose it is; none where no owner of our form is named.
    pub owner: Option<Owner>,
    /// The operation that made it.
    pub generation: Option<Generation>,
    /// What becomes of it.
    pub state: RoleKeyState,
    /// All its tags.
    pub tags: Tags,
}

impl RoleKeyFacts {
    /// The id of its owner.
    #[must_use]
    pub fn owner_id(&self) -> Option<&OwnerId> {
        self.owner.as_ref().map(|owner| &owner.id)
    }
}

/// A path of a role's key whose description cannot be believed: it is shown, and left alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownRoleKey {
    /// Where it is.
    pub name: RoleKeyName,
    /// What is wrong with it; never a value.
    pub fault: &'static str,
}

/// What is below a chain's roles.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RoleKeys {
    /// What can be told of its keys, by path.
    pub known: Vec<RoleKeyFacts>,
    /// What cannot be believed.
    pub unknown: Vec<UnknownRoleKey>,
}

/// The keys of chains' roles on a server.
#[derive(Clone, Copy, Debug)]
pub struct RoleKeyStore<'a> {
    kv: Kv<'a>,
}

impl<'a> RoleKeyStore<'a> {
    /// Those of a server.
    #[must_use]
    pub fn new(session: &'a Session, place: &'a Place) -> Self {
        Self::over(session.connection(), place)
    }

    pub(crate) fn over(connection: &'a Connection, place: &'a Place) -> Self {
        Self { kv: Kv::new(connection, &place.mounts.secrets) }
    }

    /// Stores a key where none is yet.
    ///
    /// # Errors
    ///
    /// [`VaultError::Conflict`] where something is there, also something that is let go of;
    /// [`VaultError::Refused`] where it is not on secp256k1.
    pub async fn create(
        &self,
        name: &RoleKeyName,
        key: &P2pPrivateKey,
        owner: &Owner,
        generation: &Generation,
    ) -> Result<(), VaultError> {
        if key.curve() != Curve::Secp256k1 {
            return Err(VaultError::refused(name.to_string(), "a chain's keys are on secp256k1"));
        }
        let public = key.public_key();
        let address = EthereumAddress::of(&public)
            .map_err(|_| VaultError::refused(name.to_string(), "its key has no address"))?;
        let mut tags = owner.owner_tags();
        tags.extend([
            (GENERATION_TAG.to_owned(), generation.to_string()),
            (CHAIN_TAG.to_owned(), name.chain.to_string()),
            (ROLE_TAG.to_owned(), name.role.to_string()),
            (PUBLIC_TAG.to_owned(), public.to_spki_base64()),
            (ADDRESS_TAG.to_owned(), address.to_string()),
        ]);
        let facts = facts_of(&tags, None);
        let path = name.to_string();
        // EXPOSE: to the store, over TLS.
        match self.kv.put_secret(&path, &key.expose_scalar_hex(), &facts, 0).await {
            Ok(_) => self.tag(name, &tags).await,
            // Who may create and not update is denied what is there already.
            Err(VaultError::Denied { .. })
                if self.kv.metadata(&path).await?.is_some_and(|it| it.newest > 0) =>
            {
                Err(VaultError::Conflict { what: format!("the key {path}") })
            }
            Err(error) => Err(error),
        }
    }

    /// What can be told of one key; none where nothing is there.
    ///
    /// # Errors
    ///
    /// [`VaultError::Refused`] where its description cannot be believed.
    pub async fn describe(&self, name: &RoleKeyName) -> Result<Option<RoleKeyFacts>, VaultError> {
        let Some(found) = self.look(name).await? else { return Ok(None) };
        found.map(Some).map_err(|unknown| VaultError::refused(unknown.name.to_string(), unknown.fault))
    }

    /// What can be told of all keys of a chain's roles.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn list(&self, chain: &ClusterName) -> Result<RoleKeys, VaultError> {
        let mut keys = RoleKeys::default();
        for path in self.kv.list_all(&format!("{chain}/role")).await? {
            let Ok(name) = path.parse::<RoleKeyName>() else { continue };
            match self.look(&name).await? {
                Some(Ok(facts)) => keys.known.push(facts),
                Some(Err(unknown)) => keys.unknown.push(unknown),
                None => {}
            }
        }
        keys.known.sort_by(|one, other| one.name.cmp(&other.name));
        keys.unknown.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(keys)
    }

    /// Sets tags; others stay.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`] where nothing is there.
    pub async fn tag(&self, name: &RoleKeyName, tags: &Tags) -> Result<(), VaultError> {
        let changes = tags.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect();
        self.change(name, changes).await
    }

    /// Takes tags off; those that are not there are fine.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`] where nothing is there.
    pub async fn untag(&self, name: &RoleKeyName, keys: &[&str]) -> Result<(), VaultError> {
        self.change(name, keys.iter().map(|key| (*key, None)).collect()).await
    }

    /// Lets go of a key: nobody reads it from now on, and it can be brought back until `until`. One that is
    /// let go of already keeps its time.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`] where nothing is there.
    pub async fn schedule(&self, name: &RoleKeyName, until: Timestamp) -> Result<(), VaultError> {
        let path = name.to_string();
        let metadata = self.kv.metadata(&path).await?;
        let metadata = metadata.ok_or_else(|| VaultError::NotFound { what: format!("the key {path}") })?;
        if !metadata.custom.contains_key(DELETE_AFTER_TAG) {
            let until = until.to_string();
            let leaving = [(DELETE_AFTER_TAG, Some(until.as_str())), (LEAVING_TAG, Some("true"))];
            self.change(name, leaving.into()).await?;
        }
        self.kv.delete(&path, &[1]).await
    }

    /// Brings a key back, with its value.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`] where nothing is there.
    pub async fn restore(&self, name: &RoleKeyName) -> Result<(), VaultError> {
        // Readers first: a death between the two leaves it leaving, so that it is brought back again.
        self.kv.undelete(&name.to_string(), &[1]).await?;
        self.untag(name, &[DELETE_AFTER_TAG, LEAVING_TAG]).await
    }

    /// Removes a key for good. One that is gone is fine.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn remove(&self, name: &RoleKeyName) -> Result<(), VaultError> {
        self.kv.remove(&name.to_string()).await
    }

    async fn change(
        &self,
        name: &RoleKeyName,
        mut changes: BTreeMap<&str, Option<&str>>,
    ) -> Result<(), VaultError> {
        let path = name.to_string();
        let metadata = self.kv.metadata(&path).await?;
        let metadata = metadata.ok_or_else(|| VaultError::NotFound { what: format!("the key {path}") })?;
        // What a death left untagged is tagged whole.
        let embedded = if metadata.custom.contains_key(OWNER_TAG) {
            Facts::default()
        } else {
            self.embedded(&path).await?
        };
        for (key, value) in &embedded.tags {
            changes.entry(key).or_insert(Some(value));
        }
        self.kv.merge_custom(&path, &changes).await
    }

    async fn embedded(&self, path: &str) -> Result<Facts, VaultError> {
        Ok(self.kv.facts(path, Some(1)).await?.map(|keys| Facts::read(&keys)).unwrap_or_default())
    }

    async fn look(
        &self,
        name: &RoleKeyName,
    ) -> Result<Option<Result<RoleKeyFacts, UnknownRoleKey>>, VaultError> {
        let path = name.to_string();
        let Some(metadata) = self.kv.metadata(&path).await? else { return Ok(None) };
        if metadata.newest == 0 && metadata.custom.is_empty() {
            return Ok(None);
        }
        let embedded = self.embedded(&path).await?.tags;
        Ok(Some(told(name, &metadata, together(&metadata.custom, embedded))))
    }
}

/// What is said beside a key and what was stored with it: that never changes, and what the key is stands there. Of
/// one that is hidden nothing of it can be seen.
fn together(beside: &Tags, embedded: Tags) -> Tags {
    let mut tags = beside.clone();
    for (tag, value) in embedded {
        if !beside.contains_key(OWNER_TAG) || OF_THE_KEY.contains(&tag.as_str()) {
            tags.insert(tag, value);
        }
    }
    tags
}

/// What metadata and tags tell of a key.
fn told(name: &RoleKeyName, metadata: &Metadata, tags: Tags) -> Result<RoleKeyFacts, UnknownRoleKey> {
    let unknown = |fault| UnknownRoleKey { name: name.clone(), fault };
    if metadata.newest > 1 {
        return Err(unknown("it was written more than once, which nothing of ours does"));
    }
    let is_its_own = tags.get(CHAIN_TAG).is_some_and(|chain| *chain == name.chain.as_str())
        && tags.get(ROLE_TAG).is_some_and(|role| *role == name.role.as_str());
    if !is_its_own {
        return Err(unknown("its tags do not name its chain and its role"));
    }
    let public = tags.get(PUBLIC_TAG).and_then(|text| P2pPublicKey::from_spki_base64(text).ok());
    let public = public.filter(|public| public.curve() == Curve::Secp256k1);
    let public = public.ok_or_else(|| unknown("its tags tell no public half on secp256k1"))?;
    let address = EthereumAddress::of(&public).map_err(|_| unknown("its public half has no address"))?;
    if tags.get(ADDRESS_TAG).is_none_or(|told| *told != address.to_string()) {
        return Err(unknown("the address in its tags is not the one of its public half"));
    }
    let leaving = tags.get(DELETE_AFTER_TAG).map(|until| until.parse().ok());
    let state = match (metadata.versions.get(&1), leaving) {
        (Some(VersionState::Held), None) => RoleKeyState::Held,
        (Some(VersionState::Held), Some(until)) => RoleKeyState::Leaving { until, hidden: false },
        (Some(VersionState::Deleted), until) => {
            RoleKeyState::Leaving { until: until.flatten(), hidden: true }
        }
        (Some(VersionState::Destroyed) | None, _) => RoleKeyState::Lost,
    };
    Ok(RoleKeyFacts {
        name: name.clone(),
        public,
        address,
        owner: Owner::named_by(&tags),
        generation: tags.get(GENERATION_TAG).map(Generation::new),
        state,
        tags,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALAR: &str = "53dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb";

    fn name() -> RoleKeyName {
        "keyboot/l2/role/batcher/2".parse().unwrap()
    }

    fn tags() -> Tags {
        let key = P2pPrivateKey::from_scalar(Curve::Secp256k1, &hex::decode(SCALAR).unwrap()).unwrap();
        [
            (CHAIN_TAG, "keyboot/l2".to_owned()),
            (ROLE_TAG, "batcher".to_owned()),
            (PUBLIC_TAG, key.public_key().to_spki_base64()),
            (ADDRESS_TAG, "0x8b805bF52e9cE863375c5105E1158d519537F5B3".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    fn metadata(state: VersionState) -> Metadata {
        Metadata { newest: 1, versions: BTreeMap::from([(1, state)]), custom: BTreeMap::new() }
    }

    #[test]
    fn a_path_names_one_key_in_one_spelling() {
        assert_eq!(name().number, 2);
        assert_eq!(name().to_string(), "keyboot/l2/role/batcher/2");
        for bad in [
            "",
            "keyboot/l2/role/batcher",
            "keyboot/l2/role/batcher/0",
            "keyboot/l2/role/batcher/02",
            "keyboot/l2/role/batcher/+2",
            "keyboot/l2/role/Batcher/2",
            "keyboot/l2/roles/batcher/2",
            "l2/role/batcher/2",
            "/keyboot/l2/role/batcher/2",
            "keyboot/l2/role/batcher/2/",
        ] {
            assert!(bad.parse::<RoleKeyName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_stored_with_a_key_says_what_it_is_and_what_is_beside_it_whose() {
        let tag = |tag: &str, value: &str| (tag.to_owned(), value.to_owned());
        let embedded: Tags = [tag(OWNER_TAG, "first"), tag(PUBLIC_TAG, "p"), tag(ADDRESS_TAG, "a")].into();
        let beside: Tags = [tag(OWNER_TAG, "second"), tag(PUBLIC_TAG, "x"), tag(LEAVING_TAG, "true")].into();
        let both = together(&beside, embedded.clone());
        assert_eq!((both[OWNER_TAG].as_str(), both[PUBLIC_TAG].as_str()), ("second", "p"));
        assert_eq!((both[ADDRESS_TAG].as_str(), both[LEAVING_TAG].as_str()), ("a", "true"));
        assert_eq!(together(&Tags::new(), embedded.clone()), embedded);
        assert_eq!(together(&beside, Tags::new()), beside);
    }

    #[test]
    fn a_description_is_believed_where_it_is_of_one_piece() {
        let facts = told(&name(), &metadata(VersionState::Held), tags()).unwrap();
        assert_eq!(facts.address.to_string(), "0x8b805bF52e9cE863375c5105E1158d519537F5B3");
        assert_eq!((&facts.state, facts.owner), (&RoleKeyState::Held, None));
        for (tag, value) in [
            (CHAIN_TAG, "keyboot/l3"),
            (ROLE_TAG, "proposer"),
            (PUBLIC_TAG, "AAAA"),
            (ADDRESS_TAG, "0x8b805bf52e9ce863375c5105e1158d519537f5b3"),
            (ADDRESS_TAG, "0x0000000000000000000000000000000000000000"),
        ] {
            let mut other = tags();
            other.insert(tag.to_owned(), value.to_owned());
            assert!(told(&name(), &metadata(VersionState::Held), other).is_err(), "{tag} {value}");
            let mut without = tags();
            without.remove(tag);
            assert!(told(&name(), &metadata(VersionState::Held), without).is_err(), "no {tag}");
        }
        let twice = Metadata { newest: 2, ..metadata(VersionState::Held) };
        assert!(told(&name(), &twice, tags()).is_err());
    }

    #[test]
    fn what_becomes_of_it_is_told_also_where_it_was_cut_short() {
        let until: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let leaving = |at: &str| {
            let mut tags = tags();
            tags.insert(DELETE_AFTER_TAG.to_owned(), at.to_owned());
            tags
        };
        let state = |state, tags| told(&name(), &metadata(state), tags).unwrap().state;
        let expected = |until, hidden| RoleKeyState::Leaving { until, hidden };
        let at = until.to_string();
        assert_eq!(state(VersionState::Held, leaving(&at)), expected(Some(until), false));
        assert_eq!(state(VersionState::Deleted, leaving(&at)), expected(Some(until), true));
        assert_eq!(state(VersionState::Deleted, tags()), expected(None, true));
        assert_eq!(state(VersionState::Deleted, leaving("never")), expected(None, true));
        assert_eq!(state(VersionState::Destroyed, leaving(&at)), RoleKeyState::Lost);
    }
}
