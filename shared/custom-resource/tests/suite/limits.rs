//! Answers as large as an answer may be, and those that would be larger, over a real socket.

use std::time::Duration;

use custom_resource::{
    Deadline, Ending, Failure, IdentityScheme, Provider, Request, Responder, Served, Success, refuse, serve,
};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use serde_json::{Value, json};

use crate::support::{Bucket, Doing, Reaction, Received, STACK_ID, event, id_of, scheme};

/// What CloudFormation takes, in bytes: the page "Custom resource response objects" in its user guide.
const LIMIT: usize = 4096;

/// What a Reason may be made of.
const TEXTS: &[&str] = &[
    // One, two, three and four bytes.
    "a",
    "ä",
    "€",
    "🔑",
    // What JSON writes longer than it is: by one byte, and by five.
    "\"",
    "\\",
    "\n",
    "\t",
    "\u{0}",
    "\u{1f}",
    // What some JSON writers escape, and this one need not.
    "\u{7f}",
    "\u{2028}",
    "\u{feff}",
    "/",
    // Several characters that are seen as one.
    "e\u{301}",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "ก็",
    // The last character there is, the neighbours of the surrogates, and a mixture.
    "\u{10ffff}",
    "\\\"\u{1}🔑",
    "\u{d7ff}\u{e000}",
];

/// What an answer may hold. No other name of it means anything to CloudFormation.
const NAMES: [&str; 7] =
    ["Status", "Reason", "PhysicalResourceId", "StackId", "RequestId", "LogicalResourceId", "Data"];

/// A place for many answers.
struct Sender {
    bucket: Bucket,
    scheme: IdentityScheme,
    responder: Responder,
}

impl Sender {
    async fn start() -> Self {
        let bucket = Bucket::start(&[Reaction::Status(200)]).await;
        Self { bucket, scheme: scheme(), responder: Responder::new() }
    }

    /// Serves an event, and gives how the log and the bucket were told of it.
    async fn serve(&self, mut event: Value, provider: &impl Provider) -> (Ending, Value, usize) {
        event["ResponseURL"] = json!(self.bucket.url());
        let deadline = Deadline::after(Duration::from_mins(1));
        let served = serve(event, deadline, &self.scheme, &self.responder, provider).await;
        self.told(&served)
    }

    async fn refuse(&self, mut event: Value, reason: &str) -> (Ending, Value, usize) {
        event["ResponseURL"] = json!(self.bucket.url());
        let deadline = Deadline::after(Duration::from_mins(1));
        let failure = Failure::new(reason);
        let served = refuse(event, deadline, &self.scheme, &self.responder, failure).await;
        self.told(&served)
    }

    fn told(&self, served: &Served) -> (Ending, Value, usize) {
        let Served::Answered { answer, .. } = served else { panic!("{served:?}") };
        let received = self.bucket.last();
        let document = check(&received);
        assert_eq!(document["Reason"].as_str(), answer.reason.as_deref());
        assert_eq!(document["Status"], answer.status().to_string());
        (answer.ending, document, received.body.len())
    }
}

/// What holds for every answer; gives what it says.
fn check(received: &Received) -> Value {
    assert!(received.body.len() <= LIMIT, "{} bytes", received.body.len());
    let lengths: Vec<_> = received
        .head
        .lines()
        .filter_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned))
        .collect();
    assert_eq!(lengths, [received.body.len().to_string()]);
    std::str::from_utf8(&received.body).expect("an answer is UTF-8");
    let document = received.json();
    let names: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(names.iter().all(|name| NAMES.contains(name)), "{names:?}");
    assert_eq!(document["StackId"], STACK_ID);
    document
}

fn check_cut(sent: &str, whole: &str, length: usize, widest: usize) {
    let kept = sent.strip_suffix('…').expect("an ellipsis says that it was cut");
    assert!(whole.starts_with(kept), "what is kept is the beginning");
    assert!(length + widest > LIMIT, "{length}: more was cut than had to be");
}

/// How many bytes a text is between JSON's quotes.
fn in_json(text: &str) -> usize {
    json!(text).to_string().len() - 2
}

/// Events with a short id and with the one that is the longest in JSON.
fn shortest_and_longest() -> [Value; 2] {
    [event("Create", ""), events().swap_remove(2)]
}

/// Events with all kinds of ids, most of them as long as an id may be.
fn events() -> Vec<Value> {
    let delivered = ["x".repeat(1024), "ä".repeat(512), "\"".repeat(1024), "🔑".repeat(256)];
    let mut events: Vec<_> = delivered
        .into_iter()
        .map(|id| {
            let mut event = event("Delete", "");
            event["PhysicalResourceId"] = json!(id);
            event
        })
        .collect();
    events.push(event("Create", ""));
    events
}

