//! Canaries, and a function and an operator that leak them in every place.

use std::process::Command;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use key_material::{ApiKey, ApiKeyKind, Curve, P2pPrivateKey};
use rig::stack::Deployment;
use serde_json::{Value, json};
use spelling::hex;

use crate::life::Life;
use crate::places;
use crate::secret::Secret;

/// A secret that is made to be leaked, in one spelling.
pub(crate) struct Canary {
    pub(crate) secret: Secret,
    /// What is leaked; no text where the spelling is raw bytes.
    spelled: Result<String, Vec<u8>>,
}

/// How a secret is spelled, in words and in deed.
type Spelling<From, To> = (&'static str, fn(&From) -> To);

/// What was leaked.
pub(crate) struct Leaked {
    texts: Vec<String>,
    raw: Vec<String>,
}

impl Leaked {
    /// The labels of what must be found in a place: raw bytes stand in files only.
    pub(crate) fn in_place(&self, place: &str) -> impl Iterator<Item = &str> {
        let holds_bytes = [places::WORKING_FOLDER, places::TEMPORARY_FOLDER].contains(&place);
        let raw = self.raw.iter().filter(move |_| holds_bytes);
        self.texts.iter().chain(raw).map(String::as_str)
    }
}

/// A canary for each spelling, each with a secret of its own.
pub(crate) fn canaries() -> Result<Vec<Canary>> {
    let mut all = Vec::new();
    let text: &[Spelling<str, String>] = &[
        ("as it is", str::to_owned),
        ("in hex", |text| hex(text.as_bytes())),
        ("in upper-case hex", |text| hex(text.as_bytes()).to_uppercase()),
        ("in base64", |text| STANDARD.encode(text)),
        ("in base64 after one byte", |text| STANDARD.encode(format!("x{text}"))),
        ("in base64 after two bytes", |text| STANDARD.encode(format!("xy{text}"))),
        ("in base64 without padding", |text| STANDARD_NO_PAD.encode(text)),
        ("in base64url", |text| URL_SAFE.encode(text)),
        ("in base64url after one byte", |text| URL_SAFE_NO_PAD.encode(format!("\u{7f}{text}~"))),
        ("in base64url after two bytes", |text| URL_SAFE_NO_PAD.encode(format!("\u{7f}~{text}"))),
        ("in a JSON text", |text| json!({ "a": text }).to_string()),
        ("in a JSON text in a JSON text", |text| json!(json!(format!("\"{text}\"")).to_string()).to_string()),
        ("with every character escaped", |text| bytewise(text, |b| format!("\\u{b:04x}"))),
        ("with every character in percent", |text| bytewise(text, |b| format!("%{b:02X}"))),
        ("as Rust shows bytes", |text| format!("{:?}", &text.as_bytes()[..20])),
        ("by its first half alone", |text| text[..text.len() / 2].to_owned()),
        ("by its last half alone", |text| text[text.len() / 2..].to_owned()),
    ];
    for (how, spell) in text {
        let (secret, text) = Secret::fresh_password(&format!("the password {how}"))?;
        all.push(Canary { secret, spelled: Ok(spell(&text)) });
    }
    let key = ApiKey::make(ApiKeyKind::Management)?;
    // EXPOSE: to be leaked.
    let text = key.expose();
    all.push(Canary { secret: Secret::api_key("the API key as it is", text)?, spelled: Ok(text.to_owned()) });

    // EXPOSE: all of these, to be leaked.
    let document: &[Spelling<P2pPrivateKey, String>] = &[
        ("as PKCS#8 in base64", |key| key.expose_pkcs8_base64().to_string()),
        ("as PKCS#8 in base64url", |key| URL_SAFE_NO_PAD.encode(key.expose_pkcs8_der().as_slice())),
        ("as PKCS#8 in hex", |key| hex(&key.expose_pkcs8_der())),
        ("as PKCS#8 in PEM", |key| pem("PRIVATE KEY", &key.expose_pkcs8_der())),
        ("as SEC 1 in base64", |key| key.expose_sec1_base64().to_string()),
        ("as SEC 1 in PEM in a JSON text", |key| {
            json!(pem("EC PRIVATE KEY", &key.expose_sec1_der())).to_string()
        }),
        ("as a scalar in hex", |key| key.expose_scalar_hex().to_string()),
        ("as a scalar in base64", |key| STANDARD.encode(key.expose_scalar().as_slice())),
        ("as a scalar as Rust shows bytes", |key| format!("{:?}", key.expose_scalar().as_slice())),
        ("as a scalar as OpenSSL shows it", |key| colons(&key.expose_scalar())),
        ("as a scalar as Rust escapes it", |key| key.expose_scalar().escape_ascii().to_string()),
        ("as it is stored, in base64 again", |key| {
            URL_SAFE.encode(format!("x{}", json!({ "pkcs8": *key.expose_pkcs8_base64() })))
        }),
        ("as it is stored, in hex", |key| hex(key.expose_sec1_base64().as_bytes())),
        ("as its hex, in base64", |key| STANDARD.encode(key.expose_scalar_hex().as_bytes())),
        ("in base64 with its slashes escaped", |key| key.expose_pkcs8_base64().replace('/', "\\/")),
    ];
    for (how, spell) in document {
        let key = P2pPrivateKey::make(Curve::Secp256k1)?;
        let secret = Secret::p2p_key(&format!("the P2P key {how}"), &key);
        all.push(Canary { secret, spelled: Ok(spell(&key)) });
    }
    let raw: &[Spelling<P2pPrivateKey, Vec<u8>>] = &[
        ("as a raw scalar", |key| key.expose_scalar().to_vec()),
        ("as raw PKCS#8", |key| key.expose_pkcs8_der().to_vec()),
        ("as raw SEC 1", |key| key.expose_sec1_der().to_vec()),
    ];
    for (how, spell) in raw {
        let key = P2pPrivateKey::make(Curve::P256)?;
        let secret = Secret::p2p_key(&format!("the P2P key {how}"), &key);
        all.push(Canary { secret, spelled: Err(spell(&key)) });
    }
    Ok(all)
}

fn bytewise(text: &str, spell: fn(u8) -> String) -> String {
    text.bytes().map(spell).collect::<Vec<_>>().concat()
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Lines of fifteen bytes, as `openssl ec -text` prints them.
fn colons(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.chunks(15).map(|line| line.join(":")).collect::<Vec<_>>().join(":\n    ")
}

/// Leaks the canaries: by a function that CloudFormation invokes, and by an operator's calls.
pub(crate) async fn leak(life: &Life, canaries: &[Canary]) -> Result<Leaked> {
    let texts: Vec<_> =
        canaries.iter().filter_map(|canary| Some((canary, canary.spelled.as_ref().ok()?))).collect();
    let parts = parts(texts.iter().map(|(_, text)| text.as_str()));
    by_function(life, &parts, &raw(canaries)).await?;
    for (number, (_, text)) in texts.iter().enumerate() {
        by_operator(life, number, text).await?;
    }
    let labels = |is_text: bool| {
        let of_kind = canaries.iter().filter(move |canary| canary.spelled.is_ok() == is_text);
        of_kind.map(|canary| canary.secret.label.clone()).collect()
    };
    Ok(Leaked { texts: labels(true), raw: labels(false) })
}

fn raw(canaries: &[Canary]) -> Vec<u8> {
    canaries.iter().filter_map(|canary| canary.spelled.as_ref().err()).flatten().copied().collect()
}

/// The texts in as many parts as fit each into an answer of 4096 bytes.
fn parts<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut parts = vec![String::new()];
    for text in texts {
        if parts.last().is_some_and(|part| part.len() + text.len() > 1500) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(text);
            part.push_str(" | ");
        }
    }
    parts
}

