//! Runs the sequences against one service and tells where it departs from what AWS documents.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Map, Value};

use crate::client::Answer;
use crate::sequence::{Call, Documented, Sequence, Step};
use crate::services::Subject;
use crate::shape::{Kept, canonical, filled, projected};

/// A call of a sequence, by the names of both.
pub(crate) type Place = (&'static str, &'static str);

/// What a service says in the places where it departs from the documentation.
pub(crate) type Departures = BTreeMap<Place, Said>;

/// An answer that departs, made comparable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Said {
    /// It is answered; these members are not as documented.
    Answered(Map<String, Value>),
    /// It is refused or fails; with which code.
    Otherwise(String),
}

impl std::fmt::Display for Said {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answered(members) if members.is_empty() => formatter.write_str("answered"),
            Self::Answered(members) => {
                write!(formatter, "answered {}", Value::Object(members.clone()))
            }
            Self::Otherwise(text) => formatter.write_str(text),
        }
    }
}

/// Runs all sequences. A call that needs something which a departing service never answered is left
/// out: that departure is told already.
pub(crate) async fn departures(subject: &Subject, sequences: &[Sequence]) -> Result<Departures> {
    let mut departures = Departures::new();
    for sequence in sequences {
        let mut kept = subject.known();
        for step in &sequence.steps {
            match step {
                Step::Given(given) => subject.give(*given, &mut kept).await?,
                Step::Call(call) => {
                    let Some(input) = filled(&call.input, &kept) else { continue };
                    let mut answer = subject.client.call(call.operation, &input).await?;
                    for _ in 1..call.times {
                        answer = subject.client.call(call.operation, &input).await?;
                    }
                    if let Answer::Done(answered) = &answer {
                        keep(call, answered, &mut kept);
                    }
                    if let Some(said) = departure(&call.documented, answer, &kept) {
                        departures.insert((sequence.name, call.name), said);
                    }
                }
            }
        }
    }
    Ok(departures)
}

fn keep(call: &Call, answered: &Value, kept: &mut Kept) {
    for (name, pointer) in &call.kept {
        if let Some(text) = answered.pointer(pointer).and_then(Value::as_str) {
            kept.insert(name, text.to_owned());
        }
    }
}

fn departure(documented: &Documented, answer: Answer, kept: &Kept) -> Option<Said> {
    match (documented, answer) {
        (Documented::Answers(documented), Answer::Done(answered)) => {
            let projected = projected(documented, &answered, kept);
            let documented = canonical(documented);
            let Value::Object(mut members) = projected else { return None };
            members.retain(|name, member| documented[name.as_str()] != *member);
            (!members.is_empty()).then_some(Said::Answered(members))
        }
        (Documented::Refuses(_), Answer::Done(_)) => Some(Said::Answered(Map::new())),
        (Documented::Refuses(codes), Answer::Refused(code)) if codes.contains(&code.as_str()) => None,
        (_, Answer::Refused(code)) => Some(Said::Otherwise(format!("refused {code}").trim_end().to_owned())),
        (_, Answer::Failed(status, code)) => {
            Some(Said::Otherwise(format!("failed {status} {code}").trim_end().to_owned()))
        }
    }
}
