//! The adapters themselves, each call of theirs: what the server takes, what it refuses, and what that is told as.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use key_material::ethereum::EthereumAddress;
use key_material::{Curve, P2pPrivateKey};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use provisioning::names::{ClusterName, Segment, Slot};
use provisioning::ownership::{Generation, Owner, Tags};
use provisioning::ports::{Publisher as _, RecordSigner as _, SecretStore as _, StackState as _};
use provisioning::sealing::EncryptionContext;
use provisioning::store::Store;
use reading::ReadError;
use reading::ports::{CurrentReader as _, DocumentReader as _, SecretReader as _};
use rig::openbao::Ready;
use rig::python::Venv;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use vault::kv::{Kv, TEXT, VALUE, VersionState};
use vault::operation::Kind;
use vault::server::Role;
use vault::settings::{AppRole, Login, Settings};
use vault::transit::{Transit, context_base64};
use vault::{
    Beginning, Connection, HeldOperation, Mounts, Place, RoleKeyName, RoleKeyState, RoleKeyStore, RoleName,
    Server, Session, Token, VaultError, VaultReader, VaultWorld,
};

/// A needle: where a value must not be, this is looked for.
const NEEDLE: &str = "a-needle-that-nothing-else-holds";

/// A server with its engines and keys, set up by the adapter that sets servers up.
struct Set {
    bao: Ready,
    place: Place,
    folder: TempDir,
}

impl Set {
    async fn up() -> Result<Self> {
        let bao = Ready::start(&Venv::onprem()?).await?;
        let place = Place { server: "ops".parse()?, mounts: Mounts::default() };
        let folder = tempfile::Builder::new().prefix("keyboot-store-").tempdir()?;
        let set = Self { bao, place, folder };
        let root = set.root()?;
        let (server, mounts) = (Server::new(root.connection()), &set.place.mounts);
        // Twice: what is there already is fine.
        for _ in 0..2 {
            server.ensure_kv(&mounts.secrets, "secrets", 100).await?;
            server.ensure_kv(&mounts.documents, "documents", 100).await?;
            server.ensure_transit(&mounts.transit, "keys").await?;
            server.ensure_app_role(&mounts.app_role).await?;
            let transit = Transit::new(root.connection(), &mounts.transit);
            transit.make_seal_key(&mounts.seal_key).await?;
            transit.make_record_key(&mounts.record_key).await?;
        }
        Ok(set)
    }

    fn session(&self, token: &str) -> Result<Session> {
        let address = self.bao.server.address().parse()?;
        Ok(Session::with_token(&address, &self.bao.server.ca_file(), &Token::new(token)?)?)
    }

    fn root(&self) -> Result<Session> {
        self.session(&self.bao.root_token)
    }

    /// A login with a policy of its own and nothing else.
    async fn with_policy(&self, name: &str, policy: &str) -> Result<Session> {
        let token = self.bao.token_of(name, policy).await?;
        self.session(&token)
    }

    fn settings(&self, login: Login) -> Result<Settings> {
        Ok(Settings {
            address: self.bao.server.address().parse()?,
            name: "ops".parse()?,
            ca_file: self.bao.server.ca_file(),
            login,
            mounts: Mounts::default(),
        })
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.folder.path().join(name);
        std::fs::write(&file, text)?;
        Ok(file)
    }
}

fn owner(server: &str) -> Result<Owner> {
    Ok(Owner {
        id: "keyboot/keyboot/l2/0123456789abcdef".parse()?,
        stack_id: format!("onprem:{server}:team"),
        logical_id: "NodeKeys".into(),
    })
}

fn is_refused<T>(result: Result<T, VaultError>, by: &str) -> Result<()> {
    match result {
        Err(VaultError::Refused { code, .. }) if code.contains(by) => Ok(()),
        Err(error) => bail!("it was refused otherwise: {error}"),
        Ok(_) => bail!("it was not refused"),
    }
}

