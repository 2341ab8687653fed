//! A node's own secrets: fetched by version id, opened, and compared with what its record says.

use std::fmt;

use jiff::Timestamp;
use key_material::{P2pPrivateKey, SharePassword};
use provisioning::names::{NodeIndex, Purpose, Slot};
use provisioning::record::NodeRecord;
use provisioning::sealing::{SealedError, SealedSecret};
use serde::Deserialize;

use crate::error::ReadError;
use crate::pins::Pins;
use crate::ports::{Opener, SecretReader, StoredText};
use crate::view::ClusterView;

/// What the name of everything on a server on premises begins with.
const IN_VAULT: &str = "arn:vault:kv:";

/// What a node runs with. Wiped when dropped.
pub struct NodeSecrets {
    /// The private half of the P2P key that counts.
    pub p2p_key: P2pPrivateKey,
    /// The password that unlocks the key shares, where the node has one.
    pub share_password: Option<SharePassword>,
}

impl fmt::Debug for NodeSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeSecrets").finish_non_exhaustive()
    }
}

/// A P2P key as it is stored without an envelope.
#[derive(Deserialize)]
struct PlainKey<'a> {
    schema: u32,
    kind: &'a str,
    pkcs8: &'a str,
}

/// A share-encryption password as it is stored without an envelope.
#[derive(Deserialize)]
struct PlainPassword<'a> {
    schema: u32,
    kind: &'a str,
    password: &'a str,
}

impl NodeSecrets {
    /// Fetches what node `index` runs with now. `sealed_under` are the keys that its secrets are sealed
    /// under; where there is none, they are not sealed.
    ///
    /// It is by such a key that a password is the node's own, about which nothing is public: only the stack's
    /// functions can have sealed it. One that is not sealed could be of anybody who can make a secret.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; [`ReadError::Mismatch`] where what is stored is not what the record tells of.
    pub async fn fetch<W: SecretReader + Opener>(
        world: &W,
        view: &ClusterView,
        pins: &Pins,
        index: NodeIndex,
        sealed_under: &[String],
        now: Timestamp,
    ) -> Result<Self, ReadError> {
        let (Some(environment), Some(record)) = (&view.environment, view.record_at(index, now)) else {
            return Err(ReadError::mismatch(view.cluster.as_str(), "this view is of no node"));
        };
        let secret = Secret { view, pins, index, sealed_under, world };
        let p2p_key = secret.p2p_key(&environment.p2p_key_arn, &record);
        let password = async {
            match (&environment.share_secret_arn, &record.share_version_id) {
                (_, None) => Ok(None),
                (Some(arn), Some(version_id)) => secret.share_password(arn, version_id).await.map(Some),
                (None, Some(_)) => Err(ReadError::mismatch(
                    view.cluster.secret_name(index, &Purpose::SharePassword).as_str(),
                    "the node's record tells of it, and its environment does not say where it is",
                )),
            }
        };
        let (p2p_key, share_password) = futures_util::future::try_join(p2p_key, password).await?;
        Ok(Self { p2p_key, share_password })
    }
}

/// What all secrets of a node have in common.
struct Secret<'a, W> {
    view: &'a ClusterView,
    pins: &'a Pins,
    index: NodeIndex,
    sealed_under: &'a [String],
    world: &'a W,
}

