//! How long the parts of a secret may be.

use serde_json::{Value, json};

use super::{FIRST, MALFORMED, bytes, tag, tags, text};
use crate::client::secrets;
use crate::sequence::Sequence;

/// The tag pages do not say with which error a broken rule is answered.
const TAG: &[&str] = &["InvalidParameterException", "InvalidRequestException", "ValidationException"];
const TOO_MANY_TAGS: &[&str] =
    &["InvalidParameterException", "LimitExceededException", "ValidationException"];

pub(super) fn all() -> Vec<Sequence> {
    vec![names(), values(), descriptions(), tags_at_creation()]
}

fn made(name: &str, more: &Value) -> Value {
    let mut input = json!({ "Name": name, "ClientRequestToken": FIRST, "SecretString": "one" });
    for (key, value) in more.as_object().into_iter().flatten() {
        input[key] = value.clone();
    }
    input
}

/// `CreateSecret`, Name: 1 to 512 ASCII letters, digits and /_+=.@-
fn names() -> Sequence {
    let nothing = json!({});
    let longest = format!("name/{}", text(507));
    let refused = |sequence: Sequence, name: &'static str, secret: &str| {
        sequence.refuses(name, secrets("CreateSecret"), made(secret, &json!({})), MALFORMED)
    };
    let sequence = Sequence::new("secret names")
        .answers(
            "of 512 characters",
            secrets("CreateSecret"),
            made(&longest, &nothing),
            json!({ "Name": longest }),
        )
        .answers(
            "with every character",
            secrets("CreateSecret"),
            made("Name/_+=.@-0", &nothing),
            json!({ "Name": "Name/_+=.@-0" }),
        );
    let sequence = refused(sequence, "of 513 characters", &format!("name/{}", text(508)));
    let sequence = refused(sequence, "empty", "");
    let sequence = refused(sequence, "with a space", "a name");
    let sequence = refused(sequence, "with a colon", "a:name");
    refused(sequence, "beyond ASCII", "n\u{e4}me")
}

/// `CreateSecret`, `SecretString` and `SecretBinary`: 1 to 65,536 bytes.
fn values() -> Sequence {
    let put = |token: &str, value: Value| {
        let mut input = json!({ "SecretId": "longest-text", "ClientRequestToken": token });
        input["SecretString"] = value;
        input
    };
    Sequence::new("secret values")
        .answers(
            "a text of 65536 bytes",
            secrets("CreateSecret"),
            made("longest-text", &json!({ "SecretString": text(65_536) })),
            json!({ "Name": "longest-text" }),
        )
        .refuses(
            "a text of 65537 bytes",
            secrets("CreateSecret"),
            made("longer-text", &json!({ "SecretString": text(65_537) })),
            MALFORMED,
        )
        .refuses(
            "an empty text",
            secrets("CreateSecret"),
            made("shorter-text", &json!({ "SecretString": "" })),
            MALFORMED,
        )
        .answers(
            "65536 bytes",
            secrets("CreateSecret"),
            json!({ "Name": "longest-bytes", "ClientRequestToken": FIRST, "SecretBinary": bytes(65_536) }),
            json!({ "Name": "longest-bytes" }),
        )
        .refuses(
            "65537 bytes",
            secrets("CreateSecret"),
            json!({ "Name": "longer-bytes", "ClientRequestToken": FIRST, "SecretBinary": bytes(65_537) }),
            MALFORMED,
        )
        .answers(
            "a text of 65536 bytes is put",
            secrets("PutSecretValue"),
            put(super::SECOND, text(65_536).into()),
            json!({ "VersionId": super::SECOND }),
        )
        .refuses(
            "a text of 65537 bytes is put",
            secrets("PutSecretValue"),
            put(super::THIRD, text(65_537).into()),
            MALFORMED,
        )
}

/// `CreateSecret`, Description: at most 2,048 characters.
fn descriptions() -> Sequence {
    Sequence::new("secret descriptions")
        .answers(
            "of 2048 characters",
            secrets("CreateSecret"),
            made("described", &json!({ "Description": text(2048) })),
            json!({ "Name": "described" }),
        )
        .answers(
            "is shown",
            secrets("DescribeSecret"),
            json!({ "SecretId": "described" }),
            json!({ "Description": text(2048) }),
        )
        .refuses(
            "of 2049 characters",
            secrets("CreateSecret"),
            made("described-longer", &json!({ "Description": text(2049) })),
            MALFORMED,
        )
}

/// `CreateSecret`, Tags; General Reference, Tag naming limits and requirements.
fn tags_at_creation() -> Sequence {
    let create = secrets("CreateSecret");
    Sequence::new("tags of a new secret")
        .answers(
            "50 of them",
            create,
            made("tags-50", &json!({ "Tags": tags(50) })),
            json!({ "Name": "tags-50" }),
        )
        .answers(
            "are shown",
            secrets("DescribeSecret"),
            json!({ "SecretId": "tags-50" }),
            json!({ "Tags": tags(50) }),
        )
        .refuses("51 of them", create, made("tags-51", &json!({ "Tags": tags(51) })), TOO_MANY_TAGS)
        .answers(
            "a key of 128 characters",
            create,
            made("tags-key-128", &json!({ "Tags": tag(&text(128), "") })),
            json!({ "Name": "tags-key-128" }),
        )
        .refuses(
            "a key of 129 characters",
            create,
            made("tags-key-129", &json!({ "Tags": tag(&text(129), "") })),
            MALFORMED,
        )
        .answers(
            "a value of 256 characters",
            create,
            made("tags-value-256", &json!({ "Tags": tag("key", &text(256)) })),
            json!({ "Name": "tags-value-256" }),
        )
        .refuses(
            "a value of 257 characters",
            create,
            made("tags-value-257", &json!({ "Tags": tag("key", &text(257)) })),
            MALFORMED,
        )
        .refuses(
            "a key that begins with aws:",
            create,
            made("tags-aws", &json!({ "Tags": tag("aws:owner", "me") })),
            TAG,
        )
}
