//! What CloudFormation is told, in the few bytes that it takes.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::physical_id::PhysicalResourceId;
use crate::request::{LogicalId, Request, RequestId};
use crate::stack_id::StackId;

/// The longest answer, in bytes of JSON: the page "Custom resource response objects" in the
/// CloudFormation user guide.
///
/// A longer one is not cut by CloudFormation but refused, and the stack then waits for nothing.
pub const MAX_ANSWER_BYTES: usize = 4096;

/// The verdict as the protocol spells it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Status {
    /// The operation is done.
    #[serde(rename = "SUCCESS")]
    Success,
    /// The operation is not done, and the stack rolls back.
    #[serde(rename = "FAILED")]
    Failed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
        })
    }
}

/// What a provider answers when its work is done.
///
/// `Data` is what the template reads with `Fn::GetAtt`. It is never secret: `NoEcho`, which this
/// crate does not offer, would not hide it where the template passes it on. `Debug` shows the names.
#[derive(Clone, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Success {
    /// The attributes of the resource.
    pub data: BTreeMap<String, String>,
    /// What the stack's events should say; it is cut where it does not fit.
    pub reason: Option<String>,
}

impl Success {
    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.data.insert(name.into(), value.into());
        self
    }

    /// Adds a sentence for the stack's events, after those that are there.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        self.reason = Some(match self.reason {
            Some(before) => format!("{before}; {reason}"),
            None => reason,
        });
        self
    }

    /// How many bytes of JSON the attributes are, braces included.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        to_json(&self.data).len()
    }

    /// Whether the attributes fit in the answer to a request. See [`data_budget`].
    #[must_use]
    pub fn fits(&self, request: &Request) -> bool {
        self.data.is_empty() || self.data_bytes() <= data_budget(request)
    }
}

impl fmt::Debug for Success {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Success").field("data", &self.data.keys()).field("reason", &self.reason).finish()
    }
}

/// What a function ends with when its work is [unfinished](Failure::unfinished). Lambda hands it to the
/// on-failure destination, which knows by it what became of the last run.
pub const UNFINISHED: &str = "the time was over before all was done: the next run goes on";

/// What a provider answers when its work could not be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What the stack's events should say: the fault, and what to do about it. Never a secret.
    pub reason: String,
    is_unfinished: bool,
}

impl Failure {
    /// A failure for a reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_unfinished: false }
    }

    /// No failure yet: the time of this run is nearly over, and the next one goes on where this one
    /// stopped. CloudFormation is told nothing, and the function has to end with an error, so that
    /// Lambda runs it again for the same event. After the last run the on-failure destination answers.
    ///
    /// Only for work that has come further in this run and whose rest a run can do.
    #[must_use]
    pub fn unfinished(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_unfinished: true }
    }

    /// Whether another run goes on with it.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }
}

/// How many bytes of JSON the attributes of a success may be, braces included.
///
/// A provider with more to tell than fits leaves out whole items by it. Attributes that do not fit
/// are never dropped silently: the operation is then answered FAILED, although its work was done. A
/// reason takes no room from them, for it gets what they leave.
#[must_use]
pub fn data_budget(request: &Request) -> usize {
    let heading = Heading {
        physical_id: request.id_after_success(),
        stack_id: &request.stack_id,
        request_id: &request.request_id,
        logical_id: &request.logical_id,
    };
    let without = heading.answer(Status::Success, None, None).len();
    MAX_ANSWER_BYTES.saturating_sub(without + r#","Data":"#.len())
}

/// What every answer to an event repeats from it.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "they are the protocol's names")]
pub(crate) struct Heading<'a> {
    pub(crate) physical_id: &'a PhysicalResourceId,
    pub(crate) stack_id: &'a StackId,
    pub(crate) request_id: &'a RequestId,
    pub(crate) logical_id: &'a LogicalId,
}

/// An answer ready to be sent, and the reason in it.
pub(crate) struct Composed {
    pub(crate) body: Vec<u8>,
    pub(crate) reason: Option<String>,
}