async fn by_function(life: &Life, parts: &[String], raw: &[u8]) -> Result<()> {
    upload(life).await?;
    let variables = json!({
        "LEAKED": parts.concat(),
        "PARTS": json!(parts).to_string(),
        "RAW": hex(raw),
        "TMPDIR": life.temporary,
    });
    let mut resources = json!({
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": { "AssumeRolePolicyDocument": trust(Value::Null) },
        },
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "provided.al2023",
                "Handler": "bootstrap",
                "Timeout": 30,
                "Architectures": ["x86_64"],
                "Role": { "Fn::GetAtt": ["Role", "Arn"] },
                "Code": { "S3Bucket": BUCKET, "S3Key": ARCHIVE },
                "Environment": { "Variables": variables },
            },
        },
    });
    let mut outputs = json!({ "Function": { "Value": { "Fn::GetAtt": ["Function", "Arn"] } } });
    let asks = |token: Value, part: usize, fails: bool| {
        json!({
            "Type": "Custom::Leaky",
            "Properties": {
                "ServiceToken": token,
                "ServiceTimeout": "30",
                "Part": part.to_string(),
                "Fails": fails.to_string(),
            },
        })
    };
    for part in 0..parts.len() {
        let name = format!("Leaky{part}");
        resources[&name] = asks(json!({ "Fn::GetAtt": ["Function", "Arn"] }), part, false);
        outputs[&name] = json!({
            "Value": { "Fn::GetAtt": [name, "Said"] },
            "Export": { "Name": format!("leaky-{part}") },
        });
    }
    let template = json!({ "Resources": resources, "Outputs": outputs });
    let deployed = Deployment::new(&life.root, "leaky", &template.to_string()).create().await?;
    let function = json!(deployed.output("Function")?);
    for part in 0..parts.len() {
        let template = json!({ "Resources": { "Leaky": asks(function.clone(), part, true) } });
        let stack = Deployment::new(&life.root, &format!("failing-{part}"), &template.to_string());
        let id = stack.begin_create().await?;
        let failed = stack.wait(&id, |_| ()).await?;
        ensure!(failed.status == "ROLLBACK_COMPLETE", "{}", failed.status);
    }
    Ok(())
}

