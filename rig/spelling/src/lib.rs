//! Every way in which bytes may be spelled in a text, and the search for all of them at once.
//!
//! A crate of its own, for it is compiled with the optimizer: a run looks at hundreds of megabytes.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A part of a secret that counts as the secret: 128 bits of what is random throughout, and enough
/// of a text that begins with what all begin with.
const PART: usize = 16;
/// By how many bytes a place in a text is looked up.
const HEAD: usize = 8;

/// A search for many secrets, in every spelling.
#[derive(Debug)]
pub struct Search {
    labels: Vec<String>,
    /// Which heads there are at all, by a hash: most places in a text are ruled out here.
    filter: Vec<bool>,
    needles: HashMap<[u8; HEAD], Vec<(Vec<u8>, usize)>>,
}

impl Search {
    /// For secrets, each with its label and the runs of bytes of which each is enough to know it; these
    /// have at least 16 bytes.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a [Vec<u8>])>) -> Self {
        let mut search = Self { labels: Vec::new(), filter: vec![false; 1 << 20], needles: HashMap::new() };
        for (label, cores) in secrets {
            let number = search.labels.len();
            search.labels.push(label.to_owned());
            for core in cores {
                search.add_parts(core, number);
                // A document that holds the secret in hex or base64 may be spelled once more.
                search.add_parts(hex(core).as_bytes(), number);
                for before in 0..3 {
                    search.add_parts(&within_base64(&STANDARD_NO_PAD, core, before), number);
                }
            }
        }
        search
    }

    /// Whole parts from the front, and one at the very end.
    fn add_parts(&mut self, core: &[u8], number: usize) {
        let last = core.len().checked_sub(PART).map(|start| &core[start..]);
        for part in core.chunks_exact(PART).chain(last) {
            for needle in spellings(part) {
                self.add(needle, number);
            }
        }
    }

    fn add(&mut self, needle: Vec<u8>, number: usize) {
        // Every spelling of a part is longer than a head.
        let Some(&head) = needle.first_chunk::<HEAD>() else { return };
        self.filter[hash(head)] = true;
        self.needles.entry(head).or_default().push((needle, number));
    }

    /// The labels of the secrets that are in these bytes.
    #[must_use]
    pub fn in_bytes(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        self.scan(bytes, &mut found);
        // What was escaped twice, such as a JSON text within a JSON text, is unescaped twice, and
        // what was escaped for a URL before or after that, too.
        let mut seen = BTreeSet::new();
        let mut waiting = vec![(bytes.to_vec(), 0)];
        while let Some((text, depth)) = waiting.pop() {
            self.scan(&without_space(&text), &mut found);
            if depth < 4 {
                let next = [without_escapes(&text), without_percent(&text)];
                waiting.extend(next.into_iter().filter(|t| *t != text).map(|t| (t, depth + 1)));
            }
            waiting.retain(|(text, _)| !seen.contains(text));
            seen.insert(text);
        }
        found
    }

    /// The same as the bytes stand, without what may be escaped in them: for what is large.
    #[must_use]
    pub fn plainly_in(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        self.scan(bytes, &mut found);
        found
    }

    fn scan<'a>(&'a self, bytes: &[u8], found: &mut BTreeSet<&'a str>) {
        let mut rest = bytes;
        while let Some(&head) = rest.first_chunk::<HEAD>() {
            if self.filter[hash(head)]
                && let Some(needles) = self.needles.get(&head)
            {
                let hits = needles.iter().filter(|(needle, _)| rest.starts_with(needle));
                found.extend(hits.map(|(_, number)| self.labels[*number].as_str()));
            }
            rest = &rest[1..];
        }
    }
}

fn hash(head: [u8; HEAD]) -> usize {
    let mixed = u64::from_le_bytes(head).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from(mixed >> 44).unwrap_or_default()
}

/// The spellings of some bytes: wherever they stand in a longer run that is spelled so.
fn spellings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex = hex(bytes);
    let colons = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    let numbers = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
    let hex_numbers = bytes.iter().map(|byte| format!("{byte:#x}")).collect::<Vec<_>>().join(",");
    let mut all = vec![
        bytes.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        colons.to_uppercase().into_bytes(),
        colons.into_bytes(),
        numbers.into_bytes(),
        hex_numbers.into_bytes(),
        bytes.escape_ascii().to_string().into_bytes(),
    ];
    for before in 0..3 {
        all.push(within_base64(&STANDARD_NO_PAD, bytes, before));
        all.push(within_base64(&URL_SAFE_NO_PAD, bytes, before));
    }
    all
}

/// Bytes in lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// The characters of base64 that depend on these bytes alone when `before` others, modulo three, come
/// before them: the same with and without padding, and with whatever comes after.
fn within_base64(engine: &GeneralPurpose, bytes: &[u8], before: usize) -> Vec<u8> {
    let shifted: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
    let text = engine.encode(&shifted).into_bytes();
    let first = [0, 2, 3][before];
    let last = shifted.len() * 8 / 6;
    text[first..last].to_vec()
}

fn without_space(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

/// One level of backslash escapes less, as in JSON and in what Rust prints of a text.
fn without_escapes(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let Some((&kind, after)) = rest.split_first() else { break };
        rest = after;
        let digits = match kind {
            b'n' | b'r' | b't' => {
                plain.push(b' ');
                continue;
            }
            b'u' => 4,
            b'x' => 2,
            other => {
                plain.push(other);
                continue;
            }
        };
        let number = rest.get(..digits).and_then(|text| str::from_utf8(text).ok());
        if let Some(number) = number.and_then(|text| u8::from_str_radix(text, 16).ok()) {
            plain.push(number);
            rest = &rest[digits..];
        }
    }
    plain
}

fn without_percent(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let number = after.get(..2).and_then(|text| str::from_utf8(text).ok());
        rest = after;
        if let Some(number) =
            number.filter(|_| byte == b'%').and_then(|text| u8::from_str_radix(text, 16).ok())
        {
            plain.push(number);
            rest = &after[2..];
        } else {
            plain.push(byte);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    #[test]
    fn a_part_of_a_secret_is_found_wherever_it_stands_in_base64() {
        let core: Vec<u8> = (0..32).map(|n| n * 7 + 30).collect();
        let search = Search::new([("it", &[core.clone()][..])]);
        for before in 0..7 {
            for after in 0..7 {
                for part in [&core[..], &core[..16], &core[16..]] {
                    let run = [&vec![0xFB; before][..], part, &vec![0xFF; after][..]].concat();
                    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
                        let text = engine.encode(&run);
                        assert_eq!(search.in_bytes(text.as_bytes()).len(), 1, "{before} {after} {text}");
                    }
                }
            }
        }
        assert!(search.in_bytes(STANDARD.encode(&core[1..16]).as_bytes()).is_empty());
        assert!(search.in_bytes(&vec![0; 4096]).is_empty());
    }
}
