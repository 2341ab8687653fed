//! A root token out of the holders' shares: the way back to a server whose root token was revoked.
//!
//! `OpenBao` keeps this for who has a token that may begin it (since 2.5.3; everybody before, as Vault has it),
//! and gives the new token only to who began it: what comes over the line is useless without the pad that the
//! beginning answered with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::connection::{Call, Connection, Token};
use crate::error::VaultError;
use crate::server::Share;

/// Where it is done with a token, and where without.
const WITH_A_TOKEN: &str = "sys/generate-root-token";
const WITHOUT: &str = "sys/generate-root";

/// What all of it is called in errors.
const WHAT: &str = "making a root token out of shares";

/// A share, and the ceremony that it is for.
#[derive(Serialize)]
struct Given<'a> {
    key: &'a str,
    nonce: &'a str,
}
/// What a ceremony begins with.
#[derive(Serialize)]
struct Nothing {}

/// What the server answers at each step.
#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    nonce: String,
    #[serde(default)]
    otp: String,
    #[serde(default)]
    complete: bool,
    #[serde(default)]
    encoded_token: String,
}

/// Where the fields of an answer stand: at the top, or below `data`.
#[derive(Deserialize)]
struct Answered {
    data: Option<Step>,
    #[serde(flatten)]
    top: Step,
}

impl Answered {
    fn step(self) -> Step {
        self.data.unwrap_or(self.top)
    }
}

/// Makes a root token, with a login that may begin the ceremony. One that somebody began and did not end is
/// called off.
///
/// # Errors
///
/// [`VaultError::Denied`] where the connection's token may not begin one; [`VaultError::Refused`] where the
/// shares are none, or too few.
pub async fn root_by_shares(connection: &Connection, shares: &[Share]) -> Result<Token, VaultError> {
    match call_off(connection, WITH_A_TOKEN).await {
        Ok(()) => attempt(connection, WITH_A_TOKEN, shares).await,
        // Vault knows the other road alone.
        Err(VaultError::NotFound { .. } | VaultError::Refused { .. }) => {
            root_by_shares_alone(connection, shares).await
        }
        Err(error) => Err(error),
    }
}

/// Makes a root token without a login, where the server's listener lets everybody begin the ceremony: the way
/// back where nobody can log in any more.
///
/// # Errors
///
/// [`VaultError::Refused`] where it does not let, or the shares are none, or too few.
pub async fn root_by_shares_alone(connection: &Connection, shares: &[Share]) -> Result<Token, VaultError> {
    call_off(connection, WITHOUT).await?;
    attempt(connection, WITHOUT, shares).await
}

async fn call_off(connection: &Connection, at: &str) -> Result<(), VaultError> {
    connection.call(&Call::delete(format!("{at}/attempt"))).await.map(drop)
}

async fn attempt(connection: &Connection, at: &str, shares: &[Share]) -> Result<Token, VaultError> {
    let begun = connection.call(&Call::write_once(format!("{at}/attempt")).body(&Nothing {})?).await?;
    let begun = begun.parse::<Answered>()?.step();
    let pad = Zeroizing::new(begun.otp);
    for share in shares {
        // EXPOSE: to the server whose key it is of, over TLS.
        let given = Given { key: share.expose(), nonce: &begun.nonce };
        let call = Call::write_once(format!("{at}/update")).body(&given)?;
        let step = connection.call(&call).await?.parse::<Answered>()?.step();
        if step.complete {
            let token = unpadded(&step.encoded_token, &pad);
            return token.ok_or_else(|| VaultError::refused(WHAT, "the answer is no token"));
        }
    }
    Err(VaultError::refused(WHAT, "there are too few shares"))
}

/// Takes the pad off.
fn unpadded(encoded: &str, pad: &str) -> Option<Token> {
    let padded = STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    if padded.len() != pad.len() {
        return None;
    }
    let bytes: Zeroizing<Vec<u8>> =
        Zeroizing::new(padded.iter().zip(pad.bytes()).map(|(one, other)| one ^ other).collect());
    Token::new(std::str::from_utf8(&bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_out_of_its_pad() {
        let (pad, token) = ("0123456789abcdefghijklmnop", "s.abcdefghijklmnopqrstuvwx");
        let padded: Vec<u8> = pad.bytes().zip(token.bytes()).map(|(one, other)| one ^ other).collect();
        let encoded = STANDARD_NO_PAD.encode(&padded);
        // EXPOSE: to the test.
        assert_eq!(unpadded(&encoded, pad).unwrap().expose(), token);
        assert!(unpadded(&encoded, &pad[1..]).is_none());
        assert!(unpadded("no base64", pad).is_none());
    }
}