const BUCKET: &str = "leaky-code";
const ARCHIVE: &str = "leaky.zip";

async fn upload(life: &Life) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = life.temporary.with_file_name("leaky");
    std::fs::create_dir(&folder)?;
    let program = folder.join("bootstrap");
    std::fs::write(&program, include_bytes!("leaky.py"))?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let mut zip = Command::new(life.venv.program("python"));
    let zip = zip.current_dir(&folder).args(["-m", "zipfile", "-c", ARCHIVE, "bootstrap"]).status()?;
    ensure!(zip.success(), "the leaking function could not be packed");
    let s3 = life.root.s3();
    s3.create_bucket().bucket(BUCKET).send().await?;
    let archive = std::fs::read(folder.join(ARCHIVE))?;
    s3.put_object().bucket(BUCKET).key(ARCHIVE).body(archive.into()).send().await?;
    Ok(())
}

fn trust(condition: Value) -> Value {
    let mut policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "lambda.amazonaws.com" },
            "Action": "sts:AssumeRole",
        }],
    });
    if !condition.is_null() {
        policy["Statement"][0]["Condition"] = condition;
    }
    policy
}

async fn by_operator(life: &Life, number: usize, text: &str) -> Result<()> {
    let name = format!("leak-{number}");
    let tag = aws_sdk_ssm::types::Tag::builder().key("leak").value(text).build()?;
    let call = life
        .root
        .parameters()
        .put_parameter()
        .name(format!("/{name}"))
        .value(text)
        .description(text)
        .tags(tag);
    call.r#type(aws_sdk_ssm::types::ParameterType::String).send().await?;

    let tag = aws_sdk_secretsmanager::types::Tag::builder().key("leak").value(text).build();
    let call = life.root.secrets().create_secret().name(&name).secret_string("nothing");
    call.description(text).tags(tag).send().await?;

    let tag = aws_sdk_kms::types::Tag::builder().tag_key("leak").tag_value(text).build()?;
    life.root.kms().create_key().description("leak").tags(tag).send().await?;

    let condition = json!({ "StringEquals": { "aws:PrincipalTag/leak": text } });
    let mut policy = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "*" }],
    });
    policy["Statement"][0]["Condition"] = condition;
    let iam = life.root.iam();
    iam.create_role()
        .role_name(&name)
        .assume_role_policy_document(trust(Value::Null).to_string())
        .send()
        .await?;
    let call = iam.put_role_policy().role_name(&name).policy_name("leak");
    call.policy_document(policy.to_string()).send().await?;
    iam.create_policy().policy_name(&name).policy_document(policy.to_string()).send().await?;
    Ok(())
}
