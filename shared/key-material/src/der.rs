//! Writing DER, for the three documents a key is kept in (ITU-T X.690, section 10).
//!
//! Only writing: a document that comes in is read by the `sec1`, `pkcs8` and `spki` crates. These
//! few lines exist because a document's length is known before it is written here, so that each
//! buffer is sized once, holds its secret alone and is overwritten when it is dropped.

use p256::pkcs8::ObjectIdentifier;
use sec1::ALGORITHM_OID;
use zeroize::Zeroizing;

use crate::Curve;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const SEQUENCE: u8 = 0x30;
/// `[0]`, explicit.
pub(crate) const CONTEXT_0: u8 = 0xa0;
/// `[1]`, explicit.
pub(crate) const CONTEXT_1: u8 = 0xa1;

const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// One element: a tag, the length, and the content in the pieces it was made of.
pub(crate) fn element(tag: u8, content: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length: usize = content.iter().map(|piece| piece.len()).sum();
    let bytes = length.to_be_bytes();
    let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    // Up to 127 a length is its own byte; above, the bytes it has are counted first.
    let (first, rest): (u8, &[u8]) = match significant {
        [] => (0, &[]),
        [short @ 0..=0x7f] => (*short, &[]),
        long => (0x80 | long.len().to_le_bytes()[0], long),
    };

    let mut out = Zeroizing::new(Vec::with_capacity(2 + rest.len() + length));
    out.push(tag);
    out.push(first);
    out.extend_from_slice(rest);
    for piece in content {
        out.extend_from_slice(piece);
    }
    out
}

/// An object identifier.
pub(crate) fn object_identifier(oid: ObjectIdentifier) -> Zeroizing<Vec<u8>> {
    element(OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

/// A bit string of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    element(BIT_STRING, &[&[0], bytes])
}

/// The `AlgorithmIdentifier` of a key on a named curve (RFC 5480, section 2.1.1).
pub(crate) fn algorithm_identifier(curve: Curve) -> Zeroizing<Vec<u8>> {
    let algorithm = object_identifier(ALGORITHM_OID);
    let named_curve = object_identifier(curve.oid());
    element(SEQUENCE, &[&algorithm, &named_curve])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        for (length, header) in [
            (0, vec![0x04, 0x00]),
            (1, vec![0x04, 0x01]),
            (127, vec![0x04, 0x7f]),
            (128, vec![0x04, 0x81, 0x80]),
            (255, vec![0x04, 0x81, 0xff]),
            (256, vec![0x04, 0x82, 0x01, 0x00]),
        ] {
            let content = vec![0x5a; length];
            let expected = [header, content.clone()].concat();
            assert_eq!(*element(OCTET_STRING, &[&content]), expected, "{length} bytes");
        }
    }

    #[test]
    fn a_buffer_is_sized_once() {
        for length in 0..300 {
            let element = element(OCTET_STRING, &[&vec![0x5a; length]]);
            assert_eq!(element.capacity(), element.len(), "{length} bytes");
        }
    }
}