#[tokio::test]
async fn a_value_is_written_once_and_described_without_being_read() -> Result<()> {
    let set = Set::up().await?;
    let root = set.root()?;
    let kv = Kv::new(root.connection(), &set.place.mounts.secrets);
    let maker = set
        .with_policy(
            "maker",
            r#"path "keyboot-secrets/data/a/*" { capabilities = ["create"] }
               path "keyboot-secrets/subkeys/a/*" { capabilities = ["read"] }
               path "keyboot-secrets/metadata/a/*" { capabilities = ["create", "update", "patch", "read", "list"] }"#,
        )
        .await?;
    let made = Kv::new(maker.connection(), &set.place.mounts.secrets);
    let facts = BTreeSet::from(["keyboot:owner=somebody/+=".to_owned(), "label=a b".to_owned()]);
    assert_eq!(made.put_secret("a/b", NEEDLE, &facts, 0).await?, 1);
    // Who may only create is denied a second one, whatever he compares with.
    for newest in [0, 1] {
        let second = made.put_secret("a/b", "other", &facts, newest).await;
        assert!(matches!(second, Err(VaultError::Denied { .. })), "{second:?}");
    }
    assert!(matches!(made.read("a/b", None).await, Err(VaultError::Denied { .. })));
    assert_eq!(made.facts("a/b", None).await?, Some(facts.clone()));
    assert_eq!(made.facts("a/b", Some(1)).await?, Some(facts.clone()));
    assert_eq!(made.facts("a/b", Some(2)).await?, None);
    assert_eq!(made.facts("a/none", None).await?, None);
    let told = set.bao.call(Method::GET, "keyboot-secrets/subkeys/a/b", None).await?.accepted()?;
    assert!(!told.to_string().contains(NEEDLE), "{told}");

    // Who may update is told of a comparison that fails, and nothing is written.
    for newest in [0, 2] {
        let stale = kv.put_secret("a/b", "other", &facts, newest).await;
        assert!(matches!(stale, Err(VaultError::Conflict { .. })), "{stale:?}");
    }
    assert_eq!(kv.put_secret("a/b", "second", &BTreeSet::new(), 1).await?, 2);
    // EXPOSE: to this test, which wrote it.
    assert_eq!(kv.read("a/b", Some(1)).await?.context("none")?.expose(VALUE), Some(NEEDLE));
    assert_eq!(kv.read("a/b", None).await?.context("none")?.expose(VALUE), Some("second"));
    assert_eq!(kv.facts("a/b", Some(2)).await?, Some(BTreeSet::new()));

    // What may change beside it.
    assert_eq!(made.metadata("a/none").await?, None);
    let missing = made.merge_custom("a/none", &BTreeMap::from([("x", Some("y"))])).await;
    assert!(matches!(missing, Err(VaultError::NotFound { .. })), "{missing:?}");
    made.merge_custom("a/b", &BTreeMap::from([("x", Some("y")), ("z", Some("1"))])).await?;
    made.merge_custom("a/b", &BTreeMap::from([("x", None), ("other", None), ("z", Some("2"))])).await?;
    let metadata = made.metadata("a/b").await?.context("none")?;
    assert_eq!(metadata.custom, BTreeMap::from([("z".to_owned(), "2".to_owned())]));
    assert_eq!(metadata.newest, 2);
    made.set_custom("a/empty/c", &BTreeMap::from([("only".to_owned(), "this".to_owned())])).await?;
    assert_eq!(made.metadata("a/empty/c").await?.context("none")?.newest, 0);
    assert_eq!(made.list("a").await?, ["b", "empty/"]);
    assert_eq!(made.list_all("a").await?, ["a/b", "a/empty/c"]);
    assert_eq!(made.list_all("a/none").await?, Vec::<String>::new());

    kv.delete("a/b", &[1]).await?;
    assert!(kv.read("a/b", Some(1)).await?.is_none());
    assert_eq!(kv.facts("a/b", Some(1)).await?, None);
    let states = kv.metadata("a/b").await?.context("none")?.versions;
    assert_eq!(states, BTreeMap::from([(1, VersionState::Deleted), (2, VersionState::Held)]));
    kv.undelete("a/b", &[1]).await?;
    // EXPOSE: as above.
    assert_eq!(kv.read("a/b", Some(1)).await?.context("none")?.expose(VALUE), Some(NEEDLE));
    kv.remove("a/b").await?;
    kv.remove("a/b").await?;
    assert_eq!(kv.metadata("a/b").await?, None);
    // It may come again, and counts from 1 again.
    assert_eq!(kv.put_secret("a/b", "third", &facts, 0).await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_told_from_what_cannot_be_asked() -> Result<()> {
    let set = Set::up().await?;
    let root = set.root()?;
    let nowhere = "keyboot-nowhere".parse()?;
    let kv = Kv::new(root.connection(), &nowhere);
    is_refused(kv.metadata("a/b").await, "nothing is mounted there")?;
    is_refused(kv.read("a/b", None).await, "nothing is mounted there")?;
    for path in ["", "/a", "a//b", "a/../b", "a/%2e%2e/b", "a/./b", "a b", "a?version=1", "a/#b"] {
        let kv = Kv::new(root.connection(), &set.place.mounts.secrets);
        is_refused(kv.read(path, None).await, "no path of one thing")?;
    }
    let nobody = set.session("hvs.nobody")?;
    let denied = Kv::new(nobody.connection(), &set.place.mounts.secrets).metadata("a/b").await;
    assert!(matches!(denied, Err(VaultError::Denied { .. })), "{denied:?}");

    // Another authority, and nobody there.
    let address = set.bao.server.address().parse()?;
    let other = Ready::start(&Venv::onprem()?).await?;
    let stranger = Connection::to(&address, &other.server.ca_file())?;
    let told = Server::new(&stranger).health().await;
    assert!(
        matches!(&told, Err(VaultError::Unavailable { code, .. }) if code.contains("certificate")),
        "{told:?}"
    );
    let garbled =
        set.file("garbled.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")?;
    for file in [garbled, set.file("empty.pem", "")?, set.folder.path().join("none.pem")] {
        let told = Connection::to(&address, &file);
        assert!(matches!(told, Err(VaultError::NoAuthorities { .. })), "{told:?}");
    }
    let fingerprint = Connection::to(&address, &set.bao.server.ca_file())?.certificate_fingerprint().await?;
    let spelled = fingerprint.map(|byte| format!("{byte:02X}")).join(":");
    assert_eq!(spelled, set.bao.server.fingerprint()?);

    // Sealed: at once, since no second try opens it.
    set.bao.server.restart().await?;
    let begun = std::time::Instant::now();
    let sealed = Kv::new(root.connection(), &set.place.mounts.secrets).metadata("a/b").await;
    assert_eq!(sealed, Err(VaultError::Sealed));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let health = Server::new(root.connection()).health().await?;
    assert!(health.initialized && health.sealed, "{health:?}");
    assert_eq!((health.storage_type.as_str(), health.threshold, health.shares), ("raft", 2, 3));
    Ok(())
}

#[tokio::test]
async fn a_wrapped_secret_id_lets_one_in_once_and_only_as_its_role() -> Result<()> {
    let set = Set::up().await?;
    let root = set.root()?;
    let (server, mount) = (Server::new(root.connection()), &set.place.mounts.app_role);
    server
        .write_policy(
            "reader",
            r#"path "auth/token/lookup-self" { capabilities = ["read"] }
               path "auth/token/revoke-self" { capabilities = ["update"] }"#,
        )
        .await?;
    assert!(server.policies().await?.contains(&"reader".to_owned()));
    assert!(server.policy("reader").await?.context("none")?.contains("lookup-self"));
    assert_eq!(server.policy("nobody").await?, None);
    let role = Role {
        token_policies: vec!["reader".into()],
        token_no_default_policy: true,
        token_ttl: 600,
        token_max_ttl: 1200,
        bind_secret_id: true,
        secret_id_num_uses: 1,
        secret_id_ttl: 600,
        ..Role::default()
    };
    let [name, other]: [RoleName; 2] = ["reader".parse()?, "other".parse()?];
    for name in [&name, &other] {
        server.write_role(mount, name, &role).await?;
    }
    assert_eq!(server.roles(mount).await?, ["other", "reader"]);
    let told = server.role(mount, &name).await?.context("none")?;
    assert_eq!((told.secret_id_num_uses, told.token_ttl, told.token_no_default_policy), (1, 600, true));
    assert!(server.role(mount, &"nobody".parse()?).await?.is_none());
    let role_id = server.role_id(mount, &name).await?;

    let login = |file: &Path, role: &RoleName| {
        set.settings(Login::AppRole(AppRole {
            role: role.clone(),
            role_id: role_id.clone(),
            secret_id_file: file.to_owned(),
            wrapped: true,
        }))
    };
    let grant = async |role: &RoleName| -> Result<(PathBuf, String)> {
        let wrapped = server.wrapped_secret_id(mount, role, Duration::from_mins(2)).await?;
        assert_eq!(wrapped.ttl, Duration::from_mins(2));
        assert!(!wrapped.accessor.is_empty());
        assert!(!format!("{wrapped:?}").contains(wrapped.token.expose()));
        // EXPOSE: to a file of this test.
        let text = wrapped.token.expose().to_owned();
        Ok((set.file("secret-id", &format!("{text}\n"))?, text))
    };

    let (file, text) = grant(&name).await?;
    let session = Session::open(&login(&file, &name)?).await?;
    let facts = session.token_facts().await?;
    assert_eq!(facts.policies, ["reader"]);
    assert!(!facts.is_root && !facts.is_batch && facts.uses.is_none(), "{facts:?}");
    assert_eq!(session.lease(), Some(Duration::from_mins(10)));
    assert!(!file.exists(), "its wrapping is worthless and stands there still");
    // EXPOSE: to this test.
    let token = session.token().expose().to_owned();
    assert!(!format!("{session:?}{:?}", session.token()).contains(&token));
    session.revoke().await?;
    let dead = session.token_facts().await;
    assert!(matches!(dead, Err(VaultError::Denied { .. })), "{dead:?}");
    // What is dead already is fine.
    session.end().await?;

    // The same wrapping again: somebody else could have been the first.
    let again = set.file("secret-id", &text)?;
    match Session::open(&login(&again, &name)?).await {
        Err(VaultError::NoLogin { fault, .. }) => assert!(fault.contains("was used already"), "{fault}"),
        other => bail!("{other:?}"),
    }
    // One of another role is not even unwrapped: its own role can still use it.
    let (file, text) = grant(&other).await?;
    match Session::open(&login(&file, &name)?).await {
        Err(VaultError::NoLogin { fault, .. }) => {
            assert!(fault.contains("auth/approle/role/other/secret-id"), "{fault}");
            assert!(!fault.contains(&text));
        }
        other => bail!("{other:?}"),
    }
    let other_id = server.role_id(mount, &other).await?;
    let mut own = login(&file, &other)?;
    if let Login::AppRole(role) = &mut own.login {
        role.role_id = other_id;
    }
    Session::open(&own).await?.end().await?;

    // A file that is none, or not there.
    for file in [set.file("nothing", "")?, set.file("two", "a b")?, set.folder.path().join("none")] {
        let told = Session::open(&login(&file, &name)?).await;
        assert!(matches!(told, Err(VaultError::NoLogin { .. })), "{told:?}");
    }
    // A secret id that was destroyed.
    let made = server.wrapped_secret_id(mount, &name, Duration::from_mins(1)).await?;
    let accessors = server.secret_id_accessors(mount, &name).await?;
    assert!(accessors.contains(&made.accessor), "{accessors:?}");
    server.destroy_secret_id(mount, &name, &made.accessor).await?;
    // EXPOSE: to a file of this test.
    let file = set.file("destroyed", made.token.expose())?;
    match Session::open(&login(&file, &name)?).await {
        Err(VaultError::NoLogin { fault, .. }) => assert!(fault.contains("was not let in"), "{fault}"),
        other => bail!("{other:?}"),
    }
    Ok(())
}

/// Looks for what must not be there in whatever the libraries below log at their finest level.
struct Watch {
    needles: Mutex<Vec<String>>,
    heard: AtomicUsize,
    found: Mutex<Vec<String>>,
}

static WATCH: Watch =
    Watch { needles: Mutex::new(Vec::new()), heard: AtomicUsize::new(0), found: Mutex::new(Vec::new()) };

impl log::Log for Watch {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        let said = format!("{}: {}", record.target(), record.args());
        if self.needles.lock().unwrap().iter().any(|needle| said.contains(needle.as_str())) {
            self.found.lock().unwrap().push(said);
        }
    }

    fn flush(&self) {}
}

#[tokio::test]
async fn nothing_below_logs_a_value_or_a_token_at_its_finest_level() -> Result<()> {
    const VALUE_OF_THIS: &str = "a-value-that-only-the-test-of-logs-writes";
    log::set_logger(&WATCH).map_err(|_| anyhow::anyhow!("another logger is set"))?;
    log::set_max_level(log::LevelFilter::Trace);
    log::info!("{VALUE_OF_THIS}");
    let set = Set::up().await?;
    let maker =
        set.with_policy("everything", r#"path "*" { capabilities = ["create", "update", "read"] }"#).await?;
    // EXPOSE: to the watch of this test.
    let token = maker.token().expose().to_owned();
    let needles =
        [VALUE_OF_THIS.to_owned(), STANDARD.encode(VALUE_OF_THIS), token, set.bao.root_token.clone()];
    WATCH.needles.lock().unwrap().extend(needles);
    // It hears what it listens for.
    log::info!("{VALUE_OF_THIS}");
    assert_eq!(WATCH.found.lock().unwrap().drain(..).count(), 1);
    let heard = WATCH.heard.load(Ordering::Relaxed);

    let kv = Kv::new(maker.connection(), &set.place.mounts.secrets);
    kv.put_secret("a/b", VALUE_OF_THIS, &BTreeSet::new(), 0).await?;
    assert!(kv.read("a/b", None).await?.is_some());
    assert!(kv.put_secret("a/b", VALUE_OF_THIS, &BTreeSet::new(), 7).await.is_err());
    let transit = Transit::new(maker.connection(), &set.place.mounts.transit);
    let slot = Slot { index: "0".parse()?, purpose: "p2p-key".parse()? };
    let context = EncryptionContext::of(&"keyboot/tsm".parse()?, &slot);
    let sealed = transit.seal(&set.place.mounts.seal_key, &context, VALUE_OF_THIS.as_bytes()).await?;
    transit.open(&set.place.mounts.seal_key, &context, &sealed).await?;
    assert!(transit.open(&set.place.mounts.seal_key, &context, b"vault:v1:AAAA").await.is_err());
    maker.end().await?;
    assert!(kv_of_a_dead_token(&set).await.is_err());
    let more = WATCH.heard.load(Ordering::Relaxed) - heard;
    assert!(more > 0, "nothing below logs anything: this test looks at nothing");
    assert_eq!(*WATCH.found.lock().unwrap(), Vec::<String>::new());
    Ok(())
}

async fn kv_of_a_dead_token(set: &Set) -> Result<(), VaultError> {
    let dead = set.session("hvs.dead").unwrap();
    Kv::new(dead.connection(), &set.place.mounts.secrets).read("a/b", None).await.map(drop)
}

#[tokio::test]
async fn what_is_sealed_opens_under_its_context_and_no_other() -> Result<()> {
    let set = Set::up().await?;
    let root = set.root()?;
    let (mount, seal, records) =
        (&set.place.mounts.transit, &set.place.mounts.seal_key, &set.place.mounts.record_key);
    let transit = Transit::new(root.connection(), mount);
    let cluster: ClusterName = "keyboot/tsm".parse()?;
    let context = |index: &str| -> Result<EncryptionContext> {
        let slot = Slot { index: index.parse()?, purpose: "p2p-key".parse()? };
        Ok(EncryptionContext::of(&cluster, &slot))
    };
    let (own, other) = (context("0")?, context("1")?);
    let sealed = transit.seal(seal, &own, NEEDLE.as_bytes()).await?;
    assert!(sealed.starts_with(b"vault:v1:"));
    // EXPOSE: to this test.
    assert_eq!(transit.open(seal, &own, &sealed).await?.expose(), NEEDLE.as_bytes());
    assert!(transit.open(seal, &other, &sealed).await.is_err());
    is_refused(transit.open(seal, &own, b"\xff").await, "no ciphertext")?;

    // A node's policy names its own context: another one is denied, and so is a batch that names none.
    let node = set
        .with_policy(
            "node",
            &format!(
                r#"path "keyboot-transit/decrypt/seal" {{
                     capabilities = ["update"]
                     allowed_parameters = {{ "ciphertext" = [], "context" = ["{}"] }}
                   }}"#,
                context_base64(&own)?
            ),
        )
        .await?;
    let held = Transit::new(node.connection(), mount);
    // EXPOSE: to this test.
    assert_eq!(held.open(seal, &own, &sealed).await?.expose(), NEEDLE.as_bytes());
    let theirs = transit.seal(seal, &other, NEEDLE.as_bytes()).await?;
    let denied = held.open(seal, &other, &theirs).await;
    assert!(matches!(denied, Err(VaultError::Denied { .. })), "{denied:?}");
    let batch = json!({ "batch_input": [{
        "ciphertext": String::from_utf8(theirs)?, "context": context_base64(&other)?,
    }] });
    // EXPOSE: to the server that gave it.
    let token = node.token().expose().to_owned();
    let path = "keyboot-transit/decrypt/seal";
    let answer = set.bao.server.call(Method::POST, path, Some(&token), Some(&batch)).await?;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    assert!(matches!(held.seal(seal, &own, b"x").await, Err(VaultError::Denied { .. })));

    // The key that signs.
    let digest: [u8; 32] = Sha256::digest("a record").into();
    let signature = Signature::from_der(&transit.sign(records, digest).await?)?;
    let key = VerifyingKey::from_public_key_der(&transit.public_key(records).await?)?;
    key.verify_prehash(&digest, &signature)?;
    let wrong: [u8; 32] = Sha256::digest("another record").into();
    assert!(key.verify_prehash(&wrong, &signature).is_err());
    for (name, kind, derived) in [(seal, "aes256-gcm96", true), (records, "ecdsa-p256", false)] {
        let facts = transit.key(name).await?.context("none")?;
        assert_eq!((facts.kind.as_str(), facts.derived), (kind, derived));
        assert!(!facts.exportable && !facts.plaintext_backup && !facts.deletion_allowed, "{facts:?}");
    }
    assert!(transit.key(&"none".parse()?).await?.is_none());
    assert!(transit.public_key(seal).await.is_err());
    Ok(())
}

