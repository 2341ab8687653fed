//! Key Management Service: keys, their policies, and what is encrypted and signed under them.
//!
//! A ciphertext is a handle into the double's memory, of random bytes; nothing can be learned from
//! it or changed in it. Signatures and key pairs are real.

mod asked;
mod encrypting;
mod key;
mod material;
mod pairs;
mod signing;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::access::{self, Context, Owner, Policy, Question};
use crate::clock::seconds;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::place::Place;
use crate::random;
use crate::service::read;
use crate::world::World;

pub(crate) use asked::{AskedFor, ask};
pub(crate) use encrypting::Sealed;
pub use key::{Key, KeySpec, KeyState, KeyUsage, NewKey};

/// The most bytes of a key policy.
const KEY_POLICY_MAX: usize = 32_768;

/// The keys of all accounts by ARN, their aliases by ARN, and everything sealed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    pub(crate) all: BTreeMap<String, Key>,
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) sealed: BTreeMap<Vec<u8>, Sealed>,
    made: u64,
}

impl Keys {
    /// A new key's id; a multi-Region key's begins with `mrk-` (KMS Developer Guide, "How multi-Region
    /// keys work").
    pub(crate) fn new_id(&mut self, place: &Place, multi_region: bool) -> String {
        self.made += 1;
        let digest = Sha256::digest(format!("{} {} {}", place.account, place.region, self.made));
        let (bytes, _) = digest.split_at(16);
        let uuid = random::uuid_of(bytes.try_into().expect("half of 32 bytes"));
        if multi_region { format!("mrk-{}", uuid.replace('-', "")) } else { uuid }
    }
}

/// Carries a call out.
pub(crate) fn carry_out(world: &mut World, caller: &Caller, operation: &str, input: Value) -> Answer {
    match operation {
        "Decrypt" => encrypting::decrypt(world, caller, &read(input)?),
        "DescribeKey" => describe_key(world, caller, &read(input)?),
        "Encrypt" => encrypting::encrypt(world, caller, read(input)?),
        "GenerateDataKey" => encrypting::generate_data_key(world, caller, read(input)?),
        "GenerateDataKeyPairWithoutPlaintext" => pairs::generate(world, caller, read(input)?),
        "GetPublicKey" => signing::public_key(world, caller, &read(input)?),
        "Sign" => signing::sign(world, caller, &read(input)?),
        "Verify" => signing::verify(world, caller, &read(input)?),
        _ => Err(ApiError::not_in_the_double(format!("the operation kms:{operation}"))),
    }
}

/// The key's id, and the encryption context after it: `1234… node=0,purpose=p2p-key`.
pub(crate) fn subject(world: &World, caller: &Caller, input: &Value) -> String {
    let named = input["KeyId"].as_str();
    let key = named.and_then(|named| find(world, caller, named).ok()).map(|key| key.id.clone());
    let sealed = || encrypting::key_of_ciphertext(world, input["CiphertextBlob"].as_str()?);
    let id = key.or_else(sealed).or_else(|| named.map(str::to_owned)).unwrap_or_default();
    match input["EncryptionContext"].as_object() {
        Some(pairs) if !pairs.is_empty() => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("?")))
                .collect();
            format!("{id} {}", pairs.join(","))
        }
        _ => id,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeKey {
    key_id: String,
}

