//! The list of known differences: who departs from AWS's documentation where, and which page says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::run::{Departures, Said};
use crate::sequence::{Documented, Sequence, Step};
use crate::shape::canonical;

/// The documents that may decide a difference.
const DOCUMENTS: &[&str] = &[
    "AWS General Reference, ",
    "AWS KMS API Reference, ",
    "AWS KMS Developer Guide, ",
    "AWS Secrets Manager API Reference, ",
    "AWS Secrets Manager User Guide, ",
    "AWS Systems Manager API Reference, ",
    "AWS Systems Manager User Guide, ",
];

/// What the file begins with.
const HEAD: &str = "\
# Where the local services differ from what AWS documents, and from each other.
#
# The sequences are in tests/tests/honesty/sequences. An entry names one call of one of them, what AWS
# documents as its answer, the page that says so, and who says something else: `double` is the contract
# double (then `because` says why it may), `ministack` MiniStack as it comes, `rig` MiniStack with our
# plug-ins, `moto` moto. Who is not named answers as documented. A difference that is not listed fails
# the test `honesty`, and so does one that is listed and no longer there.
#
# A broken length, pattern or enumeration is answered with `ValidationException`, which stands under
# Common Errors of each API Reference. `A or B` are the codes that a page would bear which names none.
#
# KEYBOOT_HONESTY=write makes the test rewrite this file; the pages are found and written by hand.
";

/// The file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Differences {
    #[serde(default, rename = "difference")]
    list: Vec<Difference>,
}

/// One call that is not answered as documented by all.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    sequence: String,
    call: String,
    documented: String,
    page: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    double: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ministack: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rig: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moto: Option<String>,
}

impl Differences {
    pub(crate) fn read(text: &str) -> Result<Self> {
        toml::from_str(text).context("the list of differences")
    }

    pub(crate) fn write(&self) -> Result<String> {
        Ok(format!("{HEAD}\n{}", toml::to_string(self)?))
    }

    /// The differences that are there, in the order of the calls; pages are not known.
    pub(crate) fn found(sequences: &[Sequence], said: &BTreeMap<&str, Departures>) -> Self {
        let mut list = Vec::new();
        for sequence in sequences {
            for step in &sequence.steps {
                let Step::Call(call) = step else { continue };
                let says = |service: &str| said.get(service)?.get(&(sequence.name, call.name));
                let all: Vec<&Said> = said.keys().filter_map(|service| says(service)).collect();
                if all.is_empty() {
                    continue;
                }
                let text = |service: &str| says(service).map(ToString::to_string);
                list.push(Difference {
                    sequence: sequence.name.to_owned(),
                    call: call.name.to_owned(),
                    documented: documented(&call.documented, &all),
                    double: text("double"),
                    ministack: text("ministack"),
                    rig: text("rig"),
                    moto: text("moto"),
                    ..Difference::default()
                });
            }
        }
        Self { list }
    }

    /// The same differences with the pages and reasons that a list gives for them.
    pub(crate) fn with_pages_of(mut self, listed: &Self) -> Self {
        for found in &mut self.list {
            if let Some(known) = listed.list.iter().find(|known| known.place() == found.place()) {
                found.page.clone_from(&known.page);
                found.because = known.because.clone().filter(|_| found.double.is_some());
            }
        }
        self
    }

    /// Everything that is wrong with a list, given what was found.
    pub(crate) fn faults(listed: &Self, found: &Self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut places = BTreeSet::new();
        for entry in &listed.list {
            let place = format!("{}, {}", entry.sequence, entry.call);
            if !places.insert(entry.place()) {
                faults.push(format!("{place}: listed twice"));
            }
            if !DOCUMENTS.iter().any(|document| entry.page.starts_with(document)) {
                faults.push(format!("{place}: the page does not begin with one of {DOCUMENTS:?}"));
            }
            if entry.double.is_some() != entry.because.as_ref().is_some_and(|because| !because.is_empty()) {
                faults.push(format!("{place}: `because` stands exactly where the double departs"));
            }
            match found.list.iter().find(|found| found.place() == entry.place()) {
                None => faults.push(format!("{place}: listed, but all answer as documented now")),
                Some(found) => faults.extend(entry.against(found).map(|fault| format!("{place}: {fault}"))),
            }
        }
        let unlisted = found.list.iter().filter(|found| !places.contains(&found.place()));
        faults.extend(unlisted.map(|found| {
            let entry = Self { list: vec![found.clone()] };
            format!("not listed; if the page says so, add:\n{}", toml::to_string(&entry).unwrap_or_default())
        }));
        faults
    }
}

