//! Our functions as Lambda runs them, fed by hand: the builds for the rig, whose answers come to the
//! test.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::functions::{Build, bootstrap};
use rig::receiver::{Reaction, Receiver};
use rig::runtime::{Ended, Function, Outcome, environment};
use serde_json::Value;

/// The stack that the functions serve, in the files of `events/` as well.
pub(crate) const STACK_ID: &str =
    "arn:aws:cloudformation:us-east-1:111122223333:stack/kms/51af3dc0-da77-11e4-872e-1234567db123";
/// What node-keys is in the files.
pub(crate) const NODE_KEYS: &str = "arn:aws:lambda:us-east-1:111122223333:function:kms-NodeKeysFunction";
/// What must not be printed of a `ResponseURL`.
pub(crate) const SIGNATURE: &str = "signature-canary-3e90";

/// How long a start or anything over loopback may take.
const SOON: Duration = Duration::from_secs(20);

/// One of our functions, and where its answers come.
pub(crate) struct ByHand {
    function: Function,
    answers: Receiver,
}

impl ByHand {
    pub(crate) async fn start(name: &str) -> Result<Self> {
        let mut environment = environment(name);
        for (name, value) in [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("KEYBOOT_FUNCTION_ARN", NODE_KEYS),
            ("KEYBOOT_SIGNING_KEY_ARN", "arn:aws:kms:us-east-1:111122223333:key/7c0a5d3e"),
            ("KEYBOOT_ROLE_ARN", "arn:aws:iam::111122223333:role/kms-NodeKeysRole"),
            (
                "KEYBOOT_ROTATION_FUNCTION_ARN",
                "arn:aws:lambda:us-east-1:111122223333:function:kms-KeyRotationFunction",
            ),
            ("KEYBOOT_ROTATION_ROLE_ARN", "arn:aws:iam::111122223333:role/kms-KeyRotationRole"),
            ("KEYBOOT_STACK_IDS", STACK_ID),
        ] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        let mut function = Function::start(&bootstrap(name, Build::Local)?, &environment).await?;
        ensure!(function.ready(SOON).await.is_some(), "{name} does not start");
        Ok(Self { function, answers: Receiver::start().await? })
    }

    /// Where an answer comes to the test.
    pub(crate) fn response_url(&self) -> String {
        self.answers.url(&format!("/answer?X-Amz-Signature={SIGNATURE}"))
    }

    /// Has the bucket of the answers react like this from now on.
    pub(crate) fn react(&self, reactions: impl IntoIterator<Item = Reaction>) {
        self.answers.react(reactions);
    }

    /// Hands the function a text, with the given time to end.
    pub(crate) async fn invoke(&mut self, event: &str, time: Duration) -> Result<Outcome> {
        self.function.invoke(event.to_owned(), time).await
    }

    /// The next answer that came.
    pub(crate) async fn answer(&self) -> Result<Value> {
        let received = self.answers.next(SOON).await.context("no answer came")?;
        assert_eq!(received.method.as_str(), "PUT");
        assert!(received.body.len() <= 4096);
        received.json()
    }

    /// Whether an answer came that was not asked for yet. A function ends its invocation after its
    /// answer, so that none is under way.
    pub(crate) async fn has_more(&self) -> bool {
        !self.answers.so_far().await.is_empty()
    }

    /// Ends the function, and gives what is left of it.
    pub(crate) async fn end(self) -> Result<Ended> {
        self.function.end().await
    }
}
