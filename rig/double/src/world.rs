//! Everything there is: the accounts, what they keep, and who they are.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use policies::Share;

use crate::clock::Clock;
use crate::error::ApiError;
use crate::identities::{Identities, Role};
use crate::kms::{self, Key, KeySpec, KeyState, KeyUsage, Keys, NewKey};
use crate::parameters::{Parameter, Parameters, Tier};
use crate::place::Place;
use crate::rates::Rates;
use crate::secrets::{Lag, Secret, Secrets};
use crate::stacks::Stack;

/// All accounts, as a test arranges them and looks at them.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub(crate) clock: Clock,
    pub(crate) identities: Identities,
    pub(crate) kms: Keys,
    pub(crate) secrets: Secrets,
    pub(crate) parameters: Parameters,
    pub(crate) stacks: BTreeMap<Place, Vec<Stack>>,
    pub(crate) shares: Vec<Share>,
    /// Names of removed secrets that are still taken, and how many creations they refuse.
    lingering: BTreeMap<(Place, String), Lingering>,
    linger: Linger,
    pub(crate) lag: Lag,
    pub(crate) rates: Rates,
    /// When the clock next changes something.
    due: Option<Timestamp>,
}

/// How long the name of a secret that was removed by force stays taken.
///
/// Secrets Manager removes it "with an asynchronous process" and asks callers to back off and retry
/// (Secrets Manager API Reference, `DeleteSecret`, `ForceDeleteWithoutRecovery`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Linger {
    /// For so many calls of `CreateSecret`, each of which is refused.
    Calls(u32),
    /// For so long, by the double's clock.
    Time(Duration),
}

impl Default for Linger {
    fn default() -> Self {
        Self::Calls(0)
    }
}

#[derive(Clone, Copy, Debug)]
enum Lingering {
    Calls(u32),
    Until(Timestamp),
}

impl World {
    /// The double's present time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds a role by its ARN, with these identity policies; gives the access key that acts as it.
    /// The role of this ARN, if there is one, keeps its access key.
    ///
    /// # Errors
    ///
    /// When this is no ARN of a role, or when a policy cannot be read or evaluated here.
    pub fn add_role(&mut self, arn: &str, policies: &[String]) -> Result<String, ApiError> {
        Ok(self.identities.add_role(arn, policies)?.access_key.clone())
    }

    /// Adds a session of a role, whose every call tells these condition keys beside the others, as one of an
    /// instance tells the network it is in; gives the access key that acts as it.
    ///
    /// # Errors
    ///
    /// When there is no such role.
    pub fn add_session(
        &mut self,
        role: &str,
        context: impl IntoIterator<Item = (String, String)>,
    ) -> Result<String, ApiError> {
        self.identities.add_session(role, context.into_iter().collect())
    }

    /// Gives a role a tag, as whoever administers its account can.
    pub fn tag_role(&mut self, arn: &str, key: &str, value: &str) {
        self.identities.tag_role(arn, key, value);
    }

    /// Takes a role away. Its access key is nobody's from now on.
    pub fn remove_role(&mut self, arn: &str) {
        self.identities.remove_role(arn);
    }

    /// The role of an ARN.
    #[must_use]
    pub fn role(&self, arn: &str) -> Option<&Role> {
        self.identities.role(arn)
    }

    /// Puts an account into an organization (`o-…`).
    pub fn join_organization(&mut self, account: &str, organization: &str) {
        self.identities.join(account, organization);
    }

    /// Shares a parameter by Resource Access Manager. Only Advanced ones can be (Systems Manager User
    /// Guide, "Working with shared parameters in Parameter Store").
    ///
    /// # Errors
    ///
    /// When there is no such parameter, or when it is not Advanced.
    pub fn share(&mut self, share: Share) -> Result<(), ApiError> {
        let mut all = self.parameters.values().flat_map(BTreeMap::values);
        match all.find(|parameter| parameter.arn == share.resource) {
            Some(parameter) if parameter.latest().tier == Tier::Advanced => {
                self.shares.push(share);
                Ok(())
            }
            Some(_) => {
                Err(ApiError::new("InvalidParameterException", "Only advanced parameters can be shared."))
            }
            None => Err(ApiError::new("UnknownResourceException", "There is no such parameter.")),
        }
    }