async fn begin(
    set: &Set,
    session: &Session,
    declaration: &str,
    hold: Duration,
    now: Timestamp,
) -> Result<HeldOperation, VaultError> {
    let (cluster, owner) = ("keyboot/l2".parse().unwrap(), owner("ops").unwrap());
    let beginning =
        Beginning { cluster: &cluster, owner: &owner, kind: Kind::Create, declaration, hold, now };
    vault::begin(session, &set.place, beginning).await
}

#[tokio::test]
async fn one_is_at_work_and_goes_on_under_the_same_id() -> Result<()> {
    let set = Set::up().await?;
    let (root, place) = (set.root()?, &set.place);
    let (minute, now) = (Duration::from_mins(1), Timestamp::now());
    let cluster: ClusterName = "keyboot/l2".parse()?;
    assert_eq!(vault::operation::last(&root, place, &cluster).await?, None);
    let first = begin(&set, &root, "sha256:a", minute, now).await?;
    assert!(!first.resumed && first.stands(&root, place, now).await?);
    match begin(&set, &root, "sha256:a", minute, now).await {
        Err(VaultError::Held { id, .. }) => assert_eq!(id, first.id.as_str()),
        other => bail!("{other:?}"),
    }
    // Where half of it is over it is made longer.
    let later = now + SignedDuration::from_secs(45);
    assert!(first.stands(&root, place, later).await?);
    let held = begin(&set, &root, "sha256:a", minute, now + SignedDuration::from_secs(90)).await;
    assert!(matches!(held, Err(VaultError::Held { .. })), "{held:?}");
    // Its process died: the same declaration goes on, another one begins anew.
    let over = now + SignedDuration::from_secs(200);
    let second = begin(&set, &root, "sha256:a", minute, over).await?;
    assert!(second.resumed);
    assert_eq!(second.id, first.id);
    assert!(!first.stands(&root, place, over).await?, "two are at work");
    // What the first one does at its end leaves the second one alone.
    first.complete(&root, place).await?;
    assert!(second.stands(&root, place, over).await?);
    second.let_go(&root, place).await?;
    let third = begin(&set, &root, "sha256:a", minute, over).await?;
    assert!(third.resumed);
    let id = third.id.clone();
    third.complete(&root, place).await?;
    let last = vault::operation::last(&root, place, &cluster).await?.context("none")?;
    assert_eq!((&last.id, last.is_complete, last.declaration.as_str()), (&id, true, "sha256:a"));
    // What came to its end is not begun again under its id.
    let fourth = begin(&set, &root, "sha256:a", minute, over).await?;
    assert!(!fourth.resumed);
    assert_ne!(fourth.id, id);
    fourth.let_go(&root, place).await?;
    let fifth = begin(&set, &root, "sha256:b", minute, over).await?;
    assert!(!fifth.resumed, "another declaration goes on with what it did not begin");

    // What provisioning is shown in CloudFormation's place.
    let owner = owner("ops")?;
    let world = VaultWorld::new(&root, place.clone(), Some(&fifth), |_| {}).at(move || over);
    let shown = world.resource_state(&owner.stack_id, &owner.logical_id).await?.context("nothing")?;
    assert_eq!((shown.status.as_str(), shown.physical_id), ("CREATE_IN_PROGRESS", None));
    assert_eq!(world.resource_state("onprem:ops:other", &owner.logical_id).await?, None);
    assert_eq!(world.resource_state(&owner.stack_id, "Other").await?, None);
    assert_eq!(world.stack_status(&owner.stack_id).await?, None);
    let ended = VaultWorld::new(&root, place.clone(), Some(&fifth), |_| {})
        .at(move || over + SignedDuration::from_secs(61));
    assert_eq!(ended.resource_state(&owner.stack_id, &owner.logical_id).await?, None);
    Ok(())
}