impl Difference {
    fn place(&self) -> (&str, &str) {
        (&self.sequence, &self.call)
    }

    fn against(&self, found: &Self) -> Option<String> {
        let pairs = [
            ("documented", Some(&self.documented), Some(&found.documented)),
            ("double", self.double.as_ref(), found.double.as_ref()),
            ("ministack", self.ministack.as_ref(), found.ministack.as_ref()),
            ("rig", self.rig.as_ref(), found.rig.as_ref()),
            ("moto", self.moto.as_ref(), found.moto.as_ref()),
        ];
        let mut fault = String::new();
        for (name, listed, found) in pairs.into_iter().filter(|(_, listed, found)| listed != found) {
            let as_documented = "as documented".to_owned();
            let (listed, found) = (listed.unwrap_or(&as_documented), found.unwrap_or(&as_documented));
            let _ = write!(fault, "\n  {name}\n    listed: {listed}\n    found:  {found}");
        }
        (!fault.is_empty()).then_some(fault)
    }
}

/// What is documented, as far as somebody departs from it.
fn documented(documented: &Documented, said: &[&Said]) -> String {
    match documented {
        Documented::Refuses(codes) => format!("refused {}", codes.join(" or ")),
        Documented::Answers(answer) => {
            let mut members = canonical(answer).as_object().cloned().unwrap_or_default();
            let departing = |name: &String| {
                said.iter().any(|said| matches!(said, Said::Answered(members) if members.contains_key(name)))
            };
            members.retain(|name, _| departing(name));
            Said::Answered(members).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "AWS KMS API Reference, Encrypt, Plaintext";

    fn list(differences: &[Difference]) -> Differences {
        Differences { list: differences.to_vec() }
    }

    fn difference() -> Difference {
        Difference {
            sequence: "sizes".to_owned(),
            call: "nothing".to_owned(),
            documented: "refused ValidationException".to_owned(),
            moto: Some("answered".to_owned()),
            ..Difference::default()
        }
    }

    fn with_page() -> Difference {
        Difference { page: PAGE.to_owned(), ..difference() }
    }

    #[test]
    fn what_is_listed_and_found_is_no_fault() {
        let listed = list(&[with_page()]);
        assert_eq!(Differences::faults(&listed, &list(&[difference()])), [""; 0]);
        assert_eq!(Differences::read(&listed.write().unwrap()).unwrap(), listed);
    }

    #[test]
    fn an_unlisted_difference_is_a_fault_that_says_what_to_add() {
        let faults = Differences::faults(&list(&[]), &list(&[difference()]));
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        assert!(fault.contains("[[difference]]\nsequence = \"sizes\"\ncall = \"nothing\""), "{fault}");
    }

    #[test]
    fn a_listed_difference_that_is_gone_is_a_fault() {
        let faults = Differences::faults(&list(&[with_page()]), &list(&[]));
        assert_eq!(faults, ["sizes, nothing: listed, but all answer as documented now"]);
    }

    #[test]
    fn a_listed_difference_that_is_another_one_now_is_a_fault() {
        let found = Difference { moto: Some("refused Other".to_owned()), ..difference() };
        let faults = Differences::faults(&list(&[with_page()]), &list(&[found]));
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        assert!(fault.contains("listed: answered\n    found:  refused Other"), "{fault}");
    }

    #[test]
    fn a_difference_without_a_page_and_a_departing_double_without_a_reason_are_faults() {
        let faults = |entry: Difference| {
            let same = list(&[entry]);
            Differences::faults(&same, &same).len()
        };
        assert_eq!(faults(difference()), 1);
        let departing = Difference { double: Some("answered".to_owned()), ..with_page() };
        assert_eq!(faults(departing.clone()), 1);
        assert_eq!(faults(Difference { because: Some("Rare.".to_owned()), ..departing }), 0);
        assert_eq!(faults(Difference { because: Some("Rare.".to_owned()), ..with_page() }), 1);
    }
}
