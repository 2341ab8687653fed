//! Parameter Store, where it keeps secrets: secure strings under the secrets' own names, never read.
//!
//! It has no request tokens and no recovery window. Whose a parameter is stands in the tags that its
//! first put sets, and a parameter that is let go of says in its tags until when it can come back; at
//! the end of that time it is still there, until a later operation of its owner removes it. Of whether
//! a value was ever retrieved it tells nothing.
//!
//! What a version is stands in its description, which is put with the value and never changes. Two
//! deliveries of one request may each put a version: the one with the lower number is the request's, and
//! the other is nobody's. Which one ordinary clients are handed is said by a label, [`CURRENT_LABEL`],
//! since a put makes its version the latest at once. Descriptions come from the parameter's history, in
//! which values are ciphertexts: decrypting them takes the key, which this function may not use for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_ssm::types::{ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging, Tag};
use jiff::Timestamp;
use provisioning::names::SecretName;
use provisioning::ownership::{
    DELETE_AFTER_TAG, GENERATION_TAG, KEY_TAG, LEAVING_TAG, OWNER_TAG, OwnerId, Tags,
};
use provisioning::ports::{
    CURRENT, NewSecret, NewVersion, PREVIOUS, PortError, SecretFacts, StoredReaders, StoredSecret,
};
use provisioning::principals::Readers;
use provisioning::properties::SealingKeyArn;
use provisioning::store::{Store, end_of_window};
use provisioning::version_label::{SignedLabel, VersionLabel};

use crate::failure::{code, failure};
use crate::parameter_store::EXISTS;
use crate::patience::while_busy;
use crate::session::AwsWorld;

/// The answers to a call on the tags of a parameter that is not there: the one of the API Reference
/// (`ListTagsForResource`, Errors), and the one that says it plainly.
const NOT_THERE: [&str; 2] = ["InvalidResourceId", "ParameterNotFound"];
/// Puts under a name that is taken and has nothing under it: callers are asked to wait for at least 30
/// seconds before they use a deleted parameter's name again (Systems Manager API Reference,
/// `DeleteParameter`).
const TRIES: u32 = 8;
/// The wait before the second put; each next one is twice as long, 32 seconds in all.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The label of the version that is handed out to who asks for `<name>:current`.
const CURRENT_LABEL: &str = "current";
/// The label of the version that was it before.
const PREVIOUS_LABEL: &str = "previous";
/// Looks at a parameter's history for the version that was just put: what is read may be a moment old.
const LOOKS: u32 = 6;
/// What an ARN says before a parameter's name.
const PARAMETER: &str = ":parameter";

/// AWS, as far as it keeps secrets in Parameter Store.
pub(crate) struct SecureStrings<'a>(pub(crate) &'a AwsWorld);