    /// Takes back all shares of a resource.
    pub fn unshare(&mut self, arn: &str) {
        self.shares.retain(|share| share.resource != arn);
    }

    /// Makes a key, and gives its ARN. Ids are the same in every double that makes the same keys in
    /// the same order.
    ///
    /// # Errors
    ///
    /// When the key policy cannot be read, or names a principal that is not there.
    pub fn create_key(&mut self, place: &Place, new: NewKey) -> Result<String, ApiError> {
        let policy = kms::read_policy(self, &new.policy)?;
        let id = self.kms.new_id(place, new.multi_region);
        let arn = place.arn("kms", &format!("key/{id}"));
        let usage = match new.spec {
            KeySpec::SymmetricDefault => KeyUsage::EncryptDecrypt,
            _ => KeyUsage::SignVerify,
        };
        let key = Key::make(place.clone(), id, arn.clone(), usage, new, policy, self.now());
        self.kms.all.insert(arn.clone(), key);
        Ok(arn)
    }

    /// Gives a key another policy.
    ///
    /// # Errors
    ///
    /// When there is no such key, or as [`World::create_key`].
    pub fn put_key_policy(&mut self, arn: &str, policy: &str) -> Result<(), ApiError> {
        let policy = kms::read_policy(self, policy)?;
        let key = self.kms.all.get_mut(arn);
        key.ok_or_else(|| ApiError::new("NotFoundException", format!("Key '{arn}' does not exist")))?
            .policy = policy;
        Ok(())
    }

    /// Lets an alias (`alias/…`) stand for a key of the same place.
    pub fn create_alias(&mut self, place: &Place, alias: &str, key: &str) {
        self.kms.aliases.insert(place.arn("kms", alias), key.to_owned());
    }

    /// A key by its ARN.
    #[must_use]
    pub fn key(&self, arn: &str) -> Option<&Key> {
        self.kms.all.get(arn)
    }

    /// Puts a key into a state. One that is pending deletion goes 30 days later.
    pub fn set_key_state(&mut self, arn: &str, state: KeyState) {
        let pending =
            (state == KeyState::PendingDeletion).then(|| self.now() + SignedDuration::from_hours(24 * 30));
        if let Some(key) = self.kms.all.get_mut(arn) {
            key.state = state;
            key.deletion_date = pending;
        }
        if let Some(due) = pending {
            self.is_due(due);
        }
    }

    /// Encrypts bytes, whoever may: what a test looks who opens.
    #[must_use]
    pub fn encrypt_for_test(
        &mut self,
        key: &str,
        context: BTreeMap<String, String>,
        plaintext: Vec<u8>,
    ) -> Vec<u8> {
        self.kms.seal(key, context, plaintext)
    }

    /// What is behind a ciphertext, whoever may read it: for a test that opens an envelope. `None` for
    /// what is no ciphertext, or under another context.
    #[must_use]
    pub fn decrypt_for_test(&self, ciphertext: &[u8], context: &BTreeMap<String, String>) -> Option<Vec<u8>> {
        let sealed = self.kms.sealed.get(ciphertext).filter(|sealed| sealed.context == *context)?;
        Some(sealed.plaintext.clone())
    }

    /// Adds a stack, or replaces the one of this id.
    ///
    /// # Panics
    ///
    /// When its id is no stack's ARN.
    pub fn put_stack(&mut self, stack: Stack) {
        let place = Place::of_arn(&stack.id, "cloudformation").map(|(place, _)| place);
        let there = self.stacks.entry(place.expect("a stack's id is its ARN")).or_default();
        there.retain(|known| known.id != stack.id);
        there.push(stack);
    }

    /// A stack by its id.
    #[must_use]
    pub fn stack(&self, id: &str) -> Option<&Stack> {
        self.stacks.values().flatten().find(|stack| stack.id == id)
    }

    /// A stack by its id, to be changed: its status, its resources.
    pub fn stack_mut(&mut self, id: &str) -> Option<&mut Stack> {
        self.stacks.values_mut().flatten().find(|stack| stack.id == id)
    }

    /// Forgets a stack, as CloudFormation does 90 days after its deletion.
    pub fn forget_stack(&mut self, id: &str) {
        self.stacks.values_mut().for_each(|there| there.retain(|stack| stack.id != id));
    }

    /// The secrets of a place, those in their recovery windows included, by name.
    pub fn secrets(&self, place: &Place) -> impl Iterator<Item = &Secret> {
        self.secrets.get(place).into_iter().flat_map(BTreeMap::values)
    }