impl Heading<'_> {
    /// The answer for a success; its size, where that is too large.
    pub(crate) fn success(&self, success: &Success) -> Result<Composed, usize> {
        let data = (!success.data.is_empty()).then_some(&success.data);
        let body = self.answer(Status::Success, None, data);
        if body.len() > MAX_ANSWER_BYTES {
            return Err(body.len());
        }
        let reason = success.reason.as_deref().filter(|reason| !reason.is_empty());
        let room = MAX_ANSWER_BYTES.saturating_sub(body.len() + r#""Reason":"","#.len());
        Ok(match reason.and_then(|reason| cut(reason, room)) {
            Some(reason) => {
                Composed { body: self.answer(Status::Success, Some(&reason), data), reason: Some(reason) }
            }
            None => Composed { body, reason: None },
        })
    }

    /// The answer for a failure, which needs a reason. It always fits: what else stands in it has
    /// bounds that leave several hundred bytes.
    pub(crate) fn failure(&self, reason: &str) -> Composed {
        let reason = if reason.is_empty() { "no reason was given" } else { reason };
        let without = self.answer(Status::Failed, Some(""), None).len();
        let reason = cut(reason, MAX_ANSWER_BYTES.saturating_sub(without)).unwrap_or_default();
        Composed { body: self.answer(Status::Failed, Some(&reason), None), reason: Some(reason) }
    }

    fn answer(
        &self,
        status: Status,
        reason: Option<&str>,
        data: Option<&BTreeMap<String, String>>,
    ) -> Vec<u8> {
        to_json(&Document {
            status,
            reason,
            physical_resource_id: self.physical_id.as_str(),
            stack_id: self.stack_id.as_str(),
            request_id: self.request_id.as_str(),
            logical_resource_id: self.logical_id.as_str(),
            data,
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    physical_resource_id: &'a str,
    stack_id: &'a str,
    request_id: &'a str,
    logical_resource_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a BTreeMap<String, String>>,
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts, and maps from texts to texts, are always JSON")
}

/// A text that takes at most `room` bytes between JSON's quotes: whole, or cut between two
/// characters and ended by an ellipsis; nothing, where not even the ellipsis fits.
fn cut(text: &str, room: usize) -> Option<String> {
    const ELLIPSIS: char = '…';
    let mut taken = 0;
    let mut end_of_cut = 0;
    for (at, character) in text.char_indices() {
        taken += bytes_in_json(character);
        if taken > room {
            let room_for_ellipsis = room >= ELLIPSIS.len_utf8();
            return room_for_ellipsis.then(|| format!("{}{ELLIPSIS}", &text[..end_of_cut]));
        }
        if taken + ELLIPSIS.len_utf8() <= room {
            end_of_cut = at + character.len_utf8();
        }
    }
    Some(text.to_owned())
}

/// How long a character is in a JSON text: the escapes of RFC 8259, section 7, that must be used.
fn bytes_in_json(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        '\0'..='\u{1f}' => 6,
        _ => character.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading_parts() -> (PhysicalResourceId, StackId, RequestId, LogicalId) {
        (
            "things/blue/0123456789abcdef".parse().unwrap(),
            "arn:aws:cloudformation:eu-west-1:123456789012:stack/shop/5b0c".parse().unwrap(),
            "request-1".parse().unwrap(),
            "Thing".parse().unwrap(),
        )
    }

    fn with_heading<T>(test: impl FnOnce(Heading<'_>) -> T) -> T {
        let (physical_id, stack_id, request_id, logical_id) = heading_parts();
        test(Heading {
            physical_id: &physical_id,
            stack_id: &stack_id,
            request_id: &request_id,
            logical_id: &logical_id,
        })
    }

    #[test]
    fn counts_every_character_as_the_serializer_writes_it() {
        for character in (0..=0x10_ffff).step_by(7).chain(0..0x300).filter_map(char::from_u32) {
            let written = serde_json::to_string(&character).unwrap().len() - 2;
            assert_eq!(bytes_in_json(character), written, "{character:?}");
        }
    }

    #[test]
    fn a_failure_is_whole_up_to_4096_bytes_and_cut_beyond() {
        let frame = with_heading(|heading| heading.answer(Status::Failed, Some(""), None).len());
        // One, two, three and four bytes, and characters that JSON writes longer than they are.
        for character in ["a", "ä", "€", "🔑", "\"", "\n", "\u{1}"] {
            let each: usize = character.chars().map(bytes_in_json).sum();
            for total in 4085..=4105 {
                let room: usize = total - frame;
                let reason = character.repeat(room / each) + &"x".repeat(room % each);
                let composed = with_heading(|heading| heading.failure(&reason));
                let document: serde_json::Value = serde_json::from_slice(&composed.body).unwrap();
                let sent = document["Reason"].as_str().unwrap();
                assert_eq!(composed.reason.as_deref(), Some(sent));
                if total <= MAX_ANSWER_BYTES {
                    assert_eq!(sent, reason);
                    assert_eq!(composed.body.len(), total);
                } else {
                    let kept = sent.strip_suffix('…').expect("an ellipsis");
                    assert!(reason.starts_with(kept));
                    assert!(composed.body.len() <= MAX_ANSWER_BYTES);
                    // At most one character's width is given away.
                    assert!(composed.body.len() + each > MAX_ANSWER_BYTES, "{character:?} {total}");
                }
            }
        }
    }

    #[test]
    fn a_failure_fits_whatever_stands_around_it() {
        let longest = |text: &str, times| text.repeat(times);
        let physical_id: PhysicalResourceId = longest("\"", 1024).parse().unwrap();
        let region = format!("us-gov-{}-99", longest("a", 24));
        let (name, uuid) = (longest("n", 128), longest("u", 64));
        let stack_id: StackId =
            format!("arn:aws-us-gov:cloudformation:{region}:123456789012:stack/{name}/{uuid}")
                .parse()
                .unwrap();
        let request_id: RequestId = longest("\\", 255).parse().unwrap();
        let logical_id: LogicalId = longest("\"", 255).parse().unwrap();
        let heading = Heading {
            physical_id: &physical_id,
            stack_id: &stack_id,
            request_id: &request_id,
            logical_id: &logical_id,
        };
        let composed = heading.failure(&longest("€", 4000));
        assert!(composed.body.len() <= MAX_ANSWER_BYTES);
        assert!(composed.reason.unwrap().len() > 300);
    }

    #[test]
    fn a_failure_without_a_reason_says_so() {
        let composed = with_heading(|heading| heading.failure(""));
        assert_eq!(composed.reason.as_deref(), Some("no reason was given"));
    }

    #[test]
    fn a_success_gives_its_reason_only_the_room_that_its_data_leaves() {
        with_heading(|heading| {
            let frame = heading.answer(Status::Success, None, None).len();
            for spare in 0..40 {
                // The attribute alone is `,"Data":{"k":"v…"}`: 16 bytes around its value.
                let value = "v".repeat(MAX_ANSWER_BYTES - frame - 16 - spare);
                let success = Success::default().with("k", value.clone()).because("because it is so");
                let composed = heading.success(&success).unwrap();
                assert!(composed.body.len() <= MAX_ANSWER_BYTES);
                let document: serde_json::Value = serde_json::from_slice(&composed.body).unwrap();
                assert_eq!(document["Data"]["k"], *value);
                match spare {
                    // `"Reason":"",` is 12 bytes, the ellipsis 3.
                    0..15 => assert_eq!(composed.reason, None),
                    15..28 => assert!(composed.reason.unwrap().ends_with('…')),
                    _ => assert_eq!(composed.reason.as_deref(), Some("because it is so")),
                }
            }
        });
    }

    #[test]
    fn a_success_that_does_not_fit_is_refused_with_its_size() {
        with_heading(|heading| {
            let frame = heading.answer(Status::Success, None, None).len();
            let of_size = |size: usize| Success::default().with("k", "v".repeat(size - frame - 16));
            assert_eq!(heading.success(&of_size(4096)).map(|fits| fits.body.len()), Ok(4096));
            assert_eq!(heading.success(&of_size(4097)).map(|fits| fits.body.len()), Err(4097));
        });
    }

    #[test]
    fn debug_shows_no_value() {
        let success = Success::default().with("Name", "topsecret");
        assert!(format!("{success:?}").contains("Name"));
        assert!(!format!("{success:?}").contains("topsecret"));
    }
}