#[tokio::test]
async fn of_many_who_begin_at_once_one_does() -> Result<()> {
    let set = Set::up().await?;
    let root = set.root()?;
    let (minute, now) = (Duration::from_mins(1), Timestamp::now());
    let all = (0..8).map(|_| begin(&set, &root, "sha256:a", minute, now));
    let all = futures_util::future::join_all(all).await;
    let (begun, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    assert_eq!(begun.len(), 1, "{refused:?}");
    assert!(refused.iter().all(|it| matches!(it, Err(VaultError::Held { .. }))), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_roles_key_is_stored_once_hidden_and_brought_back() -> Result<()> {
    let set = Set::up().await?;
    let root = set.root()?;
    let store = RoleKeyStore::new(&root, &set.place);
    let (chain, role): (ClusterName, Segment) = ("keyboot/l2".parse()?, "batcher".parse()?);
    let name = RoleKeyName { chain: chain.clone(), role, number: 1 };
    let (owner, generation) = (owner("ops")?, Generation::new("request-1"));
    assert_eq!(store.describe(&name).await?, None);
    assert_eq!(store.list(&chain).await?, vault::RoleKeys::default());
    let key = P2pPrivateKey::make(Curve::Secp256k1)?;
    let address = EthereumAddress::of(&key.public_key())?;
    store.create(&name, &key, &owner, &generation).await?;
    let again = store.create(&name, &P2pPrivateKey::make(Curve::Secp256k1)?, &owner, &generation).await;
    assert!(matches!(again, Err(VaultError::Conflict { .. })), "{again:?}");
    is_refused(
        store.create(&name, &P2pPrivateKey::make(Curve::P256)?, &owner, &generation).await,
        "secp256k1",
    )?;
    let path = "keyboot-secrets/data/keyboot/l2/role/batcher/1";
    let stored = set.bao.call(Method::GET, path, None).await?.accepted()?;
    let value = stored["data"]["data"]["value"].as_str().context("no value")?.to_owned();
    // EXPOSE: to this test, which made it.
    assert_eq!(value, key.expose_scalar_hex().as_str());
    assert_eq!(value.len(), 64);

    let facts = store.describe(&name).await?.context("none")?;
    assert_eq!((facts.address, &facts.public), (address, &key.public_key()));
    assert_eq!((facts.owner.as_ref(), facts.generation.as_ref()), (Some(&owner), Some(&generation)));
    assert_eq!(facts.state, RoleKeyState::Held);
    // A death before the tags were written: they are told of the value all the same.
    let metadata = "keyboot-secrets/metadata/keyboot/l2/role/batcher/1";
    let none = json!({ "custom_metadata": {} });
    set.bao.call(Method::POST, metadata, Some(&none)).await?.accepted()?;
    assert_eq!(store.describe(&name).await?.as_ref(), Some(&facts));
    store.tag(&name, &Tags::from([("keyboot:note".to_owned(), "x".to_owned())])).await?;
    assert_eq!(store.describe(&name).await?.context("none")?.owner, Some(owner.clone()));
    store.untag(&name, &["keyboot:note", "keyboot:never"]).await?;
    assert_eq!(store.describe(&name).await?.as_ref(), Some(&facts));

    // Let go of: nobody reads it, and it comes back with its value.
    let until: Timestamp = "2030-01-01T00:00:00Z".parse()?;
    store.schedule(&name, until).await?;
    store.schedule(&name, until + SignedDuration::from_hours(1)).await?;
    let state = store.describe(&name).await?.context("none")?.state;
    assert_eq!(state, RoleKeyState::Leaving { until: Some(until), hidden: true });
    let hidden = set.bao.call(Method::GET, path, None).await?;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    assert!(!hidden.body.to_string().contains(&value));
    let taken = store.create(&name, &P2pPrivateKey::make(Curve::Secp256k1)?, &owner, &generation).await;
    assert!(matches!(taken, Err(VaultError::Conflict { .. })), "{taken:?}");
    store.restore(&name).await?;
    store.restore(&name).await?;
    assert_eq!(store.describe(&name).await?.as_ref(), Some(&facts));
    let stored = set.bao.call(Method::GET, path, None).await?.accepted()?;
    assert_eq!(stored["data"]["data"]["value"], json!(value));

    // What somebody else has put there is told and not believed.
    let foreign = RoleKeyName { number: 2, ..name.clone() };
    let kv = Kv::new(root.connection(), &set.place.mounts.secrets);
    kv.put_secret(&foreign.to_string(), NEEDLE, &BTreeSet::new(), 0).await?;
    kv.put_secret("keyboot/l2/role/batcher/no-number", NEEDLE, &BTreeSet::new(), 0).await?;
    let keys = store.list(&chain).await?;
    assert_eq!(keys.known.iter().map(|key| key.name.number).collect::<Vec<_>>(), [1]);
    assert_eq!(keys.unknown.iter().map(|key| key.name.number).collect::<Vec<_>>(), [2]);
    is_refused(store.describe(&foreign).await, "chain")?;
    store.remove(&name).await?;
    store.remove(&name).await?;
    assert_eq!(store.describe(&name).await?, None);
    let gone = store.schedule(&name, until).await;
    assert!(matches!(gone, Err(VaultError::NotFound { .. })), "{gone:?}");
    Ok(())
}

#[tokio::test]
async fn a_reader_reads_what_is_named_exactly_and_logs_in_anew() -> Result<()> {
    let set = Set::up().await?;
    let root = set.root()?;
    let (server, mounts) = (Server::new(root.connection()), &set.place.mounts);
    let [secrets, documents] = [&mounts.secrets, &mounts.documents].map(|at| Kv::new(root.connection(), at));
    for (newest, value) in [(0, "first"), (1, "second")] {
        secrets.put_secret("keyboot/tsm/node/0/p2p-key", value, &BTreeSet::new(), newest).await?;
    }
    documents.put_fields("keyboot/tsm/node/0/record", &BTreeMap::from([(TEXT, "a record")]), 0).await?;
    let over = BTreeMap::from([(TEXT, "a lease"), ("expires", "2020-01-01T00:00:00Z")]);
    documents.put_fields("keyboot/tsm/node/0/lease", &over, 0).await?;
    server
        .write_policy(
            "node",
            r#"path "keyboot-secrets/data/keyboot/tsm/node/0/p2p-key" { capabilities = ["read"] }
               path "keyboot-documents/data/keyboot/tsm/*" { capabilities = ["read"] }
               path "auth/token/revoke-self" { capabilities = ["update"] }"#,
        )
        .await?;
    let role = Role {
        token_policies: vec!["node".into()],
        token_no_default_policy: true,
        token_ttl: 600,
        token_max_ttl: 600,
        bind_secret_id: true,
        ..Role::default()
    };
    let name: RoleName = "node".parse()?;
    server.write_role(&mounts.app_role, &name, &role).await?;
    let made = set.bao.call(Method::POST, "auth/approle/role/node/secret-id", None).await?.accepted()?;
    let file = set.file("secret-id", made["data"]["secret_id"].as_str().context("no secret id")?)?;
    let login = Login::AppRole(AppRole {
        role_id: server.role_id(&mounts.app_role, &name).await?,
        role: name,
        secret_id_file: file.clone(),
        wrapped: false,
    });
    assert!(!login.is_for_once());
    let reader = VaultReader::new(set.settings(login)?);

    let arn = set.place.secret_arn("keyboot/tsm/node/0/p2p-key");
    assert_eq!(arn, "arn:vault:kv:ops:root:secret/keyboot/tsm/node/0/p2p-key");
    // EXPOSE: to this test, which wrote them.
    assert_eq!(reader.fetch_version(&arn, "1").await?.expose(), "first");
    assert_eq!(reader.fetch_version(&arn, "2").await?.expose(), "second");
    assert!(file.exists(), "a secret id of many uses was removed");
    let names = ["/keyboot/tsm/node/0/none", "/keyboot/tsm/node/0/record", "/keyboot/tsm/node/0/lease"];
    let read = reader.read_documents(&names.map(str::to_owned)).await?;
    assert_eq!(read, [None, Some("a record".to_owned()), None]);
    let by_arn = set.place.document_arn("/keyboot/tsm/node/0/record");
    assert_eq!(reader.read_documents(&[by_arn]).await?, [Some("a record".to_owned())]);

    let missing = reader.fetch_version(&arn, "3").await;
    assert!(matches!(missing, Err(ReadError::NotFound { .. })), "{missing:?}");
    for version in ["0", "-1", "AWSCURRENT", ""] {
        let told = reader.fetch_version(&arn, version).await;
        assert!(matches!(told, Err(ReadError::Refused { .. })), "{version}: {told:?}");
    }
    let other = "arn:vault:kv:ops:root:secret/keyboot/tsm/node/1/p2p-key";
    let denied = reader.fetch_version(other, "1").await;
    assert!(matches!(denied, Err(ReadError::Denied { .. })), "{denied:?}");
    for arn in [
        "arn:vault:kv:other:root:secret/keyboot/tsm/node/0/p2p-key",
        "arn:aws:ssm:eu-central-1:111122223333:parameter/keyboot/tsm/node/0/p2p-key",
        "arn:vault:kv:ops:root:secret/keyboot/../keyboot/tsm/node/0/p2p-key",
    ] {
        let told = reader.fetch_version(arn, "1").await;
        assert!(matches!(told, Err(ReadError::Refused { .. })), "{arn}: {told:?}");
    }
    assert!(reader.fetch_current(&arn).await.is_err());

    // Who may not look at himself and is denied is told so, and does not use up another secret id for it.
    let wrapped =
        server.wrapped_secret_id(&mounts.app_role, &"node".parse()?, Duration::from_mins(1)).await?;
    // EXPOSE: to a file of this test.
    let once = set.file("once", wrapped.token.expose())?;
    let role_id = server.role_id(&mounts.app_role, &"node".parse()?).await?;
    let login = AppRole { role: "node".parse()?, role_id, secret_id_file: once, wrapped: true };
    let by_grant = VaultReader::new(set.settings(Login::AppRole(login))?);
    let denied = by_grant.fetch_version(other, "1").await;
    assert!(matches!(denied, Err(ReadError::Denied { .. })), "{denied:?}");
    // EXPOSE: as above.
    assert_eq!(by_grant.fetch_version(&arn, "1").await?.expose(), "first");
    by_grant.end().await?;
    let used_up = by_grant.fetch_version(&arn, "1").await;
    assert!(matches!(used_up, Err(ReadError::NoLogin { .. })), "{used_up:?}");

    // Its token is revoked: it logs in anew.
    for accessor in server.token_accessors().await? {
        let facts = server.token_by_accessor(&accessor).await?;
        if facts.is_some_and(|facts| facts.policies == ["node"]) {
            server.revoke_accessor(&accessor).await?;
            server.revoke_accessor(&accessor).await?;
        }
    }
    // EXPOSE: as above.
    assert_eq!(reader.fetch_version(&arn, "1").await?.expose(), "first");
    reader.end().await?;
    let mut living = Vec::new();
    for accessor in server.token_accessors().await? {
        living.extend(server.token_by_accessor(&accessor).await?.filter(|facts| facts.policies == ["node"]));
    }
    assert_eq!(living, [], "a token outlives its reader");
    // EXPOSE: as above.
    assert_eq!(reader.fetch_version(&arn, "2").await?.expose(), "second");
    Ok(())
}

#[tokio::test]
async fn the_ports_that_read_tell_what_others_wrote() -> Result<()> {
    let set = Set::up().await?;
    let (root, place) = (set.root()?, &set.place);
    let [secrets, documents] =
        [&place.mounts.secrets, &place.mounts.documents].map(|at| Kv::new(root.connection(), at));
    let now: Timestamp = "2026-01-02T03:04:05Z".parse()?;
    let world = VaultWorld::new(&root, place.clone(), None, |_| {}).at(move || now);
    let cluster: ClusterName = "keyboot/tsm".parse()?;
    let secret = cluster.secret_name("0".parse()?, &"p2p-key".parse()?);
    let path = secret.as_str();
    assert_eq!(world.describe_secret(Store::Vault, &secret).await?, None);
    assert!(world.describe_secret(Store::SecretsManager, &secret).await.is_err());
    // What has tags and no version is no secret.
    secrets.set_custom(path, &BTreeMap::from([("x".to_owned(), "y".to_owned())])).await?;
    assert_eq!(world.describe_secret(Store::Vault, &secret).await?, None);

    let id = "keyboot/keyboot/tsm/0123456789abcdef";
    let facts = [format!("keyboot:owner={id}"), "keyboot:key=arn:vault:transit:ops:root:key/seal".into()];
    secrets.put_secret(path, NEEDLE, &BTreeSet::from(facts), 0).await?;
    let label = |number: u64, request: &str| {
        let label =
            format!("label=keyboot-b93d48954fb38451-{number}-ef-128f496b-{request}-_-8- keyboot-signed--_8");
        BTreeSet::from([label])
    };
    let found = world.describe_secret(Store::Vault, &secret).await?.context("none")?;
    assert_eq!(found.arn, place.secret_arn(path));
    assert_eq!(found.tags.get("keyboot:owner").map(String::as_str), Some(id));
    assert_eq!(found.key.as_deref(), Some("arn:vault:transit:ops:root:key/seal"));
    assert_eq!(found.staged("AWSCURRENT"), Some("1"), "without a word the first one counts");
    secrets.put_secret(path, NEEDLE, &label(2, "a"), 1).await?;
    secrets.put_secret(path, NEEDLE, &label(3, "a"), 2).await?;
    secrets.put_secret(path, NEEDLE, &label(4, "b"), 3).await?;
    let found = world.describe_secret(Store::Vault, &secret).await?.context("none")?;
    // Of two of one request the first one counts.
    assert_eq!(found.versions.keys().map(String::as_str).collect::<Vec<_>>(), ["1", "2", "4"]);
    assert!(found.versions["2"].iter().any(|known| known.starts_with("keyboot-b93d48954fb38451-2-")));
    let stages = BTreeMap::from([("keyboot:current", Some("4")), ("keyboot:previous", Some("2"))]);
    secrets.merge_custom(path, &stages).await?;
    let found = world.describe_secret(Store::Vault, &secret).await?.context("none")?;
    assert_eq!((found.staged("AWSCURRENT"), found.staged("AWSPREVIOUS")), (Some("4"), Some("2")));
    assert!(!found.tags.keys().any(|tag| tag.starts_with("keyboot:current")), "{:?}", found.tags);

    // What is let go of and waits.
    let owner = id.parse()?;
    assert_eq!(world.secrets_awaiting_removal(Store::Vault, &owner).await?, Vec::<String>::new());
    let leaving = BTreeMap::from([
        ("keyboot:owner", Some(id)),
        ("keyboot:leaving", Some("true")),
        ("keyboot:delete-after", Some("2026-01-09T03:04:05Z")),
    ]);
    secrets.merge_custom(path, &leaving).await?;
    assert_eq!(world.secrets_awaiting_removal(Store::Vault, &owner).await?, [path]);
    let other = "keyboot/keyboot/tsm/fedcba9876543210".parse()?;
    assert_eq!(world.secrets_awaiting_removal(Store::Vault, &other).await?, Vec::<String>::new());
    let found = world.describe_secret(Store::Vault, &secret).await?.context("none")?;
    assert!(found.scheduled_for_deletion);
    assert_eq!(found.awaits_removal_from, Some("2026-01-09T03:04:05Z".parse()?));

    // Documents, and those that are over.
    let record = cluster.record_parameter("0".parse()?);
    let lease = cluster.lease_parameter("0".parse()?);
    assert_eq!(world.read_numbered(&record).await?, None);
    documents.put_fields("keyboot/tsm/node/0/record", &BTreeMap::from([(TEXT, "one")]), 0).await?;
    documents.put_fields("keyboot/tsm/node/0/record", &BTreeMap::from([(TEXT, "two")]), 1).await?;
    let soon = BTreeMap::from([(TEXT, "held"), ("expires", "2026-01-02T03:04:06Z")]);
    documents.put_fields("keyboot/tsm/node/0/lease", &soon, 0).await?;
    assert_eq!(world.read_numbered(&record).await?, Some((2, "two".to_owned())));
    let both = [record, lease];
    assert_eq!(world.read_documents(&both).await?, [Some("two".to_owned()), Some("held".to_owned())]);
    let later = now + SignedDuration::from_secs(1);
    let world = VaultWorld::new(&root, place.clone(), None, |_| {}).at(move || later);
    assert_eq!(world.read_documents(&both).await?, [Some("two".to_owned()), None]);
    assert_eq!(world.read_numbered(&both[1]).await?, None);
    assert_eq!(world.document_arn(&both[0]), "arn:vault:kv:ops:root:document/keyboot/tsm/node/0/record");
    assert_eq!(world.signer(), "arn:vault:transit:ops:root:key/records");
    let key = VerifyingKey::from_public_key_der(&world.verifying_key().await?);
    ensure!(key.is_ok(), "the signer has no public half");
    Ok(())
}