    /// A secret by its place and name.
    #[must_use]
    pub fn secret(&self, place: &Place, name: &str) -> Option<&Secret> {
        self.secrets.get(place)?.get(name)
    }

    /// A secret by its place and name, to be changed behind everyone's back.
    pub fn secret_mut(&mut self, place: &Place, name: &str) -> Option<&mut Secret> {
        self.secrets.get_mut(place)?.get_mut(name)
    }

    /// The parameters of a place, by name.
    pub fn parameters(&self, place: &Place) -> impl Iterator<Item = &Parameter> {
        self.parameters.get(place).into_iter().flat_map(BTreeMap::values)
    }

    /// A parameter by its place and name.
    #[must_use]
    pub fn parameter(&self, place: &Place, name: &str) -> Option<&Parameter> {
        self.parameters.get(place)?.get(name)
    }

    /// A parameter by its place and name, to be changed behind everyone's back.
    pub fn parameter_mut(&mut self, place: &Place, name: &str) -> Option<&mut Parameter> {
        self.parameters.get_mut(place)?.get_mut(name)
    }

    /// Lets the names of secrets that are removed by force from now on stay taken.
    pub fn linger(&mut self, linger: Linger) {
        self.linger = linger;
    }

    /// Lets no account make more calls a second than the services' documented quotas allow.
    pub fn enforce_rates(&mut self) {
        self.enforce_rates_times(1);
    }

    /// The same with quotas so many times as large: what would take AWS minutes is over in seconds.
    pub fn enforce_rates_times(&mut self, times: u32) {
        self.rates.enforce(times);
    }

    /// Lets `ListSecrets` show what was so long ago; AWS says five minutes. What is there now is shown
    /// at once.
    pub fn lists_lag(&mut self, by: Duration) {
        let now = self.now();
        self.lag.start(by, &self.secrets, now);
    }

    /// Writes down what has changed, for lists that lag behind.
    pub(crate) fn note_for_lists(&mut self) {
        let now = self.now();
        self.lag.note(&self.secrets, now);
    }

    /// Notes that a name was removed by force.
    pub(crate) fn lingers_from_now(&mut self, place: Place, name: String) {
        let lingering = match self.linger {
            Linger::Calls(0) => return,
            Linger::Calls(calls) => Lingering::Calls(calls),
            Linger::Time(time) => {
                let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
                Lingering::Until(self.now().saturating_add(time).unwrap_or(Timestamp::MAX))
            }
        };
        self.lingering.insert((place, name), lingering);
    }

    /// Whether a creation under this name is refused because the name still lingers.
    pub(crate) fn name_lingers(&mut self, place: &Place, name: &str) -> bool {
        let now = self.now();
        let id = (place.clone(), name.to_owned());
        match self.lingering.get_mut(&id) {
            Some(Lingering::Calls(left)) if *left > 0 => {
                *left -= 1;
                true
            }
            Some(Lingering::Until(until)) if *until > now => true,
            _ => {
                self.lingering.remove(&id);
                false
            }
        }
    }

    /// Notes that the clock changes something then.
    pub(crate) fn is_due(&mut self, at: Timestamp) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Lets the clock do what is due: secrets go at the end of their windows, parameters at their
    /// expiration, keys at their deletion date.
    pub(crate) fn settle(&mut self) {
        let now = self.now();
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        for there in self.secrets.values_mut() {
            there.retain(|_, secret| secret.deletion.as_ref().is_none_or(|deletion| deletion.due > now));
        }
        for there in self.parameters.values_mut() {
            there.retain(|_, parameter| parameter.latest().expires.is_none_or(|expires| expires > now));
        }
        self.kms.all.retain(|_, key| key.deletion_date.is_none_or(|date| date > now));
        self.note_for_lists();
        let windows = self.secrets.values().flat_map(BTreeMap::values);
        let windows = windows.filter_map(|secret| Some(secret.deletion.as_ref()?.due));
        let expirations = self.parameters.values().flat_map(BTreeMap::values);
        let expirations = expirations.filter_map(|parameter| parameter.latest().expires);
        let deletions = self.kms.all.values().filter_map(|key| key.deletion_date);
        self.due = windows.chain(expirations).chain(deletions).min();
    }
}
