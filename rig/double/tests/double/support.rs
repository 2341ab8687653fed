//! What the tests share: clients of the accounts, and what a refusal was.

use std::fmt::Debug;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use contract_double::{Double, KeySpec, NewKey, Place};
use rig::cloud::{Cloud, REGION};

/// The account of most tests.
pub(crate) const ACCOUNT: &str = "111122223333";
/// Another one.
pub(crate) const OTHER: &str = "444455556666";

/// Where most tests are.
pub(crate) fn place() -> Place {
    Place::new(ACCOUNT, REGION)
}

/// An account as its root user sees it.
pub(crate) fn root_of(double: &Double, account: &str) -> Cloud {
    with_key(double, account, None)
}

/// As its root user sees the account of most tests.
pub(crate) fn root(double: &Double) -> Cloud {
    root_of(double, ACCOUNT)
}

/// As whoever has this access key, in a session.
pub(crate) fn with_key(double: &Double, access_key: &str, session: Option<&str>) -> Cloud {
    let session = session.map(str::to_owned);
    Cloud::with(&double.endpoint(), Credentials::new(access_key, "of-nobody", session, None, "test"))
}

/// As a role of an account sees it, with one policy of these statements.
pub(crate) fn role(double: &Double, account: &str, name: &str, statements: &str) -> Cloud {
    let arn = role_arn(account, name);
    let policy = policy(statements);
    let key = double.with(|world| world.add_role(&arn, &[policy])).unwrap();
    with_key(double, &key, None)
}

pub(crate) fn role_arn(account: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role/{name}")
}

/// A policy of these statements.
pub(crate) fn policy(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

/// A statement for an identity policy.
pub(crate) fn allow(action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":{action:?},"Resource":{resource:?}}}"#)
}

/// A key policy that leaves all to the policies of the account.
pub(crate) fn open_key_policy(account: &str) -> String {
    policy(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{account}:root"}},"Action":"kms:*","Resource":"*"}}"#
    ))
}

/// A key that encrypts, with a key policy that leaves all to the account.
pub(crate) fn symmetric_key(double: &Double) -> String {
    key(double, KeySpec::SymmetricDefault)
}

/// A key with a key policy that leaves all to the account.
pub(crate) fn key(double: &Double, spec: KeySpec) -> String {
    let new = NewKey::new(spec, open_key_policy(ACCOUNT));
    double.with(|world| world.create_key(&place(), new)).unwrap()
}

/// Waits for something that is about to happen.
pub(crate) async fn until(happened: impl AsyncFn() -> bool) {
    let wait = async {
        while !happened().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait).await.expect("it does not happen");
}

/// The code of a refusal.
pub(crate) fn code<T: Debug, E: ProvideErrorMetadata + Debug>(result: Result<T, SdkError<E>>) -> String {
    let error = result.expect_err("it was not refused");
    let service = error.as_service_error().unwrap_or_else(|| panic!("no answer: {error:?}"));
    service.code().unwrap_or_else(|| panic!("no code: {service:?}")).to_owned()
}

/// What a refusal says.
pub(crate) fn message<T: Debug, E: ProvideErrorMetadata + Debug>(result: Result<T, SdkError<E>>) -> String {
    let error = result.expect_err("it was not refused");
    error.as_service_error().and_then(|error| error.message()).unwrap_or_default().to_owned()
}