impl SecureStrings<'_> {
    pub(crate) async fn create_secret(&self, secret: NewSecret<'_>) -> Result<StoredSecret, PortError> {
        let name = parameter_name(secret.name);
        let mut tags = secret.tags.clone();
        // What is told of a parameter does not name its key.
        tags.insert(KEY_TAG.to_owned(), secret.key.to_string());
        let call = self
            .0
            .parameters()
            .put_parameter()
            .name(&name)
            .r#type(ParameterType::SecureString)
            .tier(ParameterTier::Advanced)
            .key_id(secret.key.as_str())
            .description(
                secret.label.map_or_else(|| secret.description.to_owned(), SignedLabel::to_description),
            )
            .set_tags(Some(tags_of(&tags)?))
            .overwrite(false)
            // EXPOSE: to the store, over TLS.
            .value(secret.value.expose());
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match while_busy(|| call.clone().send()).await {
                Ok(put) => {
                    self.label(&name, put.version, CURRENT_LABEL).await?;
                    let arn = self.0.signing_key().parameter_arn(&name);
                    return Ok(StoredSecret { arn, version_id: put.version.to_string() });
                }
                Err(error) if code(&error) == Some(EXISTS) => match self.tags(&name).await? {
                    Some(found) => {
                        let is_same = |tag: &str| found.get(tag) == tags.get(tag);
                        // A delivery of this very request was faster, or an answer was lost: whichever it
                        // was, it may not have come to the label.
                        if is_same(OWNER_TAG) && is_same(GENERATION_TAG) {
                            self.label_the_first(&name).await?;
                        }
                        break;
                    }
                    None if attempt == TRIES => break,
                    None => {}
                },
                Err(error) => return Err(failure("PutParameter", &name, &error)),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(PortError::Exists { what: format!("parameter {name}") })
    }

    pub(crate) async fn describe_secret(&self, name: &SecretName) -> Result<Option<SecretFacts>, PortError> {
        let name = parameter_name(name);
        let (tags, history) = tokio::try_join!(self.tags(&name), self.history(&name))?;
        Ok(tags.zip(history).map(|(tags, history)| SecretFacts {
            versions: held(&history),
            store: Store::ParameterStore,
            arn: self.0.signing_key().parameter_arn(&name),
            key: tags.get(KEY_TAG).cloned(),
            scheduled_for_deletion: tags.contains_key(DELETE_AFTER_TAG),
            // A time that cannot be read never comes.
            awaits_removal_from: tags.get(DELETE_AFTER_TAG).and_then(|at| at.parse().ok()),
            was_retrieved: false,
            rotation: None,
            tags,
        }))
    }

    /// Gives the version's number. Where a delivery of the same request was faster, its version is the one.
    pub(crate) async fn put_version(&self, version: NewVersion<'_>) -> Result<String, PortError> {
        let name = name_in(version.arn)?;
        let call = self
            .0
            .parameters()
            .put_parameter()
            .name(name)
            .r#type(ParameterType::SecureString)
            .tier(ParameterTier::Advanced)
            .key_id(version.key.as_str())
            .description(version.label.to_description())
            .overwrite(true)
            // EXPOSE: to the store, over TLS.
            .value(version.value.expose());
        let put = while_busy(|| call.clone().send()).await;
        let put = put.map_err(|error| failure("PutParameter", name, &error))?.version;
        let mut pause = FIRST_PAUSE;
        for _ in 0..LOOKS {
            let history = self.history(name).await?.unwrap_or_default();
            if let Some(own) = history.iter().find(|found| found.number == put) {
                let is_request = |found: &&Past| found.is_of_the_request_of(own);
                return match history.iter().filter(is_request).map(|found| found.number).min() {
                    Some(first) if first < put => {
                        Err(PortError::Exists { what: format!("version {first} of parameter {name}") })
                    }
                    _ => Ok(put.to_string()),
                };
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(PortError::Unavailable {
            what: format!("version {put} of parameter {name}"),
            code: "its history does not show it".into(),
        })
    }

    #[expect(clippy::unused_async, reason = "as in the other store")]
    pub(crate) async fn label_version(&self, arn: &str, _: &str, _: &str) -> Result<(), PortError> {
        Err(PortError::Refused { what: arn.to_owned(), code: "a version without its description".into() })
    }

    #[expect(clippy::unused_async, reason = "as in the other store")]
    pub(crate) async fn unlabel_version(&self, arn: &str, _: &str, _: &str) -> Result<(), PortError> {
        Err(PortError::Refused { what: arn.to_owned(), code: "a description stays".into() })
    }

    /// There is no compare-and-set: what is compared is looked at a moment before. The label of the old
    /// version goes first, so that a death between the two leaves both held.
    pub(crate) async fn make_current(&self, arn: &str, from: &str, to: &str) -> Result<(), PortError> {
        let name = name_in(arn)?;
        let number = |version: &str| {
            let parsed = version.parse::<i64>();
            parsed
                .map_err(|_| PortError::Refused { what: arn.to_owned(), code: "no version's number".into() })
        };
        let (from, to) = (number(from)?, number(to)?);
        let history = self.history(name).await?.unwrap_or_default();
        let current = history.iter().find(|found| found.labels.contains(CURRENT_LABEL));
        match current.map(|found| found.number) {
            Some(current) if current == to => return Ok(()),
            Some(current) if current != from => {
                let what = format!("making version {to} of parameter {name} current");
                return Err(PortError::Refused { what, code: format!("version {current} is") });
            }
            _ => {}
        }
        if from != to {
            self.label(name, from, PREVIOUS_LABEL).await?;
        }
        self.label(name, to, CURRENT_LABEL).await
    }

    /// Each put names its key.
    #[expect(clippy::unused_async, reason = "as in the other store")]
    pub(crate) async fn encrypt_with(&self, _: &str, _: &SealingKeyArn) -> Result<(), PortError> {
        Ok(())
    }

    /// Only what is tagged as leaving is listed, and only its name is taken from the list.
    pub(crate) async fn secrets_awaiting_removal(&self, owner: &OwnerId) -> Result<Vec<String>, PortError> {
        const CALL: &str = "DescribeParameters";
        let filter = |tag: &str, value: &str| {
            let filter = ParameterStringFilter::builder().key(format!("tag:{tag}")).option("Equals");
            filter.values(value).build().map_err(|_| incomplete("filter"))
        };
        let call = self
            .0
            .parameters()
            .describe_parameters()
            .parameter_filters(filter(LEAVING_TAG, "true")?)
            .parameter_filters(filter(OWNER_TAG, owner.as_str())?);
        let (mut names, mut next) = (Vec::new(), None);
        loop {
            let page = call.clone().set_next_token(next).send().await;
            let page = page.map_err(|error| failure(CALL, owner.as_str(), &error))?;
            let found = page.parameters.unwrap_or_default().into_iter().filter_map(|found| found.name);
            names.extend(found.filter_map(|name| Some(name.strip_prefix('/')?.to_owned())));
            // A page may be empty and not the last (the API Reference's page on the call).
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(names);
            }
        }
    }

    pub(crate) async fn restore_secret(&self, arn: &str) -> Result<(), PortError> {
        self.untag_secret(arn, &[DELETE_AFTER_TAG, LEAVING_TAG]).await
    }

    pub(crate) async fn untag_secret(&self, arn: &str, keys: &[&str]) -> Result<(), PortError> {
        let name = name_in(arn)?;
        let call = self
            .0
            .parameters()
            .remove_tags_from_resource()
            .resource_type(ResourceTypeForTagging::Parameter)
            .resource_id(name)
            .set_tag_keys(Some(keys.iter().map(|key| (*key).to_owned()).collect()));
        match while_busy(|| call.clone().send()).await {
            Ok(_) => Ok(()),
            Err(error) if is_not_there(code(&error)) => {
                Err(PortError::NotFound { what: format!("parameter {name}") })
            }
            Err(error) => Err(failure("RemoveTagsFromResource", name, &error)),
        }
    }

    pub(crate) async fn tag_secret(&self, arn: &str, tags: &Tags) -> Result<(), PortError> {
        let name = name_in(arn)?;
        let tagged = self.add_tags(name, tags).await?;
        if tagged { Ok(()) } else { Err(PortError::NotFound { what: format!("parameter {name}") }) }
    }

    /// Adds tags, and tells whether there was something to add them to.
    async fn add_tags(&self, name: &str, tags: &Tags) -> Result<bool, PortError> {
        let call = self
            .0
            .parameters()
            .add_tags_to_resource()
            .resource_type(ResourceTypeForTagging::Parameter)
            .resource_id(name)
            .set_tags(Some(tags_of(tags)?));
        match while_busy(|| call.clone().send()).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_there(code(&error)) => Ok(false),
            Err(error) => Err(failure("AddTagsToResource", name, &error)),
        }
    }

    pub(crate) async fn schedule_secret(&self, arn: &str, days: u8) -> Result<(), PortError> {
        let name = name_in(arn)?;
        let leaving = Tags::from([
            (DELETE_AFTER_TAG.to_owned(), end_of_window(Timestamp::now(), days).to_string()),
            (LEAVING_TAG.to_owned(), "true".to_owned()),
        ]);
        match self.add_tags(name, &leaving).await {
            Ok(_) => Ok(()),
            Err(failure) => self.unless_gone(name, failure).await,
        }
    }

    pub(crate) async fn remove_secret(&self, arn: &str) -> Result<(), PortError> {
        let name = name_in(arn)?;
        // A name that is not there is listed in the answer, and is no error.
        match self.0.parameters().delete_parameters().names(name).send().await {
            Ok(_) => Ok(()),
            Err(error) => self.unless_gone(name, failure("DeleteParameters", name, &error)).await,
        }
    }

    /// Parameters have no policies of readers.
    #[expect(clippy::unused_async, reason = "as in the other store")]
    pub(crate) async fn secret_readers(&self, _: &str) -> Result<StoredReaders, PortError> {
        Ok(StoredReaders::None)
    }

    #[expect(clippy::unused_async, reason = "as in the other store")]
    pub(crate) async fn admit_readers(&self, arn: &str, readers: &Readers) -> Result<(), PortError> {
        if readers.is_empty() {
            return Ok(());
        }
        Err(PortError::Refused {
            what: arn.to_owned(),
            code: "parameters have no policies of readers".into(),
        })
    }

    /// Hands the first version out, where none is handed out yet.
    async fn label_the_first(&self, name: &str) -> Result<(), PortError> {
        let history = self.history(name).await?.unwrap_or_default();
        if history.is_empty() || history.iter().any(|version| version.labels.contains(CURRENT_LABEL)) {
            return Ok(());
        }
        self.label(name, 1, CURRENT_LABEL).await
    }

    async fn label(&self, name: &str, version: i64, label: &str) -> Result<(), PortError> {
        let call = self.0.parameters().label_parameter_version().name(name);
        let call = call.parameter_version(version).labels(label);
        match while_busy(|| call.clone().send()).await {
            // A label that breaks the rules for labels is told in the answer.
            Ok(answer) if answer.invalid_labels.as_ref().is_none_or(Vec::is_empty) => Ok(()),
            Ok(_) => {
                Err(PortError::Refused { what: format!("label {label} of {name}"), code: "invalid".into() })
            }
            Err(error) => Err(failure("LabelParameterVersion", name, &error)),
        }
    }

    /// What the history tells of a parameter's versions, oldest first; `None` when it is not there.
    async fn history(&self, name: &str) -> Result<Option<Vec<Past>>, PortError> {
        let call = self.0.parameters().get_parameter_history().name(name).with_decryption(false);
        let (mut versions, mut next) = (Vec::new(), None);
        loop {
            let page = match call.clone().set_next_token(next).send().await {
                Ok(page) => page,
                Err(error) if is_not_there(code(&error)) => return Ok(None),
                Err(error) => return Err(failure("GetParameterHistory", name, &error)),
            };
            versions.extend(page.parameters.unwrap_or_default().into_iter().map(|found| Past {
                number: found.version,
                label: found.description.as_deref().and_then(SignedLabel::in_description),
                labels: found.labels.unwrap_or_default().into_iter().collect(),
            }));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                versions.sort_by_key(|version| version.number);
                return Ok(Some(versions));
            }
        }
    }

    /// A policy that asks for tags denies a parameter that has none because it is gone.
    async fn unless_gone(&self, name: &str, failure: PortError) -> Result<(), PortError> {
        match failure {
            PortError::Denied { .. } if self.tags(name).await?.is_none() => Ok(()),
            failure => Err(failure),
        }
    }

    /// The tags of a parameter; `None` when it is not there.
    async fn tags(&self, name: &str) -> Result<Option<Tags>, PortError> {
        let call = self
            .0
            .parameters()
            .list_tags_for_resource()
            .resource_type(ResourceTypeForTagging::Parameter)
            .resource_id(name);
        match call.send().await {
            Ok(answer) => {
                let tags = answer.tag_list.unwrap_or_default();
                Ok(Some(tags.into_iter().map(|tag| (tag.key, tag.value)).collect()))
            }
            Err(error) if is_not_there(code(&error)) => Ok(None),
            Err(error) => Err(failure("ListTagsForResource", name, &error)),
        }
    }
}

