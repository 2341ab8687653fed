//! Base 62: a big-endian number in the digits `0-9A-Za-z`, left-padded to a fixed width.
//!
//! Chosen for API keys because a double click selects the whole of it, and no shell, URL or
//! configuration file needs to quote it.

use zeroize::Zeroizing;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether a byte is one of the 62 digits.
pub(crate) fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// Writes `number` (big-endian) at the end of `text` as exactly `width` digits.
///
/// The width must hold the number: what does not fit is lost. `text` does not grow if it has
/// `width` bytes to spare.
pub(crate) fn push(text: &mut String, number: &[u8], width: usize) {
    let mut number = Zeroizing::new(number.to_vec());
    let mut digits = Zeroizing::new(vec![0; width]);

    // Long division by 62, again and again: each remainder is a digit, the last one first.
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_u16;
        for byte in number.iter_mut() {
            let dividend = (remainder << 8) | u16::from(*byte);
            // Below 256, as the remainder before it was below 62.
            *byte = (dividend / 62).to_le_bytes()[0];
            remainder = dividend % 62;
        }
        *digit = DIGITS[usize::from(remainder)];
    }

    for digit in digits.iter() {
        text.push(char::from(*digit));
    }
}

/// Whether `digits`, all of them base-62 digits, stand for a number of at most `size` bytes.
pub(crate) fn fits(digits: &str, size: usize) -> bool {
    let mut number = Zeroizing::new(vec![0_u8; size]);
    digits.bytes().all(|digit| {
        let Some(value) = DIGITS.iter().position(|known| *known == digit) else {
            return false;
        };
        // number = number * 62 + value, from the last byte; what is carried out does not fit.
        let mut carry = value;
        for byte in number.iter_mut().rev() {
            let product = usize::from(*byte) * 62 + carry;
            *byte = product.to_le_bytes()[0];
            carry = product >> 8;
        }
        carry == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(number: &[u8], width: usize) -> String {
        let mut text = String::new();
        push(&mut text, number, width);
        text
    }

    #[test]
    fn digits_are_big_endian_and_padded() {
        assert_eq!(encode(&[], 2), "00");
        assert_eq!(encode(&[0], 1), "0");
        assert_eq!(encode(&[61], 1), "z");
        assert_eq!(encode(&[62], 3), "010");
        assert_eq!(encode(&[35, 36], 4), "02L6");
        assert_eq!(encode(&u32::MAX.to_be_bytes(), 6), "4gfFC3");
    }

    #[test]
    fn every_digit_is_one_and_nothing_else_is() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_digit(byte), DIGITS.contains(&byte), "{byte}");
        }
    }

    #[test]
    fn the_largest_number_fits_and_the_next_does_not() {
        assert!(fits("4gfFC3", 4));
        assert!(!fits("4gfFC4", 4));
        assert!(!fits("zzzzzz", 4));
        assert!(fits("000", 0));
        assert!(!fits("001", 0));
    }
}