impl<W: SecretReader + Opener> Secret<'_, W> {
    async fn p2p_key(&self, arn: &str, record: &NodeRecord) -> Result<P2pPrivateKey, ReadError> {
        let stored = self.fetch(arn, &Purpose::P2pKey, &record.version_id).await?;
        let unreadable = |_| ReadError::mismatch(arn, "what it holds is no P2P key");
        let key = if let Some(sealed) = self.sealed(arn, &stored, Purpose::P2pKey)? {
            // EXPOSE: into the type that keeps private keys.
            P2pPrivateKey::from_pkcs8_der(self.world.open(&sealed).await?.expose())
        } else {
            // EXPOSE: as above.
            let plain: PlainKey<'_> = parse(arn, stored.expose())?;
            refuse_another_kind(arn, plain.schema, plain.kind, &Purpose::P2pKey)?;
            P2pPrivateKey::from_pkcs8_base64(plain.pkcs8)
        };
        let key = key.map_err(unreadable)?;
        if key.matches(&record.public_key) {
            Ok(key)
        } else {
            Err(ReadError::mismatch(
                arn,
                format!("its private key is not that of {} in the node's record", record.fingerprint),
            ))
        }
    }

    async fn share_password(&self, arn: &str, version_id: &str) -> Result<SharePassword, ReadError> {
        let stored = self.fetch(arn, &Purpose::SharePassword, version_id).await?;
        let unreadable = || ReadError::mismatch(arn, "what it holds is no share-encryption password");
        if let Some(sealed) = self.sealed(arn, &stored, Purpose::SharePassword)? {
            let opened = self.world.open(&sealed).await?;
            // EXPOSE: into the type that keeps the password.
            let text = std::str::from_utf8(opened.expose()).map_err(|_| unreadable())?;
            SharePassword::parse(text).map_err(|_| unreadable())
        } else {
            // EXPOSE: as above.
            let plain: PlainPassword<'_> = parse(arn, stored.expose())?;
            refuse_another_kind(arn, plain.schema, plain.kind, &Purpose::SharePassword)?;
            SharePassword::parse(plain.password).map_err(|_| unreadable())
        }
    }

    /// The stored text, from where the stack keeps it and nowhere else: an environment is not signed, and
    /// nothing in the record could tell a password of somebody else's from the node's own.
    async fn fetch(&self, arn: &str, purpose: &Purpose, version_id: &str) -> Result<StoredText, ReadError> {
        let name = self.view.cluster.secret_name(self.index, purpose);
        let accounts = self.pins.homes_of(self.index);
        if !is_the_secret(arn, name.as_str(), accounts) {
            let place = if arn.starts_with(IN_VAULT) {
                "on the server whose key signs its record"
            } else {
                "in the account and Region of the stack that signs its record"
            };
            return Err(ReadError::mismatch(arn, format!("the node's own is {name}, {place}")));
        }
        self.world.fetch_version(arn, version_id).await
    }

    /// The envelope in a stored text, if it is one.
    fn sealed(
        &self,
        arn: &str,
        stored: &StoredText,
        purpose: Purpose,
    ) -> Result<Option<SealedSecret>, ReadError> {
        let slot = Slot { index: self.index, purpose };
        // EXPOSE: to the parser of envelopes, which keeps the ciphertext.
        match SealedSecret::parse(stored.expose(), &self.view.cluster, &slot) {
            Ok(sealed) if self.sealed_under.iter().any(|key| key == sealed.key_arn()) => Ok(Some(sealed)),
            Ok(sealed) => {
                let key = sealed.key_arn();
                Err(ReadError::mismatch(
                    arn,
                    format!(
                        "it is sealed under {key}, which is not among the keys that this node's secrets are sealed under"
                    ),
                ))
            }
            // A plain one is of another form.
            Err(SealedError::Malformed) if self.sealed_under.is_empty() => Ok(None),
            Err(SealedError::Malformed) => {
                Err(ReadError::mismatch(arn, "it is not sealed, and this node's secrets are"))
            }
            Err(error) => Err(ReadError::mismatch(arn, error.to_string())),
        }
    }
}

/// Reads stored JSON; its own error would repeat what it read.
fn parse<'a, T: Deserialize<'a>>(arn: &str, text: &'a str) -> Result<T, ReadError> {
    serde_json::from_str(text).map_err(|_| ReadError::mismatch(arn, "what it holds is of no form of ours"))
}

fn refuse_another_kind(arn: &str, schema: u32, kind: &str, purpose: &Purpose) -> Result<(), ReadError> {
    if schema == 1 && kind == purpose.to_string() {
        return Ok(());
    }
    Err(ReadError::mismatch(arn, format!("what it holds is no {purpose} of schema 1")))
}

/// `<region>:<account>` of an ARN.
pub(crate) fn home_of(arn: &str) -> Option<&str> {
    let (at, _) = arn.match_indices(':').nth(2)?;
    let (end, _) = arn.match_indices(':').nth(4)?;
    arn.get(at + 1..end)
}

/// Whether an ARN is that of the secret of a name, in one of some accounts. Secrets Manager appends six
/// characters to a name.
fn is_the_secret<'a>(arn: &str, name: &str, mut accounts: impl Iterator<Item = &'a str>) -> bool {
    let Some(account) = home_of(arn) else { return false };
    if !accounts.any(|known| known == account) {
        return false;
    }
    let is_suffix = |end: &str| end.len() == 7 && end.starts_with('-') && !end.contains('/');
    let in_secrets_manager =
        arn.split_once(":secretsmanager:").and_then(|(_, rest)| rest.split_once(":secret:"));
    let in_parameter_store = arn.split_once(":ssm:").and_then(|(_, rest)| rest.split_once(":parameter/"));
    let in_vault = arn.strip_prefix(IN_VAULT).and_then(|rest| rest.split_once(":secret/"));
    match (in_secrets_manager, in_parameter_store, in_vault) {
        (Some((_, found)), _, _) => found.strip_prefix(name).is_some_and(is_suffix),
        (_, Some((_, found)), _) | (_, _, Some((_, found))) => found == name,
        _ => false,
    }
}
