//! What was promised, beside what was measured. A budget that is missed is shown, and fails nothing:
//! a run on a busy machine is no verdict. No I/O here.

use std::collections::BTreeMap;

use crate::measuring::Measured;
use crate::statistics::Samples;
use crate::subject::{Contender, Starter, Subject};

/// A promise, and how it stands.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// What is promised about.
    pub(crate) what: &'static str,
    /// What is allowed, as a text and as a number.
    pub(crate) allowed: (&'static str, f64),
    /// What was measured, as a text and as a number.
    pub(crate) measured: (String, f64),
    /// Where a miss comes from, as far as it is known.
    because: &'static str,
}

impl Budget {
    /// Whether it is held.
    pub(crate) fn is_held(&self) -> bool {
        self.measured.1 <= self.allowed.1
    }

    /// How it stands, in words.
    pub(crate) fn verdict(&self) -> String {
        if self.is_held() { "held".to_owned() } else { format!("missed: {}", self.because) }
    }
}

/// How many times what a function without an SDK takes node-keys may take to its first request for an
/// event.
pub(crate) const TO_NEXT: f64 = 5.0;
/// Which part of what Python takes it may take to its first call to AWS.
pub(crate) const TO_FIRST_CALL: f64 = 1.0 / 20.0;
/// How much memory a Create of three nodes may take, in MiB.
pub(crate) const MEMORY: f64 = 24.0;
/// Which part of what Python takes keyboot-node may take until it is the command.
pub(crate) const TO_EXEC: f64 = 1.0 / 5.0;
/// How large the archives may be, in MB.
pub(crate) const ARCHIVES: [(&str, f64); 3] =
    [("node-keys", 3.0), ("key-rotation", 3.0), ("unanswered", 1.0)];

/// Every promise.
pub(crate) fn all(measured: &Measured) -> Vec<Budget> {
    let start = ratio(&measured.to_next, Subject::NodeKeys, Subject::SdkLess);
    let first_call = ratio(&measured.to_first_call, Subject::NodeKeys, Subject::Python);
    let memory = measured.peak_memory.get(&Subject::NodeKeys).cloned().unwrap_or_default();
    let to_exec = ratio(&measured.to_exec, Starter::KeybootNode, Starter::Python);
    let archive = |function| measured.archives.get(function).copied().unwrap_or(f64::INFINITY);
    let [(_, node_keys), (_, key_rotation), (_, unanswered)] = ARCHIVES;
    vec![
        Budget {
            what: "node-keys: start to the first request for an event, against the function without an SDK",
            allowed: ("at most 5 times, and 2 is the aim", TO_NEXT),
            measured: (times(&start), start.median()),
            because: "what it does before it asks for an event, and the pages of a larger program",
        },
        Budget {
            what: "node-keys: start to the first call to AWS, against Python",
            allowed: ("at most 1/20", TO_FIRST_CALL),
            measured: (fraction(&first_call), first_call.median()),
            because: "the SDK's clients are built before the first call",
        },
        Budget {
            what: "node-keys: peak memory of a Create of three nodes",
            allowed: ("less than 24 MiB", MEMORY),
            measured: (format!("{:.1} MiB", memory.median()), memory.median()),
            because: "the pages of the program, and the SDK's clients of four services",
        },
        Budget {
            what: "keyboot-node: start to exec of the command, against Python",
            allowed: ("at most 1/5", TO_EXEC),
            measured: (fraction(&to_exec), to_exec.median()),
            because: "it reads the roster and every peer's record, checks their signatures, and looks at the host",
        },
        Budget {
            what: "node-keys: archive",
            allowed: ("at most 3.0 MB", node_keys),
            measured: (format!("{:.2} MB", archive("node-keys")), archive("node-keys")),
            because: "of 7.4 MB before compression the SDK's clients of four services and what they share take \
                      1.3 MB, the tables by which panics unwind 1.2 MB, its own code 0.9 MB, TLS with its roots \
                      0.5 MB",
        },
        Budget {
            what: "key-rotation: archive",
            allowed: ("at most 3.0 MB", key_rotation),
            measured: (format!("{:.2} MB", archive("key-rotation")), archive("key-rotation")),
            because: "as in node-keys the SDK's clients and what they share, the tables by which panics unwind, and \
                      TLS with its roots",
        },
        Budget {
            what: "unanswered: archive",
            allowed: ("at most 1.0 MB", unanswered),
            measured: (format!("{:.2} MB", archive("unanswered")), archive("unanswered")),
            because: "TLS with compiled-in roots, P-256's table of 150 kB in it that no compression shrinks; the \
                      tables by which panics unwind, 320 kB before compression; std's own printer of backtraces, \
                      100 kB before; two clients for HTTP, Lambda's and the answer's",
        },
    ]
}

/// How many times the one is the other, round by round.
pub(crate) fn ratio<T: Contender>(samples: &BTreeMap<T, Samples>, this: T, that: T) -> Samples {
    match (samples.get(&this), samples.get(&that)) {
        (Some(this), Some(that)) => this.over(that),
        _ => Samples::default(),
    }
}

/// A ratio as `1.84 times (1.80 to 1.91)`.
pub(crate) fn times(ratio: &Samples) -> String {
    let (low, high) = ratio.quartiles();
    format!("{:.2} times ({low:.2} to {high:.2})", ratio.median())
}

/// A small ratio as `1/28 (1/30 to 1/27)`.
pub(crate) fn fraction(ratio: &Samples) -> String {
    let (low, high) = ratio.quartiles();
    format!("1/{:.1} (1/{:.1} to 1/{:.1})", 1.0 / ratio.median(), 1.0 / low, 1.0 / high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(measured: f64) -> Budget {
        let measured = (measured.to_string(), measured);
        Budget { what: "a thing", allowed: ("at most 2", 2.0), measured, because: "it is so" }
    }

    #[test]
    fn a_budget_is_held_up_to_its_limit_and_a_miss_says_why() {
        assert_eq!(budget(2.0).verdict(), "held");
        assert_eq!(budget(2.01).verdict(), "missed: it is so");
    }

    #[test]
    fn a_ratio_is_shown_with_its_quartiles() {
        let ratio: Samples = [0.04, 0.05, 0.0625].into_iter().collect();
        assert_eq!(fraction(&ratio), "1/20.0 (1/22.2 to 1/17.8)");
        assert_eq!(times(&ratio), "0.05 times (0.04 to 0.06)");
    }
}
