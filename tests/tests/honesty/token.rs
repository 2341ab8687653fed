//! What a documented answer says in angle brackets: see [`crate::shape`].

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use serde_json::Value;

const DAY: f64 = 86_400.0;
/// A day may begin, or a clock be read, between two looks.
const TOLERANCE: f64 = 3_600.0;

/// Whether an answer is what the token says; what was kept is filled in already.
pub(crate) fn says(token: &str, observed: &Value) -> bool {
    match observed {
        Value::Number(number) => {
            let days = match surrounded(token, "in ", " days") {
                Some(days) => days.parse().ok(),
                None => (token == "date").then_some(0),
            };
            days.is_some() && days_from_now(number.as_f64().unwrap_or_default()) == days
        }
        Value::String(text) => says_of_text(token, text),
        _ => false,
    }
}

/// How many days after now a date is; nothing where it is no date of this time.
pub(crate) fn days_from_now(seconds: f64) -> Option<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let away = seconds - now;
    // A last-accessed date is the beginning of its day.
    if (-DAY - TOLERANCE..TOLERANCE).contains(&away) {
        return Some(0);
    }
    let days = (away / DAY).round();
    let is_whole = (away - days * DAY).abs() < TOLERANCE;
    #[expect(clippy::cast_possible_truncation, reason = "at most a year")]
    (is_whole && (1.0..366.0).contains(&days)).then_some(days as i64)
}

fn says_of_text(token: &str, text: &str) -> bool {
    if let Some(other) = token.strip_prefix("not ") {
        return text != other && !text.is_empty();
    }
    if let Some(public) = token.strip_prefix("the private half of ") {
        return is_private_half(text, public).unwrap_or(false);
    }
    if let Some((public, message)) =
        token.strip_prefix("a signature by ").and_then(|rest| rest.split_once(" of "))
    {
        return is_signature(text, public, message).unwrap_or(false);
    }
    if let Some(length) = token.strip_suffix("bytes") {
        let bytes = STANDARD.decode(text).map(|bytes| bytes.len()).unwrap_or_default();
        return bytes > 0 && (length.is_empty() || length.trim().parse() == Ok(bytes));
    }
    is_like(token.as_bytes(), text.as_bytes())
}

/// Whether PKCS#8 holds the private half of a P-256 key.
fn is_private_half(pkcs8: &str, public: &str) -> Option<bool> {
    let private = p256::SecretKey::from_pkcs8_der(&STANDARD.decode(pkcs8).ok()?).ok()?;
    let public = p256::PublicKey::from_public_key_der(&STANDARD.decode(public).ok()?).ok()?;
    Some(private.public_key() == public)
}

/// Whether a key made an ECDSA signature of what [`crate::sequences`] lets it sign.
fn is_signature(signature: &str, public: &str, message: &str) -> Option<bool> {
    let key = VerifyingKey::from_public_key_der(&STANDARD.decode(public).ok()?).ok()?;
    let signature = Signature::from_der(&STANDARD.decode(signature).ok()?).ok()?;
    let verified = match message.strip_suffix(" bytes") {
        Some(length) => key.verify(&vec![7; length.parse().ok()?], &signature),
        None => key.verify_prehash(&[7; 32], &signature),
    };
    Some(verified.is_ok())
}

/// Whether a text is like a glob of `*` and `?`.
fn is_like(glob: &[u8], text: &[u8]) -> bool {
    match (glob, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skipped| is_like(rest, &text[skipped..])),
        ([b'?', rest @ ..], [_, text @ ..]) => is_like(rest, text),
        ([first, rest @ ..], [other, text @ ..]) => first == other && is_like(rest, text),
        _ => false,
    }
}

fn surrounded<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.strip_suffix(after)
}
