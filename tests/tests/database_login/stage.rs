//! A database, its secrets, and the real function that serves both: one process for each delivery.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use contract_double::{Call, Double, Place, Rotation, SecretValue, Side};
use contract_double::{CallKey, Pattern};
use rig::cloud::{Cloud, REGION};
use rig::functions::{Build, bootstrap};
use rig::postgres::Postgres;
use rig::python::Venv;
use rig::receiver::{Reaction, Receiver};
use rig::runtime::{self, Environment, Function, Outcome};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio_postgres::SimpleQueryMessage;

/// How long Lambda lets the function run.
pub(crate) const TIME: Duration = Duration::from_mins(2);
/// How long anything may take that goes over loopback.
pub(crate) const SOON: Duration = Duration::from_mins(1);

pub(crate) const LOGIN: &str = "keyboot-storage/tsm/node/0/database-login";
const MASTER: &str = "rds-db-0";
const ACCOUNT: &str = "000000000000";
const ROLE: &str = "arn:aws:iam::000000000000:role/database-login-0";
const STACK: &str =
    "arn:aws:cloudformation:us-east-1:000000000000:stack/core/11111111-2222-4333-8444-555555555555";

/// A login as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) host: String,
    pub(crate) port: u64,
    pub(crate) dbname: String,
}

impl Login {
    fn read(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let text = |name: &str| value[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        ensure!(value["engine"] == "postgres" && value.as_object().is_some_and(|all| all.len() == 6));
        Ok(Self {
            username: text("username")?,
            password: text("password")?,
            host: text("host")?,
            port: value["port"].as_u64().context("no port")?,
            dbname: text("dbname")?,
        })
    }
}

/// The login's secret as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Stored {
    /// Values by version id.
    pub(crate) versions: BTreeMap<String, Option<String>>,
    /// Version ids by label.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Stored {
    pub(crate) fn staged(&self, label: &str) -> Result<Login> {
        let id = self.labels.get(label).with_context(|| format!("nothing is {label}"))?;
        Login::read(self.versions.get(id).and_then(Option::as_deref).context("no value")?)
    }

    pub(crate) fn current(&self) -> Result<Login> {
        self.staged("AWSCURRENT")
    }
}

/// The double with a database's secrets in it, and the database.
pub(crate) struct Stage {
    pub(crate) double: Double,
    pub(crate) postgres: Arc<Postgres>,
    pub(crate) login_arn: String,
    pub(crate) environment: Environment,
    program: PathBuf,
    folder: Arc<tempfile::TempDir>,
}

impl Stage {
    /// A stage on which nothing has happened yet.
    pub(crate) async fn new() -> Result<Self> {
        Self::with(Postgres::start(&Venv::ready()?)?).await
    }

