//! Random bytes and the names made of them.

use rand::TryRng as _;
use rand::rngs::SysRng;

/// Fills an array from the operating system's generator.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// So many bytes.
pub(crate) fn vector(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fill(&mut bytes);
    bytes
}

/// So many letters and digits.
pub(crate) fn letters(length: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    vector(length).iter().map(|byte| char::from(ALPHABET[usize::from(byte % 62)])).collect()
}

/// A random UUID.
pub(crate) fn uuid() -> String {
    uuid_of(bytes())
}

/// These bytes, spelled as a UUID of version 4.
pub(crate) fn uuid_of(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn fill(bytes: &mut [u8]) {
    SysRng.try_fill_bytes(bytes).expect("the operating system has random numbers");
}
