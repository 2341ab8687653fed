//! What is compared: the same calls go to each of these.

use anyhow::{Context as _, Result, bail};
use contract_double::{Double, KeySpec, KeyState, NewKey, Place};
use rig::ministack::MiniStack;
use rig::moto::Moto;
use rig::python::Venv;
use serde_json::{Value, json};

use crate::client::{Answer, Client, kms};
use crate::sequence::Given;
use crate::shape::Kept;

/// The services, by the names under which the differences are listed.
pub(crate) const NAMES: &[&str] = &["double", "ministack", "rig", "moto"];

/// The account whose root user the client is; moto has one of its own.
const ACCOUNT: &str = "000000000000";
const ACCOUNT_OF_MOTO: &str = "123456789012";
/// Lets the account use a key.
const KEY_POLICY: &str = r#"{
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": { "AWS": "arn:aws:iam::000000000000:root" },
        "Action": "kms:*",
        "Resource": "*"
    }
}"#;

/// One service, ready to be called; it ends with this value.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) client: Client,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Double(Double),
    MiniStack { _process: MiniStack },
    Moto { _process: Moto },
}

impl Subject {
    /// Starts the service of that name.
    pub(crate) async fn start(name: &'static str, venv: &Venv) -> Result<Self> {
        let venv = venv.clone();
        // Starting a process is waiting for it.
        let process = move || match name {
            // MiniStack as it comes: with all its faults.
            "ministack" => Ok(Self::of_ministack(MiniStack::start_as_it_comes(&venv)?)),
            // MiniStack with our plug-ins, which is what the other tests run against.
            "rig" => Ok(Self::of_ministack(MiniStack::start(&venv, None)?)),
            "moto" => {
                let process = Moto::start(&venv)?;
                let client = Client::new(&process.endpoint());
                Ok(Self { client, running: Running::Moto { _process: process } })
            }
            _ => bail!("no service is called {name}"),
        };
        if name == "double" {
            let double = Double::start().await?;
            return Ok(Self { client: Client::new(&double.endpoint()), running: Running::Double(double) });
        }
        tokio::task::spawn_blocking(process).await?
    }

    fn of_ministack(process: MiniStack) -> Self {
        let client = Client::new(&process.endpoint());
        Self { client, running: Running::MiniStack { _process: process } }
    }

    /// What every sequence knows: its account.
    pub(crate) fn known(&self) -> Kept {
        let account = match &self.running {
            Running::Double(_) | Running::MiniStack { .. } => ACCOUNT,
            Running::Moto { .. } => ACCOUNT_OF_MOTO,
        };
        Kept::from([("account", account.to_owned())])
    }

    /// Makes what a sequence begins with.
    pub(crate) async fn give(&self, given: Given, kept: &mut Kept) -> Result<()> {
        match &self.running {
            Running::Double(double) => give_within(double, given, kept),
            Running::MiniStack { .. } | Running::Moto { .. } => self.give_by_calls(given, kept).await,
        }
    }

    async fn give_by_calls(&self, given: Given, kept: &mut Kept) -> Result<()> {
        // Not every service takes an ARN in these calls, and they are not what is compared.
        let id =
            |name: &str| Ok::<_, anyhow::Error>(arn_of(name, kept)?.rsplit('/').next().map(str::to_owned));
        let (operation, input) = match given {
            Given::SymmetricKey(_) => ("CreateKey", json!({})),
            Given::SigningKey(_) => {
                ("CreateKey", json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY" }))
            }
            Given::Disabled(name) => ("DisableKey", json!({ "KeyId": id(name)? })),
            Given::Enabled(name) => ("EnableKey", json!({ "KeyId": id(name)? })),
            Given::PendingDeletion(name) => {
                ("ScheduleKeyDeletion", json!({ "KeyId": id(name)?, "PendingWindowInDays": 7 }))
            }
        };
        let answered = match self.client.call(kms(operation), &input).await? {
            Answer::Done(answered) => answered,
            other => bail!("{operation}: {other:?}"),
        };
        if let Given::SymmetricKey(name) | Given::SigningKey(name) = given {
            let arn = answered.pointer("/KeyMetadata/Arn").and_then(Value::as_str);
            kept.insert(name, arn.context("a key without an ARN")?.to_owned());
        }
        Ok(())
    }
}

fn give_within(double: &Double, given: Given, kept: &mut Kept) -> Result<()> {
    let made = |spec| {
        let place = Place::new(ACCOUNT, rig::cloud::REGION);
        double.with(|world| world.create_key(&place, NewKey::new(spec, KEY_POLICY)))
    };
    let put = |name, state| {
        let arn = arn_of(name, kept)?;
        double.with(|world| world.set_key_state(arn, state));
        anyhow::Ok(())
    };
    match given {
        Given::SymmetricKey(name) => {
            kept.insert(name, made(KeySpec::SymmetricDefault)?);
            Ok(())
        }
        Given::SigningKey(name) => {
            kept.insert(name, made(KeySpec::EccNistP256)?);
            Ok(())
        }
        Given::Disabled(name) => put(name, KeyState::Disabled),
        Given::Enabled(name) => put(name, KeyState::Enabled),
        Given::PendingDeletion(name) => put(name, KeyState::PendingDeletion),
    }
}

fn arn_of<'a>(name: &str, kept: &'a Kept) -> Result<&'a str> {
    kept.get(name).map(String::as_str).with_context(|| format!("no key {name} was made"))
}