/// A version, as a parameter's history tells of it.
struct Past {
    number: i64,
    /// What its description says, where it is one of ours, and the signature behind it.
    label: Option<(VersionLabel, Option<String>)>,
    labels: BTreeSet<String>,
}

impl Past {
    fn is_of_the_request_of(&self, other: &Self) -> bool {
        let request = |version: &Self| {
            let label = version.label.as_ref().map(|(label, _)| label);
            label.map(|label| (label.token, label.generation.as_str().to_owned()))
        };
        request(self).is_some() && request(self) == request(other)
    }
}

/// The versions that can count, with what is known of each: the current one, the one before it, and
/// those that came after both, without the ones that a slower delivery of a request put. Of the newest
/// there is at least its number.
fn held(history: &[Past]) -> BTreeMap<String, BTreeSet<String>> {
    let staged = |label: &str| history.iter().find(|version| version.labels.contains(label));
    let (current, previous) = (staged(CURRENT_LABEL), staged(PREVIOUS_LABEL));
    let newest = current.into_iter().chain(previous).map(|version| version.number).max().unwrap_or(0);
    let labels_of = |version: &Past| {
        let stage = |staged: Option<&Past>, name: &str| {
            staged.is_some_and(|staged| staged.number == version.number).then(|| name.to_owned())
        };
        stage(current, CURRENT).into_iter().chain(stage(previous, PREVIOUS)).collect::<BTreeSet<_>>()
    };
    let is_first = |version: &Past| {
        let mut others = history.iter().filter(|other| other.number < version.number);
        !others.any(|other| other.is_of_the_request_of(version))
    };
    let mut held = BTreeMap::new();
    for version in history {
        let mut known = labels_of(version);
        if known.is_empty() && (version.number <= newest || !is_first(version)) {
            continue;
        }
        if let Some((label, signature)) = &version.label {
            known.extend(label.to_text().ok().into_iter().chain(signature.clone()));
        }
        held.insert(version.number.to_string(), known);
    }
    if let Some(newest) = history.last() {
        held.entry(newest.number.to_string()).or_default();
    }
    held
}

