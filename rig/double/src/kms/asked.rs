//! What Secrets Manager and Parameter Store ask of KMS, on their caller's behalf.

use crate::error::ApiError;
use crate::identities::Caller;
use crate::kms::encrypting::cryptographic;
use crate::kms::{KeyUsage, allowed, find};
use crate::service::Service;
use crate::world::World;

/// A store's request to KMS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedFor<'a> {
    /// The store.
    pub(crate) store: Service,
    /// The key, by any of its names.
    pub(crate) key: &'a str,
    /// What for, as `GenerateDataKey`.
    pub(crate) operation: &'a str,
    /// The encryption context.
    pub(crate) context: &'a [(&'a str, &'a str)],
}

/// Asks KMS as the store does: with the caller's rights, and `kms:ViaService` (KMS Developer Guide,
/// "AWS KMS condition keys", kms:ViaService). The refusal is KMS's own; each store has its words
/// for it.
pub(crate) fn ask(world: &World, caller: &Caller, asked: AskedFor<'_>) -> Result<(), ApiError> {
    let key = find(world, caller, asked.key)?;
    let pairs = asked.context.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut context = cryptographic(&pairs.collect());
    let place = &caller.place;
    let via = format!("{}.{}.{}", asked.store.name(), place.region, place.url_suffix());
    context.add("kms:ViaService", [via]);
    context.add("aws:ViaAWSService", ["true"]);
    allowed(world, caller, key, &format!("kms:{}", asked.operation), context)?;
    key.usable_for(KeyUsage::EncryptDecrypt, asked.operation)
}