/// KMS API Reference, `DescribeKey` and `KeyMetadata`.
fn describe_key(world: &mut World, caller: &Caller, input: &DescribeKey) -> Answer {
    let key = find(world, caller, &input.key_id)?;
    allowed(world, caller, key, "kms:DescribeKey", Context::default())?;
    let mut metadata = json!({
        "AWSAccountId": key.place.account,
        "KeyId": key.id,
        "Arn": key.arn,
        "CreationDate": seconds(key.created),
        "Enabled": key.state == KeyState::Enabled,
        "Description": key.description,
        "KeyUsage": key.usage.name(),
        "KeyState": key.state.name(),
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": key.spec.name(),
        "KeySpec": key.spec.name(),
        "MultiRegion": key.multi_region,
    });
    match key.usage {
        KeyUsage::EncryptDecrypt => metadata["EncryptionAlgorithms"] = json!(["SYMMETRIC_DEFAULT"]),
        KeyUsage::SignVerify => metadata["SigningAlgorithms"] = json!([key.spec.signing_algorithm()]),
    }
    if let Some(at) = key.deletion_date {
        metadata["DeletionDate"] = seconds(at);
    }
    if key.multi_region {
        metadata["MultiRegionConfiguration"] = json!({
            "MultiRegionKeyType": "PRIMARY",
            "PrimaryKey": { "Arn": key.arn, "Region": key.place.region },
            "ReplicaKeys": [],
        });
    }
    Ok(json!({ "KeyMetadata": metadata }))
}

/// Finds a key of the caller's Region by its id, its ARN, an alias or an alias's ARN (KMS API Reference,
/// each operation's `KeyId`). Keys of other accounts are named by ARN only.
pub(crate) fn find<'a>(world: &'a World, caller: &Caller, named: &str) -> Result<&'a Key, ApiError> {
    let resource = match named.strip_prefix("arn:") {
        Some(_) => named.to_owned(),
        None if named.starts_with("alias/") => caller.place.arn("kms", named),
        None => caller.place.arn("kms", &format!("key/{named}")),
    };
    let resource = world.kms.aliases.get(&resource).unwrap_or(&resource);
    let found = world.kms.all.get(resource).filter(|key| key.place.region == caller.place.region);
    found.ok_or_else(|| {
        let kind = if named.contains("alias/") { "Alias" } else { "Key" };
        ApiError::new("NotFoundException", format!("{kind} '{resource}' does not exist"))
    })
}

/// Reads a key policy. One that names a principal which is not there is refused (KMS API Reference,
/// `PutKeyPolicy`, `MalformedPolicyDocumentException`; `CreateKey`, Policy).
pub(crate) fn read_policy(world: &World, text: &str) -> Result<Policy, ApiError> {
    // KMS Developer Guide, "Resource quotas", Key policy document size.
    if text.len() > KEY_POLICY_MAX {
        return Err(ApiError::new(
            "LimitExceededException",
            format!("The key policy has {} bytes, more than {KEY_POLICY_MAX}.", text.len()),
        ));
    }
    let policy = Policy::read(text)?;
    match policy.missing_principals(world).as_slice() {
        [] => Ok(policy),
        missing => Err(ApiError::new(
            "MalformedPolicyDocumentException",
            format!(
                "Policy contains a statement with one or more invalid principals: {}.",
                missing.join(", ")
            ),
        )),
    }
}

/// Asks the key policy and the caller's own policies.
pub(crate) fn allowed(
    world: &World,
    caller: &Caller,
    key: &Key,
    action: &str,
    context: Context,
) -> Result<(), ApiError> {
    let mut context = context;
    context.add("kms:CallerAccount", [&caller.place.account]);
    context.add("kms:KeySpec", [key.spec.name()]);
    context.add("kms:KeyUsage", [key.usage.name()]);
    context.add("kms:KeyOrigin", ["AWS_KMS"]);
    context.add("kms:MultiRegion", [key.multi_region.to_string()]);
    for (name, value) in &key.tags {
        context.add(&format!("aws:ResourceTag/{name}"), [value]);
    }
    for (alias, target) in &world.kms.aliases {
        if *target == key.arn {
            let name = alias.rsplit_once(':').map_or(alias.as_str(), |(_, name)| name);
            context.add("kms:ResourceAliases", [name]);
        }
    }
    let owner = Owner::Key(&key.place.account, &key.policy);
    access::require(world, caller, Question { action, resource: key.arn.clone(), owner, context })
}
