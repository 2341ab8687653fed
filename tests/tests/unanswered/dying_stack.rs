//! The KMS Stack with a function in node-keys' place that dies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rig::calls;
use rig::cloud::Cloud;
use rig::functions::pack;
use rig::ministack::MiniStack;
use rig::python::Venv;
use rig::stack::{Deployed, Deployment, StackEvent};
use serde_json::Value;

/// How often something that is bound to come is looked for.
const POLL: Duration = Duration::from_millis(50);

/// How a function dies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Death {
    /// It exits before it asks for an event.
    AtStart,
    /// It exits with the event in its hands.
    InTheHandler,
    /// It takes more memory than it has.
    OfMemory,
    /// It does not come to an end.
    OfTime,
    /// It answers, and exits before it tells Lambda.
    AfterAnAnswer,
}

impl Death {
    fn order(self) -> &'static str {
        match self {
            Self::AtStart => "at-start",
            Self::InTheHandler => "in-the-handler",
            Self::OfMemory => "of-memory",
            Self::OfTime => "of-time",
            Self::AfterAnAnswer => "after-an-answer",
        }
    }
}

/// A local AWS that ends with this value, and in it a KMS Stack whose node-keys dies.
pub(crate) struct DyingStack {
    ministack: MiniStack,
    deployment: Deployment,
    id: String,
}

impl DyingStack {
    /// Begins to create the stack of our template.
    pub(crate) async fn begin(death: Death) -> Result<Self> {
        Self::begin_with(death, &std::fs::read_to_string(rig::template())?).await
    }

    /// Begins to create the stack of another template.
    pub(crate) async fn begin_with(death: Death, template: &str) -> Result<Self> {
        let venv = Venv::ready()?;
        let ministack = match death {
            // Five minutes as the template has them are too long to be waited for.
            Death::OfTime => MiniStack::start_hurried(&venv, 2)?,
            _ => MiniStack::start(&venv, None)?,
        };
        let orders = format!("{}\n{}\n", death.order(), notes(&ministack).display());
        let program = std::fs::read(env!("CARGO_BIN_EXE_dying-function"))?;
        let code =
            BTreeMap::from([("node-keys", pack([("bootstrap", program), ("orders", orders.into())])?)]);
        let root = Cloud::as_root(&ministack.endpoint());
        let deployment = Deployment::of_template(&root, "kms", template, code, [("Nodes", "0")]).await?;
        let deployment = match death {
            // The roll-back would end the function before it is tried again.
            Death::AfterAnAnswer => deployment.keeping_failures(),
            _ => deployment,
        };
        let id = deployment.begin_create().await?;
        Ok(Self { ministack, deployment, id })
    }

    /// The id of the stack.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Waits until CloudFormation has ended what it does with the stack.
    pub(crate) async fn settled(&self) -> Result<Deployed> {
        self.deployment.wait(&self.id, |_| ()).await
    }

    /// What the function in node-keys' place noted, line by line.
    pub(crate) fn notes(&self) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(notes(&self.ministack)).context("it was never started")?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// How many times the function in node-keys' place was started.
    pub(crate) fn starts(&self) -> Result<usize> {
        Ok(self.notes()?.iter().filter(|note| *note == "started").count())
    }

    /// The events that the function in node-keys' place was handed.
    pub(crate) fn events(&self) -> Result<Vec<Value>> {
        Ok(self.notes()?.iter().filter_map(|note| serde_json::from_str(note).ok()).collect())
    }

    /// The answers that reached CloudFormation by now, in their order.
    pub(crate) fn answers(&self) -> Result<Vec<Value>> {
        let calls = calls::read(&self.ministack.calls())?;
        let answers = calls.into_iter().filter(|call| call.operation.as_deref() == Some("Answer"));
        answers.map(|call| Ok(serde_json::from_str(call.request.as_deref().unwrap_or_default())?)).collect()
    }

    /// What MiniStack and the functions wrote by now.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.ministack.log())?)
    }

    /// Waits for what is bound to come.
    pub(crate) async fn until(&self, what: &str, mut come: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        for _ in 0..1200 {
            if come(self)? {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        anyhow::bail!("{what}: it has not come after a minute; the log:\n{}", self.log()?)
    }
}

fn notes(ministack: &MiniStack) -> PathBuf {
    ministack.log().parent().unwrap_or(Path::new("/")).join("notes")
}

/// The stack's events of its resource `Keys` with a status.
pub(crate) fn of_keys<'a>(stack: &'a Deployed, status: &str) -> Result<&'a StackEvent> {
    let mut of_keys = stack.events.iter().filter(|event| event.logical_resource_id() == Some("Keys"));
    of_keys
        .find(|event| event.resource_status().is_some_and(|found| found.as_str() == status))
        .with_context(|| format!("no event {status} of Keys: {:?}", stack.reasons()))
}
