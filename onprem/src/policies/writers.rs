//! What the two roles may do that write keys. Neither ever reads one: no path of theirs has `read` below
//! `data` of the engine with secrets, and none opens what is sealed.

use vault::{Mount, Mounts};

use super::own;
use super::paths::{self, Paths};
use super::policy::Capability::{Create, Delete, List, Patch, Read, Update};
use super::policy::{Capability, Policy, Rule, Values};
use super::subjects::Subjects;

const PROVISIONER: &str = "\
Makes keys, and reads none. Whoever has this token can
- make a key where none stands, and knows it then: what was made before stays as it is and unknown to him;
- change what is said beside a secret: which version counts, when it may go. Readers go by signed documents;
- make a key that a later run of the rightful provisioner takes for one that it made before it died, and says so;
- have ANY digest signed by the key of the records, and so name another public key for a node. That is what
  making records means, and why this token lives for minutes, on one host, and each signature stands in two
  audit logs. It cannot go unseen by who pins fingerprints.
He can replace, remove or restore nothing: that is the rotator's.";

const ROTATOR: &str = "\
Replaces, removes and restores keys, and reads none. Whoever has this token can do what the provisioner can and
beside it put versions over those that count, and remove secrets for good: for a rotation or a removal alone.";

/// The policy of who makes keys.
pub(super) fn provisioner(subjects: &Subjects, mounts: &Mounts) -> Policy {
    let Mounts { secrets, .. } = mounts;
    let paths = paths::secrets(subjects);
    let mut rules = own::token();
    rules.extend(each(&paths, PUT_NEW, |path| written(secrets, path, &[Create])));
    rules.extend(each(&paths, NAMES, |path| Rule::at(format!("{secrets}/subkeys/{path}"), &[Read])));
    rules.extend(each(&paths, BESIDE, |path| beside(secrets, path, &[Create, Update, Patch, Read, List])));
    rules.extend(common(subjects, mounts));
    Policy::new("provisioner", PROVISIONER, rules)
}

/// The policy of who replaces and removes keys.
pub(super) fn rotator(subjects: &Subjects, mounts: &Mounts) -> Policy {
    let Mounts { secrets, .. } = mounts;
    let paths = paths::secrets(subjects);
    let versions = |part: &str, path: &str| {
        Rule::at(format!("{secrets}/{part}/{path}"), &[Update]).at_most_with([("versions", Values::Any)])
    };
    let mut rules = own::token();
    rules.extend(each(&paths, PUT, |path| written(secrets, path, &[Create, Update])));
    rules.extend(each(&paths, NAMES, |path| Rule::at(format!("{secrets}/subkeys/{path}"), &[Read])));
    rules.extend(each(&paths, BESIDE, |path| {
        beside(secrets, path, &[Create, Update, Patch, Read, List, Delete])
    }));
    rules.extend(each(&paths, OUT_OF_USE, |path| versions("delete", path)));
    rules.extend(each(&paths, IN_USE, |path| versions("undelete", path)));
    rules.extend(common(subjects, mounts));
    Policy::new("rotator", ROTATOR, rules)
}

/// Why there are rules about each kind of secret.
const PUT_NEW: &str = "\
A value goes in where none stands, by compare-and-set, and never comes out. Without `update` nothing that stands is
written over, also nothing that was taken out of use.";
const PUT: &str = "A value goes in by compare-and-set, and never comes out.";
const NAMES: &str =
    "The names of the parts of a value, which say what it is; what stands under them is left out.";
const BESIDE: &str = "What is said beside it; not how many versions are kept, nor when they end.";
const OUT_OF_USE: &str = "Its readers stop at once, and it can be brought back.";
const IN_USE: &str = "It is brought back.";

/// A rule for each path, with the reason above the first.
fn each<'a>(
    paths: &'a [String],
    why: &'static str,
    rule: impl Fn(&str) -> Rule + 'a,
) -> impl Iterator<Item = Rule> + 'a {
    let mut why = Some(why);
    paths.iter().map(move |path| first(&mut why, rule(path)))
}

/// Its value goes in.
fn written(secrets: &Mount, path: &str, capabilities: &[Capability]) -> Rule {
    Rule::at(format!("{secrets}/data/{path}"), capabilities)
        .only_with([("data", Values::Any), ("options", Values::Any)])
}

/// What is said beside it changes. A folder is listed by its path with a slash behind it, which `+` matches with
/// nothing in its place: so what is said of a path is said of listing the folder as well.
fn beside(engine: &Mount, path: &str, capabilities: &[Capability]) -> Rule {
    Rule::at(format!("{engine}/metadata/{path}"), capabilities)
        .at_most_with([("custom_metadata", Values::Any)])
}

/// What both do beside.
fn common(subjects: &Subjects, mounts: &Mounts) -> Vec<Rule> {
    let Mounts { secrets, documents, transit, seal_key, record_key, .. } = mounts;
    let Paths { documents: written, listings } = paths::of(subjects);
    let listed = |path: &str| Rule::at(format!("{secrets}/metadata/{path}"), &[List]);
    let read_and_written = |path: &str| Rule::at(format!("{documents}/data/{path}"), &[Create, Update, Read]);
    let mut rules: Vec<Rule> = each(&listings, "The names of what is there.", listed).collect();
    rules.extend(each(&written, "Public documents: records, rosters, what is at work.", read_and_written));
    rules.extend(each(
        &written,
        "How often each was written, and that it goes; a chain's never does.",
        |path| {
            let capabilities: &[Capability] =
                if path.ends_with("/chain") { &[Read] } else { &[Read, Delete] };
            Rule::at(format!("{documents}/metadata/{path}"), capabilities)
        },
    ));
    rules.push(
        Rule::at(format!("{transit}/encrypt/{seal_key}"), &[Update])
            .only_with([("plaintext", Values::Any), ("context", Values::Any)])
            .because("Seals for a node, and opens nothing; without `create` no key comes to be by it."),
    );
    rules.push(
        Rule::at(format!("{transit}/sign/{record_key}"), &[Update])
            .only_with([
                ("input", Values::Any),
                ("prehashed", Values::True),
                ("hash_algorithm", Values::Texts(vec!["sha2-256".into()])),
                ("marshaling_algorithm", Values::Texts(vec!["asn1".into()])),
            ])
            .because("Signs digests of records: any digest, see above."),
    );
    rules.push(Rule::at(format!("{transit}/keys/{record_key}"), &[Read]).because("Its public half."));
    rules
}

/// The reason goes above the first of several rules.
fn first(why: &mut Option<&'static str>, rule: Rule) -> Rule {
    match why.take() {
        Some(why) => rule.because(why),
        None => rule,
    }
}