    /// The same with this server.
    pub(crate) async fn with(postgres: Postgres) -> Result<Self> {
        let double = Double::start().await?;
        let secrets = Cloud::as_root(&double.endpoint()).secrets();
        let login = secrets.create_secret().name(LOGIN).send().await?;
        let login_arn = login.arn.context("no ARN")?;
        let value = json!({ "username": Postgres::MASTER, "password": Postgres::PASSWORD }).to_string();
        let master = secrets.create_secret().name(MASTER).secret_string(value).send().await?;
        let master_arn = master.arn.context("no ARN")?;
        let policy = policy(&login_arn, &master_arn);
        let access_key = double.with(|world| world.add_role(ROLE, &[policy]))?;
        let folder = Arc::new(tempfile::Builder::new().prefix("code-").tempdir_in(rig::home())?);
        std::fs::copy(postgres.authority(), folder.path().join("rds-roots.pem"))?;
        let mut environment = runtime::environment("database-login");
        environment.extend(
            [
                ("AWS_ACCESS_KEY_ID", access_key),
                ("AWS_ENDPOINT_URL", double.endpoint()),
                ("DATABASE_HOST", Postgres::HOST.to_owned()),
                ("DATABASE_NAME", Postgres::DATABASE.to_owned()),
                ("DATABASE_PORT", postgres.port().to_string()),
                ("LAMBDA_TASK_ROOT", folder.path().display().to_string()),
                ("LOGIN_SECRET_ARN", login_arn.clone()),
                ("MASTER_SECRET_ARN", master_arn),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let program = bootstrap("database-login", Build::Local)?;
        Ok(Self { double, postgres: Arc::new(postgres), login_arn, environment, program, folder })
    }

    /// A stage on which the stack has been created.
    pub(crate) async fn in_service() -> Result<Self> {
        let stage = Self::new().await?;
        stage.succeeds(&create("create-1")).await?;
        Ok(stage)
    }

    /// The file with the authorities that the function believes.
    pub(crate) fn roots(&self) -> PathBuf {
        self.folder.path().join("rds-roots.pem")
    }

    pub(crate) fn place() -> Place {
        Place::new(ACCOUNT, REGION)
    }

    /// The login's secret.
    pub(crate) fn stored(&self) -> Result<Stored> {
        self.double.with(|world| {
            let secret = world.secret(&Self::place(), LOGIN).context("the secret is gone")?;
            let text = |value: &SecretValue| match value {
                SecretValue::Text(text) => text.clone(),
                SecretValue::Binary(_) => "binary".to_owned(),
            };
            let versions = secret.versions.values();
            Ok(Stored {
                versions: versions
                    .clone()
                    .map(|version| (version.id.clone(), version.value.as_ref().map(text)))
                    .collect(),
                labels: versions
                    .flat_map(|version| {
                        version.stages.iter().map(|label| (label.clone(), version.id.clone()))
                    })
                    .collect(),
            })
        })
    }

    /// Stores a value as somebody else would.
    pub(crate) async fn overwrite(&self, name: &str, value: &str) -> Result<()> {
        let secrets = Cloud::as_root(&self.double.endpoint()).secrets();
        let id = if name == LOGIN { self.login_arn.as_str() } else { MASTER };
        secrets.put_secret_value().secret_id(id).secret_string(value).send().await?;
        Ok(())
    }

    /// RDS gives the master user another password.
    pub(crate) async fn rotate_master(&self, password: &str) -> Result<()> {
        self.as_superuser(&format!("ALTER ROLE {} PASSWORD '{password}'", Postgres::MASTER)).await?;
        let value = json!({ "username": Postgres::MASTER, "password": password }).to_string();
        self.overwrite(MASTER, &value).await
    }

    /// Switches rotation on, and begins one: what Secrets Manager does before its first step.
    pub(crate) fn begin_rotation(&self, token: &str) -> Result<()> {
        self.switch_rotation_on();
        let is_current = self.stored()?.labels.get("AWSCURRENT").is_some_and(|current| current == token);
        if !is_current {
            self.double.with(|world| world.begin_rotation(&Self::place(), LOGIN, token))?;
        }
        Ok(())
    }

    pub(crate) fn switch_rotation_on(&self) {
        let (function, rules, last_rotated) = ("of nobody".to_owned(), None, None);
        self.double.with(|world| {
            if let Some(secret) = world.secret_mut(&Self::place(), LOGIN) {
                secret.rotation = Some(Rotation { enabled: true, function, rules, last_rotated });
            }
        });
    }

    /// A process of the function whose calls have this session.
    pub(crate) async fn function(&self, session: &str) -> Result<Function> {
        let mut environment = self.environment.clone();
        environment.insert("AWS_SESSION_TOKEN".to_owned(), session.to_owned());
        Function::start(&self.program, &environment).await
    }

    /// Delivers an event of CloudFormation, and gives the answer.
    pub(crate) async fn deliver(&self, event: &Value) -> Result<Value> {
        Ok(self.deliver_aloud(event).await?.0)
    }

    /// The same, and what the function wrote.
    pub(crate) async fn deliver_aloud(&self, event: &Value) -> Result<(Value, String)> {
        let receiver = Receiver::start().await?;
        let mut event = event.clone();
        event["ResponseURL"] = receiver.url("/answer?signature=of-the-answer").into();
        let mut function = self.function("again").await?;
        let ended = function.invoke(event.to_string(), TIME).await?;
        let printed = function.end().await?.printed();
        match receiver.next(Duration::ZERO).await {
            Ok(answer) => Ok((answer.json()?, printed)),
            Err(_) => bail!("{ended:?} without an answer: {printed}"),
        }
    }

    /// An event is carried out, and has to succeed.
    pub(crate) async fn succeeds(&self, event: &Value) -> Result<Value> {
        let answer = self.deliver(event).await?;
        ensure!(answer["Status"] == "SUCCESS", "{answer}");
        Ok(answer)
    }

    /// An event is carried out, and has to fail; gives the reason.
    pub(crate) async fn fails(&self, event: &Value) -> Result<String> {
        let answer = self.deliver(event).await?;
        ensure!(answer["Status"] == "FAILED", "{answer}");
        Ok(answer["Reason"].as_str().unwrap_or_default().to_owned())
    }

    /// An event is carried out up to a call, or up to its answer, where the process dies.
    pub(crate) async fn die(&self, event: &Value, at: Option<(&CallKey, Side)>) -> Result<()> {
        let receiver = Receiver::start_with(Reaction::Stall).await?;
        let mut event = event.clone();
        event["ResponseURL"] = receiver.url("/answer?signature=of-the-dead").into();
        let hold = at.map(|(call, side)| self.double.hold(Pattern::from(call), side));
        let mut function = self.function("dies").await?;
        let reached = async {
            match &hold {
                Some(hold) => drop(hold.reached().await),
                None => drop(receiver.next(SOON).await),
            }
        };
        tokio::select! {
            reached = tokio::time::timeout(SOON, reached) => reached.context("it did not come so far")?,
            ended = function.invoke(event.to_string(), TIME) => bail!("it ended before: {:?}", ended?),
        }
        function.end().await?;
        Ok(())
    }

    /// Has a process do what these events ask for, as far as it succeeds.
    pub(crate) async fn ask(&self, session: &str, events: Vec<Value>) -> Result<Outcome> {
        let events = events.iter().map(Value::to_string);
        self.function(session).await?.ask(events, TIME).await
    }

    /// A rotation from its first event to its last, which has to succeed.
    pub(crate) async fn rotate(&self, token: &str) -> Result<()> {
        self.begin_rotation(token)?;
        let outcome = self.ask("rotates", steps(&self.login_arn, token)).await?;
        ensure!(matches!(outcome, Outcome::Response(_)), "{}", said(&outcome));
        Ok(())
    }

    /// Whether the database accepts a login.
    pub(crate) async fn is_accepted(&self, login: &Login) -> Result<bool> {
        match self.ask_database(&login.username, &login.password, Postgres::DATABASE, "SELECT 1").await {
            Ok(_) => Ok(true),
            Err(error) if code_of(&error).as_deref() == Some("28P01") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the database answers a login.
    pub(crate) async fn as_login(&self, login: &Login, statements: &str) -> Result<Vec<String>> {
        self.ask_database(&login.username, &login.password, Postgres::DATABASE, statements).await
    }

    /// What the database answers the superuser.
    pub(crate) async fn as_superuser(&self, statements: &str) -> Result<Vec<String>> {
        let password = self.postgres.password_of_superuser()?;
        self.ask_database(Postgres::SUPERUSER, &password, Postgres::DATABASE, statements).await
    }

    /// The first column of every row that comes of statements.
    pub(crate) async fn ask_database(
        &self,
        user: &str,
        password: &str,
        database: &str,
        statements: &str,
    ) -> Result<Vec<String>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.postgres.authority())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let mut config = tokio_postgres::Config::new();
        config.host(Postgres::HOST).port(self.postgres.port()).user(user).password(password).dbname(database);
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
        let (client, connection) = config.connect(tokio_postgres_rustls::MakeRustlsConnect::new(tls)).await?;
        let connection = tokio::spawn(connection);
        let answer = client.simple_query(statements).await;
        drop(client);
        let _ = connection.await;
        let rows = answer?.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Waits until somebody holds the lock, however late that is.
    pub(crate) async fn until_the_lock_is_held(&self) {
        let holders = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted";
        while !self.as_superuser(holders).await.is_ok_and(|rows| !rows.is_empty()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The calls that changed something, after so many.
    pub(crate) fn writes_since(&self, calls: usize) -> Vec<Call> {
        let mut calls = self.double.calls_since(calls);
        calls.retain(|call| {
            call.took_effect
                && call.session.is_some()
                && !["DescribeSecret", "GetSecretValue"].contains(&call.operation.as_str())
        });
        calls
    }

    /// What the server has logged since so many bytes of its log.
    pub(crate) fn logged_since(&self, length: usize) -> Result<String> {
        Ok(self.postgres.log()?.get(length..).unwrap_or_default().to_owned())
    }
}

/// Takes the lock under which logins are changed, and keeps it.
pub(crate) fn lock_for(seconds: u32) -> String {
    format!("SELECT pg_advisory_lock(30229394524958580); SELECT pg_sleep({seconds})")
}

/// What the function's role may do: the statements of stacks/core.yaml, on these two secrets.
fn policy(login: &str, master: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "secretsmanager:GetSecretValue",
                "Resource": [login, master],
            },
            {
                "Effect": "Allow",
                "Action": [
                    "secretsmanager:DescribeSecret",
                    "secretsmanager:PutSecretValue",
                    "secretsmanager:UpdateSecretVersionStage",
                ],
                "Resource": login,
            },
        ],
    })
    .to_string()
}

/// The SQLSTATE of an error, if the server gave one.
pub(crate) fn code_of(error: &anyhow::Error) -> Option<String> {
    let error = error.downcast_ref::<tokio_postgres::Error>()?;
    error.code().map(|code| code.code().to_owned())
}

fn properties(database: &str) -> Value {
    json!({
        "ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:core-DatabaseLogin0",
        "ServiceTimeout": "600",
        "Database": database,
    })
}

fn event(request_type: &str, id: &str, database: &str) -> Value {
    json!({
        "RequestType": request_type,
        "RequestId": id,
        "StackId": STACK,
        "ResourceType": "Custom::DatabaseLogin",
        "LogicalResourceId": "DatabaseLogin0",
        "ResourceProperties": properties(database),
    })
}

pub(crate) fn create(id: &str) -> Value {
    event("Create", id, "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

pub(crate) fn update(id: &str, physical_id: &Value, database: &str) -> Value {
    let mut event = event("Update", id, database);
    event["PhysicalResourceId"] = physical_id.clone();
    event["OldResourceProperties"] = properties("db-ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    event
}

pub(crate) fn delete(id: &str, physical_id: &Value) -> Value {
    let mut event = event("Delete", id, "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    event["PhysicalResourceId"] = physical_id.clone();
    event
}

pub(crate) const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

/// The events of one rotation.
pub(crate) fn steps(arn: &str, token: &str) -> Vec<Value> {
    STEPS
        .map(|step| {
            json!({
                "Step": step,
                "SecretId": arn,
                "ClientRequestToken": token,
                "RotationToken": ROTATION_TOKEN,
            })
        })
        .into()
}

/// As long as a real one.
pub(crate) const ROTATION_TOKEN: &str = "a-credential-of-one-rotation-and-no-other";

pub(crate) fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Response(body) | Outcome::Error(body) => String::from_utf8_lossy(body).into_owned(),
        other => format!("{other:?}"),
    }
}

pub(crate) fn refusal(outcome: &Outcome) -> Result<String> {
    match outcome {
        Outcome::Error(_) => Ok(said(outcome)),
        other => bail!("it was not refused: {}", said(other)),
    }
}