#[tokio::test]
async fn a_reason_is_whole_up_to_4096_bytes_and_cut_between_characters_beyond() {
    let sender = Sender::start().await;
    for event in shortest_and_longest() {
        let (_, document, length) = sender.refuse(event.clone(), "x").await;
        let frame = length - 1;
        let id = document["PhysicalResourceId"].clone();
        for text in TEXTS {
            let widest = text.chars().map(|character| in_json(&character.to_string())).max().unwrap();
            for total in 4095..=4098 {
                let room = total - frame;
                let filling = "x".repeat(room % in_json(text));
                let repeated = text.repeat(room / in_json(text));
                for reason in [format!("{filling}{repeated}"), format!("{repeated}{filling}")] {
                    let provider = Doing::new(async |_| Err(Failure::new(reason.clone())));
                    let (ending, document, length) = sender.serve(event.clone(), &provider).await;
                    assert_eq!(ending, Ending::Failed);
                    assert_eq!(document["PhysicalResourceId"], id);
                    let sent = document["Reason"].as_str().unwrap();
                    if total <= LIMIT {
                        assert_eq!((sent, length), (&*reason, total), "{text:?}");
                    } else {
                        check_cut(sent, &reason, length, widest);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn what_an_on_failure_destination_says_is_cut_alike() {
    let sender = Sender::start().await;
    for event in events() {
        for text in TEXTS {
            let reason = text.repeat(4096);
            let (ending, document, length) = sender.refuse(event.clone(), &reason).await;
            assert_eq!(ending, Ending::Failed);
            check_cut(document["Reason"].as_str().unwrap(), &reason, length, 6);
        }
    }
}

/// Data come whole or not at all, and the reason takes the room that they leave.
#[tokio::test]
async fn items_fill_an_answer_and_a_reason_takes_what_is_left() {
    let sender = Sender::start().await;
    let reason = "a reason with a \" and an €, ".repeat(200);
    let mut left = std::collections::BTreeSet::new();
    for event in shortest_and_longest() {
        for width in (40..700).step_by(7) {
            let provider = Doing::new(async |request: Request| {
                let mut success = Success::default();
                for item in 0.. {
                    let value = "v\"é🔑".repeat(width / 10) + &"x".repeat(width % 10);
                    let more = success.clone().with(format!("Item{item}"), value);
                    if !more.fits(&request) {
                        break;
                    }
                    success = more;
                }
                Ok(success.because(&reason))
            });
            let (ending, document, length) = sender.serve(event.clone(), &provider).await;
            assert_eq!(ending, Ending::Succeeded);
            let items = document["Data"].as_object().unwrap();
            assert!((0..items.len()).all(|item| items.contains_key(&format!("Item{item}"))));
            match document["Reason"].as_str() {
                Some(sent) => check_cut(sent, &reason, length, 3),
                // Not even an ellipsis would fit: `"Reason":"…",` is 15 bytes.
                None => assert!(length + 15 > LIMIT, "{length}"),
            }
            left.insert(document["Reason"].as_str().map_or(0, str::len).min(20));
        }
    }
    assert!(left.len() > 5, "the reason had little room and much: {left:?}");
}

#[tokio::test]
async fn an_id_is_told_back_up_to_its_longest_and_refused_beyond() {
    let sender = Sender::start().await;
    let provider = Doing::new(async |_| Ok(Success::default()));
    for text in ["x", "\"", "ä", "€", "🔑", "\u{2028}"] {
        let longest = text.repeat(1024 / text.len());
        for (id, sound) in [(&*longest, true), (&*format!("{longest}{text}"), false)] {
            let mut event = event("Delete", "");
            event["PhysicalResourceId"] = json!(id);
            let (ending, document, _) = sender.serve(event, &provider).await;
            if sound {
                assert_eq!((ending, &document["PhysicalResourceId"]), (Ending::Succeeded, &json!(id)));
            } else {
                assert_eq!((ending, &document["PhysicalResourceId"]), (Ending::BadEvent, &json!(id_of("a"))));
                let reason = document["Reason"].as_str().unwrap();
                assert!(reason.contains("PhysicalResourceId is not 1 to 1,024 bytes"), "{reason}");
            }
        }
    }
}

fn any_text(most: usize) -> impl Strategy<Value = String> {
    let odd = proptest::sample::select(TEXTS).prop_map(str::to_owned);
    let character = any::<char>().prop_map(String::from);
    let parts = prop::collection::vec(prop_oneof![odd, character], 1..20);
    (parts, 0..most).prop_map(|(parts, characters)| parts.concat().chars().cycle().take(characters).collect())
}

fn any_outcome() -> impl Strategy<Value = Result<Success, Failure>> {
    let data = prop::collection::btree_map(any_text(20), any_text(300), 0..6);
    let success = (data, prop::option::of(any_text(2000))).prop_map(|(data, reason)| {
        let success = data.into_iter().fold(Success::default(), |success, (k, v)| success.with(k, v));
        match reason {
            Some(reason) => success.because(reason),
            None => success,
        }
    });
    prop_oneof![success.prop_map(Ok), any_text(3000).prop_map(|reason| Err(Failure::new(reason)))]
}

/// Whatever a provider says, in whatever characters, what is sent is an answer.
#[test]
fn whatever_is_to_be_said_an_answer_is_an_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sender = runtime.block_on(Sender::start());
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    });
    let cases = (any_outcome(), proptest::sample::select(events()));
    let result = runner.run(&cases, |(outcome, event)| {
        let provider = Doing::new(async |request: Request| {
            if let Ok(success) = &outcome {
                // The budget says beforehand what will come of it.
                let whole = json!(success.data).to_string().len();
                assert_eq!(success.data_bytes(), whole);
                assert!(success.fits(&request) || whole > 300);
            }
            outcome.clone()
        });
        let (ending, document, _) = runtime.block_on(sender.serve(event, &provider));
        match &outcome {
            Ok(success) if ending == Ending::Succeeded => {
                let told = document.get("Data").cloned().unwrap_or_else(|| json!({}));
                prop_assert_eq!(told, json!(success.data));
            }
            Ok(_) => {
                prop_assert_eq!(ending, Ending::TooLarge);
                prop_assert!(document.get("Data").is_none());
                prop_assert!(document["Reason"].as_str().unwrap().contains("the operation is done, but"));
            }
            Err(_) => {
                prop_assert_eq!(ending, Ending::Failed);
                prop_assert!(!document["Reason"].as_str().unwrap().is_empty());
            }
        }
        Ok(())
    });
    result.unwrap();
}
