//! The demonstration as it is shown, and between its scenes a search for every key that was made: on the disk,
//! in both audit logs, in what is printed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use key_material::{Curve, P2pPrivateKey};
use provisioning::names::ClusterName;
use provisioning::sealing::SealedSecret;
use rig::onprem::OnPrem;
use rig::onprem_story::{Scene, files_below, play};
use rig::programs;
use rig::python::Venv;
use serde_json::{Value, json};
use vault::transit::context_base64;

use crate::secret::{Secret, search};
use crate::stage::{SECRETS, TRANSIT};

/// What stood somewhere after a scene.
struct Seen {
    scene: String,
    bytes: Vec<u8>,
}

/// Everything that is on a disk or was printed when a scene is over; `signer` is where the signer works, once it is
/// there.
fn look(onprem: &OnPrem, signer: Option<&Path>, scene: &str) -> Result<Seen> {
    let mut bytes = scene.as_bytes().to_vec();
    let server = onprem.server().folder();
    for folder in [onprem.folder(), &server].into_iter().chain(signer.filter(|folder| folder.is_dir())) {
        for file in files_below(folder)? {
            bytes.extend_from_slice(file.as_os_str().as_encoded_bytes());
            match std::fs::read(&file) {
                Ok(content) => bytes.extend(content),
                // What vanishes meanwhile is not there any more.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| file.display().to_string()),
            }
            bytes.push(b'\n');
        }
    }
    Ok(Seen { scene: scene.chars().take(40).collect(), bytes })
}

/// Every secret on the server, read as nobody reads it who uses it.
struct Reader<'a> {
    onprem: &'a OnPrem,
    root: String,
}

impl Reader<'_> {
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        self.onprem
            .call(method, path, Some(&self.root), body)
            .await?
            .accepted()
            .with_context(|| path.to_owned())
    }

    async fn names(&self) -> Result<Vec<String>> {
        let (mut names, mut folders) = (Vec::new(), vec!["keyboot/".to_owned()]);
        while let Some(folder) = folders.pop() {
            let listed =
                self.ask(Method::GET, &format!("{SECRETS}/metadata/{folder}?list=true"), None).await?;
            for key in listed["data"]["keys"].as_array().context("no list")? {
                let path = format!("{folder}{}", key.as_str().context("no name")?);
                if path.ends_with('/') { folders.push(path) } else { names.push(path) }
            }
        }
        Ok(names)
    }

    async fn secret(&self, name: &str) -> Result<Secret> {
        // One that was let go of is hidden, and still there.
        self.ask(Method::POST, &format!("{SECRETS}/undelete/{name}"), Some(&json!({ "versions": [1] })))
            .await
            .ok();
        let held = self.ask(Method::GET, &format!("{SECRETS}/data/{name}"), None).await?;
        let value = held["data"]["data"]["value"].as_str().context("no value")?;
        if name.contains("/role/") {
            return Ok(Secret::p2p_key(
                name,
                &P2pPrivateKey::from_scalar(Curve::Secp256k1, &hex::decode(value)?)?,
            ));
        }
        if !value.contains("\"sealed\"") {
            return Secret::read(name, value.as_bytes());
        }
        let (cluster, slot) = ClusterName::of_secret(name).context("no name of ours")?;
        let sealed = SealedSecret::parse(value, &cluster, &slot)?;
        let asked = json!({
            "ciphertext": std::str::from_utf8(sealed.ciphertext())?,
            "context": context_base64(sealed.context())?,
        });
        let opened = self.ask(Method::POST, &format!("{TRANSIT}/decrypt/seal"), Some(&asked)).await?;
        let plaintext = opened["data"]["plaintext"].as_str().context("no plaintext")?;
        Secret::read(name, &STANDARD.decode(plaintext)?)
    }
}

fn is_in(secrets: &[Secret], seen: &Seen) -> Vec<String> {
    search(secrets).in_bytes(&seen.bytes).into_iter().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_on_a_disk_in_an_audit_log_or_on_a_screen_between_any_two_scenes_of_the_demo() -> Result<()>
{
    programs::path(programs::KEYBOOT_ONPREM)?;
    let (mut seen, mut signed, mut works_in) = (Vec::new(), 0, None);
    let onprem = play(&Venv::onprem()?, |onprem, scene| {
        signed += usize::from(matches!(scene, Scene::Signed { .. }));
        if let Scene::SignerUp { folder, .. } = &scene {
            works_in = Some(folder.clone());
        }
        seen.push(look(onprem, works_in.as_deref(), &format!("{scene:?}"))?);
        Ok(())
    })
    .await?;
    let audit_logs = onprem.server().audit_logs();
    for log in &audit_logs {
        let text = std::fs::read_to_string(log)?;
        ensure!(
            text.contains(&format!("{SECRETS}/data/keyboot/l2/role/batcher/2")),
            "{} tells nothing",
            log.display()
        );
    }
    ensure!(signed == 4 && seen.len() > 10, "{signed} transactions in {} scenes", seen.len());

    let reader = Reader { onprem: &onprem, root: onprem.root_by_shares().await? };
    let mut secrets = Vec::new();
    for name in reader.names().await? {
        secrets.push(reader.secret(&name).await.with_context(|| name.clone())?);
    }
    // Three nodes with four secrets each, two nodes with a P2P key, four roles, and another key of one of them.
    ensure!(secrets.len() == 3 * 4 + 2 + 4 + 1, "{} secrets", secrets.len());
    for scene in &seen {
        let found = is_in(&secrets, scene);
        ensure!(found.is_empty(), "after {}: {found:?}", scene.scene);
    }
    // The search sees each of them where it is: in a file of its own, or in an audit log.
    for (number, secret) in secrets.iter().enumerate() {
        let spelled = hex::encode(&secret.cores[0]);
        match number % 3 {
            0 => std::fs::write(onprem.file(&format!("planted-{number}")), spelled)?,
            which => writeln!(OpenOptions::new().append(true).open(&audit_logs[which - 1])?, "{spelled}")?,
        }
    }
    let found = is_in(&secrets, &look(&onprem, None, "planted")?);
    ensure!(found.len() == secrets.len(), "of {} that were planted it finds {found:?}", secrets.len());
    Ok(())
}
