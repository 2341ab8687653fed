//! Parameter Store, where it keeps secrets: SecureStrings under the secrets' own names, never read.
//!
//! It has no request tokens and no recovery window. Whose a parameter is stands in the tags that its
//! first put sets, and a parameter that is let go of says in its tags until when it can come back; at
//! the end of that time it is still there, until a later operation of its owner removes it. Of whether
//! a value was ever retrieved it tells nothing.

use std::time::Duration;

use aws_sdk_ssm::types::{ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging, Tag};
use jiff::{SignedDuration, Timestamp};
use provisioning::authority::Permit;
use provisioning::names::SecretName;
use provisioning::ownership::{DELETE_AFTER_TAG, KEY_TAG, LEAVING_TAG, OWNER_TAG, OwnerId, Tags};
use provisioning::ports::{NewSecret, PortError, SecretFacts, StoredSecret};
use provisioning::store::Store;

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
/// What an ARN says before a parameter's name.
const PARAMETER: &str = ":parameter";

/// AWS, as far as it keeps secrets in Parameter Store.
pub(crate) struct SecureStrings<'a>(pub(crate) &'a AwsWorld);

impl SecureStrings<'_> {
    pub(crate) async fn create_secret(
        &self,
        _: &Permit,
        secret: NewSecret<'_>,
    ) -> Result<StoredSecret, PortError> {
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
            .description(secret.description)
            .set_tags(Some(tags_of(&tags)?))
            .overwrite(false)
            // EXPOSE: to the store, over TLS.
            .value(secret.value.expose());
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match while_busy(|| call.clone().send()).await {
                Ok(put) => {
                    let arn = self.0.signing_key().parameter_arn(&name);
                    return Ok(StoredSecret { arn, version_id: put.version.to_string() });
                }
                Err(error) if code(&error) == Some(EXISTS) => {
                    if attempt == TRIES || self.tags(&name).await?.is_some() {
                        break;
                    }
                }
                Err(error) => return Err(failure("PutParameter", &name, &error)),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(PortError::Exists { what: format!("parameter {name}") })
    }

    pub(crate) async fn describe_secret(&self, name: &SecretName) -> Result<Option<SecretFacts>, PortError> {
        let name = parameter_name(name);
        let tags = self.tags(&name).await?;
        Ok(tags.map(|tags| SecretFacts {
            store: Store::ParameterStore,
            arn: self.0.signing_key().parameter_arn(&name),
            key: tags.get(KEY_TAG).cloned(),
            scheduled_for_deletion: tags.contains_key(DELETE_AFTER_TAG),
            // A time that cannot be read never comes.
            awaits_removal_from: tags.get(DELETE_AFTER_TAG).and_then(|at| at.parse().ok()),
            was_retrieved: false,
            tags,
        }))
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

    pub(crate) async fn restore_secret(&self, _: &Permit, arn: &str) -> Result<(), PortError> {
        let name = name_in(arn)?;
        let call = self
            .0
            .parameters()
            .remove_tags_from_resource()
            .resource_type(ResourceTypeForTagging::Parameter)
            .resource_id(name)
            .tag_keys(DELETE_AFTER_TAG)
            .tag_keys(LEAVING_TAG);
        match while_busy(|| call.clone().send()).await {
            Ok(_) => Ok(()),
            Err(error) if is_not_there(code(&error)) => {
                Err(PortError::NotFound { what: format!("parameter {name}") })
            }
            Err(error) => Err(failure("RemoveTagsFromResource", name, &error)),
        }
    }

    pub(crate) async fn schedule_secret(&self, _: &Permit, arn: &str, days: u8) -> Result<(), PortError> {
        let name = name_in(arn)?;
        let leaving = Tags::from([
            (DELETE_AFTER_TAG.to_owned(), in_days(Timestamp::now(), days).to_string()),
            (LEAVING_TAG.to_owned(), "true".to_owned()),
        ]);
        let call = self
            .0
            .parameters()
            .add_tags_to_resource()
            .resource_type(ResourceTypeForTagging::Parameter)
            .resource_id(name)
            .set_tags(Some(tags_of(&leaving)?));
        match while_busy(|| call.clone().send()).await {
            Ok(_) => Ok(()),
            Err(error) if is_not_there(code(&error)) => Ok(()),
            Err(error) => self.unless_gone(name, failure("AddTagsToResource", name, &error)).await,
        }
    }

    pub(crate) async fn remove_secret(&self, _: &Permit, arn: &str) -> Result<(), PortError> {
        let name = name_in(arn)?;
        // A name that is not there is listed in the answer, and is no error.
        match self.0.parameters().delete_parameters().names(name).send().await {
            Ok(_) => Ok(()),
            Err(error) => self.unless_gone(name, failure("DeleteParameters", name, &error)).await,
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

/// When a recovery window of `days` that starts now is over, in whole seconds.
fn in_days(now: Timestamp, days: u8) -> Timestamp {
    let end = now.saturating_add(SignedDuration::from_hours(24 * i64::from(days)));
    let end = end.unwrap_or(Timestamp::MAX);
    Timestamp::from_second(end.as_second()).unwrap_or(end)
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

    #[test]
    fn a_recovery_window_is_told_in_whole_seconds() {
        let now: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        assert_eq!(in_days(now, 30).to_string(), "2026-02-01T03:04:05Z");
        assert_eq!(in_days(Timestamp::MAX, 7).as_second(), Timestamp::MAX.as_second());
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
