//! Text forms of secret bytes, written into buffers that never grow.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Lower-case hexadecimal, two digits a byte, no `0x`.
pub(crate) fn secret_hex(bytes: &[u8]) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";

    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0x0f] {
            text.push(char::from(DIGITS[usize::from(nibble)]));
        }
    }
    text
}

/// Standard, padded base64 in one line (RFC 4648, section 4).
pub(crate) fn secret_base64(bytes: &[u8]) -> Zeroizing<String> {
    // The engine sizes its output before it writes, and turns it into text in place.
    Zeroizing::new(STANDARD.encode(bytes))
}

/// Reads what [`secret_base64`] writes; none if it is not canonical.
pub(crate) fn read_secret_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_padded_and_lower_case() {
        assert_eq!(secret_hex(&[]).as_str(), "");
        assert_eq!(secret_hex(&[0x00, 0x0a, 0xf0, 0xff]).as_str(), "000af0ff");
    }

    #[test]
    fn base64_reads_back_from_its_one_text() {
        for size in 0..=185 {
            let bytes = vec![0xa5; size];
            assert_eq!(read_secret_base64(&secret_base64(&bytes)).unwrap().as_slice(), bytes);
        }
        for other in ["pQ", "pR==", "pQ==\n", " pQ==", "p-Wl", "pQ=\u{e9}"] {
            assert!(read_secret_base64(other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn no_buffer_is_larger_than_its_text() {
        for size in 0..=185 {
            let bytes = vec![0xa5; size];
            for text in [secret_hex(&bytes), secret_base64(&bytes)] {
                assert_eq!(text.capacity(), text.len(), "{size} bytes");
            }
        }
    }
}