fn is_not_there(code: Option<&str>) -> bool {
    code.is_some_and(|code| NOT_THERE.contains(&code))
}

/// A secret's name as a parameter has it: a path begins with a slash.
fn parameter_name(name: &SecretName) -> String {
    format!("/{name}")
}

/// The name of the parameter with this ARN.
fn name_in(arn: &str) -> Result<&str, PortError> {
    let name = arn.split_once(PARAMETER).map(|(_, name)| name).filter(|name| name.starts_with('/'));
    name.ok_or_else(|| PortError::Refused { what: arn.to_owned(), code: "no parameter's ARN".into() })
}

fn tags_of(tags: &Tags) -> Result<Vec<Tag>, PortError> {
    let tag = |(key, value): (&String, &String)| {
        // Both fields are set, so building a tag does not fail; were it to, nothing is put without it.
        Tag::builder().key(key).value(value).build().map_err(|_| incomplete("tag"))
    };
    tags.iter().map(tag).collect()
}

fn incomplete(what: &str) -> PortError {
    PortError::Refused { what: format!("building a {what}"), code: "incomplete".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(number: i64, request: &str, labels: &[&str]) -> Past {
        let label = format!("keyboot-b93d48954fb38451-{number}-ek-128f496b-{request}-_-8-");
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Past { number, label: SignedLabel::in_description(&label), labels }
    }

    fn numbers(history: &[Past]) -> Vec<String> {
        let held = held(history).into_iter();
        held.map(|(number, known)| {
            let stages = known.iter().filter(|known| known.starts_with("AWS"));
            std::iter::once(number).chain(stages.cloned()).collect::<Vec<_>>().join(" ")
        })
        .collect()
    }

    #[test]
    fn what_can_count_is_held_and_nothing_else() {
        let put = [past(1, "a", &[]), past(2, "b", &[])];
        assert_eq!(numbers(&put), ["1", "2"]);
        let created = [past(1, "a", &["current"]), past(2, "b", &[])];
        assert_eq!(numbers(&created), ["1 AWSCURRENT", "2"]);
        let older = [past(1, "a", &[]), past(2, "b", &["previous"]), past(3, "c", &["current"])];
        assert_eq!(numbers(&older), ["2 AWSPREVIOUS", "3 AWSCURRENT"]);
        let rolled_back = [past(1, "a", &["current"]), past(2, "b", &["previous"]), past(3, "c", &[])];
        assert_eq!(numbers(&rolled_back), ["1 AWSCURRENT", "2 AWSPREVIOUS", "3"]);
    }

    #[test]
    fn of_two_deliveries_of_one_request_the_first_version_is_the_one() {
        let twice = [past(1, "a", &["current"]), past(2, "b", &[]), past(3, "b", &[]), past(4, "c", &[])];
        assert_eq!(numbers(&twice), ["1 AWSCURRENT", "2", "4"]);
        // Of the newest one its number is known, since the next one follows it, and nothing else.
        let newest = held(&[past(1, "a", &["current"]), past(2, "b", &[]), past(3, "b", &[])]);
        assert_eq!(newest["3"], BTreeSet::new());
        // What tells nothing of itself is no duplicate.
        let mut foreign = [past(1, "a", &["current"]), past(2, "b", &[]), past(3, "b", &[])];
        foreign[2].label = None;
        assert_eq!(numbers(&foreign), ["1 AWSCURRENT", "2", "3"]);
    }

    #[test]
    fn an_arn_gives_the_name_back() {
        let arn = "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/keyboot/tsm/node/0/p2p-key";
        assert_eq!(name_in(arn).unwrap(), "/keyboot/tsm/node/0/p2p-key");
        for bad in ["", "arn:aws:ssm:x:111122223333:parameterx", "arn:aws:secretsmanager:x:1:secret:a"] {
            assert!(name_in(bad).is_err(), "{bad}");
        }
    }
}
