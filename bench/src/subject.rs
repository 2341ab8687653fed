//! What is measured, and how each is started.

use std::path::{Path, PathBuf};

use contract_double::deploy::KmsStack;
use rig::runtime::{self, Environment};

/// What a local build is told where nothing holds it back: so many times AWS's rates.
const UNPACED: u32 = 1000;

/// What is measured beside others that do the same.
pub(crate) trait Contender: Copy + Ord {
    /// Its name in the table and the plot.
    fn name(self) -> &'static str;
    /// Whether it is this project's own, and no yardstick.
    fn is_ours(self) -> bool;
}

/// A function that is measured.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Subject {
    /// The least that a function in Rust can be.
    SdkLess,
    /// Ours.
    NodeKeys,
    /// The same work with crhelper and boto3.
    Python,
}

impl Subject {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::SdkLess, Self::NodeKeys, Self::Python];
    /// Those that make a cluster's keys.
    pub(crate) const MAKERS: [Self; 2] = [Self::NodeKeys, Self::Python];
}

impl Contender for Subject {
    fn name(self) -> &'static str {
        match self {
            Self::SdkLess => "Rust without an SDK",
            Self::NodeKeys => "node-keys",
            Self::Python => "Python, crhelper and boto3",
        }
    }

    fn is_ours(self) -> bool {
        self == Self::NodeKeys
    }
}

/// What starts a node's command with its secrets.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Starter {
    /// Ours.
    KeybootNode,
    /// The same with boto3.
    Python,
}

impl Starter {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::KeybootNode, Self::Python];
}

impl Contender for Starter {
    fn name(self) -> &'static str {
        match self {
            Self::KeybootNode => "keyboot-node exec",
            Self::Python => "Python and boto3",
        }
    }

    fn is_ours(self) -> bool {
        self == Self::KeybootNode
    }
}

/// What has been built, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// The function without an SDK.
    pub(crate) sdk_less: PathBuf,
    /// node-keys as it is deployed: it talks to AWS's own endpoints and to nothing else.
    pub(crate) shipped: PathBuf,
    /// node-keys of the same profile with the feature `local`, which talks to the double.
    pub(crate) local: PathBuf,
    /// keyboot-node with the feature `local`, as node-keys: the deployed one is only weighed.
    pub(crate) keyboot_node: PathBuf,
    /// What starts programs whose peak memory is asked for after their end.
    pub(crate) stopwatch: PathBuf,
    /// The interpreter that has the Python function's packages.
    pub(crate) interpreter: PathBuf,
}

impl Programs {
    /// The program that is started, as it is deployed or to talk to the double.
    pub(crate) fn of(&self, subject: Subject, talks_to_the_double: bool) -> PathBuf {
        match subject {
            Subject::SdkLess => self.sdk_less.clone(),
            Subject::NodeKeys if talks_to_the_double => self.local.clone(),
            Subject::NodeKeys => self.shipped.clone(),
            Subject::Python => python().join("bootstrap"),
        }
    }

    /// The environment of a function that is only started, as a deployed one has it.
    pub(crate) fn environment(&self, subject: Subject, stack: &KmsStack) -> Environment {
        let mut environment = self.environment_on_the_double(subject, stack, None);
        environment.remove("AWS_ENDPOINT_URL");
        environment.remove("KEYBOOT_RATES_TIMES");
        environment
    }

    /// The environment of one that talks to the double, which lets it call so many times as fast as
    /// AWS does, or takes whatever comes.
    pub(crate) fn environment_on_the_double(
        &self,
        subject: Subject,
        stack: &KmsStack,
        rates: Option<u32>,
    ) -> Environment {
        let mut environment = runtime::environment("bench");
        environment.extend(stack.environment());
        environment.insert("KEYBOOT_RATES_TIMES".to_owned(), rates.unwrap_or(UNPACED).to_string());
        if subject == Subject::Python {
            let folder = python().display().to_string();
            environment.insert("BENCH_PYTHON".to_owned(), self.interpreter.display().to_string());
            environment.insert("LAMBDA_TASK_ROOT".to_owned(), folder.clone());
            environment.insert("PYTHONPATH".to_owned(), folder);
            environment.insert("_HANDLER".to_owned(), "app.handler".to_owned());
        }
        environment
    }
}

/// The folder of the Python function, and of the script beside keyboot-node.
pub(crate) fn python() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/python"))
}
