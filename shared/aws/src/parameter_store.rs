//! Parameter Store: where public documents are kept, as Advanced parameters.

use std::collections::HashMap;

use aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder;
use aws_sdk_ssm::types::{ParameterTier, ParameterType, Tag};
use jiff::Timestamp;
use provisioning::authority::Permit;
use provisioning::names::ParameterName;
use provisioning::ownership::Tags;
use provisioning::ports::{PortError, Publisher};

use crate::failure::{code, failure};
use crate::patience::{BUSY, while_busy};
use crate::session::AwsWorld;

/// The answer to a first put under a name in use.
pub(crate) const EXISTS: &str = "ParameterAlreadyExists";
/// What takes all policies from a parameter (Systems Manager User Guide, "Assigning parameter
/// policies").
const NO_POLICY: &str = "[{}]";

impl Publisher for AwsWorld {
    async fn read_documents(&self, names: &[ParameterName]) -> Result<Vec<Option<String>>, PortError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let asked = names.iter().map(|name| name.as_str().to_owned()).collect();
        let answer = self.parameters().get_parameters().set_names(Some(asked)).send().await;
        let answer = answer.map_err(|error| failure("GetParameters", names[0].as_str(), &error))?;
        let mut found: HashMap<String, String> = answer
            .parameters
            .unwrap_or_default()
            .into_iter()
            .filter_map(|parameter| Some((parameter.name?, parameter.value?)))
            .collect();
        Ok(names.iter().map(|name| found.remove(name.as_str())).collect())
    }

    async fn read_numbered(&self, name: &ParameterName) -> Result<Option<(u64, String)>, PortError> {
        let answer = self.parameters().get_parameters().names(name.as_str()).send().await;
        let answer = answer.map_err(|error| failure("GetParameters", name.as_str(), &error))?;
        let found = answer.parameters.unwrap_or_default().into_iter().next();
        Ok(found.and_then(|found| Some((u64::try_from(found.version).ok()?, found.value?))))
    }

    async fn publish_new(
        &self,
        _: &Permit,
        name: &ParameterName,
        text: &str,
        tags: &Tags,
        expires: Option<Timestamp>,
    ) -> Result<(), PortError> {
        let mut call = self.put(name, text).set_policies(expires.map(expiration));
        for (key, value) in tags {
            // Both fields are set, so building a tag does not fail; were it to, the put would
            // rather lack a tag than be made without its owner's check.
            let tag = Tag::builder().key(key).value(value).build();
            call =
                call.tags(tag.map_err(|_| PortError::Refused {
                    what: format!("tag {key}"),
                    code: "incomplete".into(),
                })?);
        }
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some(EXISTS) => {
                Err(PortError::Exists { what: format!("parameter {name}") })
            }
            Err(error) => Err(failure("PutParameter", name.as_str(), &error)),
        }
    }

    async fn republish(
        &self,
        _: &Permit,
        name: &ParameterName,
        text: &str,
        expires: Option<Timestamp>,
    ) -> Result<(), PortError> {
        let policy = expires.map_or_else(|| NO_POLICY.to_owned(), expiration);
        let call = self.put(name, text).overwrite(true).policies(policy);
        // Duplicates of one operation write the same parameter at once.
        let put = while_busy(|| call.clone().send()).await;
        put.map(drop).map_err(|error| failure("PutParameter", name.as_str(), &error))
    }

    async fn replace_numbered(
        &self,
        _: &Permit,
        name: &ParameterName,
        text: &str,
        expires: Timestamp,
    ) -> Result<u64, PortError> {
        match self.put(name, text).overwrite(true).policies(expiration(expires)).send().await {
            Ok(put) => Ok(u64::try_from(put.version).unwrap_or_default()),
            Err(error) if code(&error) == Some(BUSY) => {
                Err(PortError::Exists { what: format!("another writer of parameter {name}") })
            }
            Err(error) => Err(failure("PutParameter", name.as_str(), &error)),
        }
    }

    async fn withdraw(&self, _: &Permit, names: &[ParameterName]) -> Result<(), PortError> {
        let Some(first) = names.first() else { return Ok(()) };
        let asked = names.iter().map(|name| name.as_str().to_owned()).collect();
        // Names that are not there are listed in the answer, and are no error.
        let answer = self.parameters().delete_parameters().set_names(Some(asked)).send().await;
        answer.map_err(|error| failure("DeleteParameters", first.as_str(), &error))?;
        Ok(())
    }

    fn document_arn(&self, name: &ParameterName) -> String {
        self.signing_key().parameter_arn(name.as_str())
    }
}

impl AwsWorld {
    fn put(&self, name: &ParameterName, text: &str) -> PutParameterFluentBuilder {
        self.parameters()
            .put_parameter()
            .name(name.as_str())
            .value(text)
            .r#type(ParameterType::String)
            .tier(ParameterTier::Advanced)
    }
}

/// The policy that lets a parameter vanish at a time.
fn expiration(at: Timestamp) -> String {
    format!(r#"[{{"Type":"Expiration","Version":"1.0","Attributes":{{"Timestamp":"{at}"}}}}]"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expiration_policy_is_the_documented_one() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let json: serde_json::Value = serde_json::from_str(&expiration(at)).unwrap();
        assert_eq!(json[0]["Type"], "Expiration");
        assert_eq!(json[0]["Attributes"]["Timestamp"], "2026-01-02T03:04:05Z");
    }
}
