//! Where its answer goes, and what it says of an event.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rig::functions::{Build, bootstrap};
use rig::runtime::{Ended, Function, Outcome};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::surroundings::{PATIENCE, REGION, deployable, environment, event, properties};

/// What must never be printed: in the signature of the URL, and as a property's value.
pub(crate) const SIGNATURE: &str = "Signature-canary-51c9";
pub(crate) const VALUE: &str = "value-canary-9d02";
/// The time of an event. Nothing can be reached, so it may well be used up.
const TIME: Duration = Duration::from_secs(3);

/// Counts who connects.
pub(crate) struct Ear(Vec<TcpListener>);

impl Ear {
    /// Listens on one port of the IPv4 and, where there is one, the IPv6 loopback.
    pub(crate) fn new() -> (Self, u16) {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = four.local_addr().unwrap().port();
        let listeners: Vec<_> =
            [Some(four), TcpListener::bind((Ipv6Addr::LOCALHOST, port)).ok()].into_iter().flatten().collect();
        for listener in &listeners {
            listener.set_nonblocking(true).unwrap();
        }
        (Self(listeners), port)
    }

    /// How many connections were made since it was asked last; whoever connected is in the queue
    /// of the kernel, even if it went away at once.
    pub(crate) fn heard(&self) -> usize {
        self.0.iter().map(|listener| std::iter::from_fn(|| listener.accept().ok()).count()).sum()
    }
}

/// Every way to write an address of this machine that comes to mind.
pub(crate) fn loopback_urls(port: u16) -> Vec<String> {
    let bucket = format!("cloudformation-custom-resource-response-xxnone1.s3.{REGION}.amazonaws.com");
    let hosts = [
        "127.0.0.1".to_owned(),
        "localhost".to_owned(),
        "[::1]".to_owned(),
        "[::ffff:127.0.0.1]".to_owned(),
        "127.1".to_owned(),
        "2130706433".to_owned(),
        "0.0.0.0".to_owned(),
        "LOCALHOST.".to_owned(),
        format!("{bucket}@127.0.0.1"),
        format!("{bucket}%40127.0.0.1"),
    ];
    let mut urls = vec![format!("file://127.0.0.1:{port}/x"), format!("https://{bucket}:{port}/x")];
    for scheme in ["http", "https", "HTTP"] {
        for host in &hosts {
            urls.push(format!("{scheme}://{host}:{port}/key?X-Amz-{SIGNATURE}"));
        }
    }
    urls
}

async fn handed(program: &Path, events: &[Value]) -> (Vec<Outcome>, Ended) {
    let mut environment = environment();
    // The build for the rig takes this as its one endpoint; nobody is there.
    if program != deployable() {
        environment.insert("AWS_ENDPOINT_URL".into(), "http://127.0.0.1:9".into());
    }
    let mut function = Function::start(program, &environment).await.unwrap();
    assert!(function.ready(PATIENCE).await.is_some());
    let mut outcomes = Vec::new();
    for event in events {
        outcomes.push(function.invoke(event.to_string(), TIME).await.unwrap());
    }
    (outcomes, function.end().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_url_of_this_machine_gets_no_connection() {
    let (ear, port) = Ear::new();
    let urls = loopback_urls(port);
    // With properties that are right, and with some for which FAILED would be the answer.
    let events: Vec<_> = urls
        .iter()
        .flat_map(|url| [event(url, &properties()), event(url, &json!({ "Unknown": "x" }))])
        .collect();
    let started = Instant::now();
    let (outcomes, ended) = handed(&deployable(), &events).await;
    assert_eq!(ear.heard(), 0);
    // Nobody can be told, so trying again would not help: the invocations succeed, and at once.
    for (event, outcome) in events.iter().zip(&outcomes) {
        assert!(matches!(outcome, Outcome::Response(_)), "{event}: {outcome:?}");
    }
    assert!(started.elapsed() < TIME, "it waited for something");
    let printed = ended.printed();
    assert_eq!(printed.lines().count(), events.len(), "{printed}");
    assert!(printed.lines().all(|line| line.contains("could not be answered: ResponseURL")), "{printed}");
    assert!(!printed.contains("127.0.0.1") && !printed.contains(SIGNATURE), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_makes_the_build_for_the_rig_connect() {
    // Without this the test above could pass on a machine whose loopback nobody can connect to.
    let (ear, port) = Ear::new();
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    assert_eq!(ear.heard(), 1);
    let local = bootstrap("node-keys", Build::Local).unwrap();
    let url = format!("http://127.0.0.1:{port}/key?X-Amz-{SIGNATURE}");
    let (_, ended) = handed(&local, &[event(&url, &json!({ "Unknown": "x" }))]).await;
    assert!(ear.heard() > 0, "{}", ended.printed());
    assert!(!ended.printed().contains(SIGNATURE));
}

/// Events of many kinds, each with both canaries where it can have them.
fn events_with_canaries() -> Vec<(&'static str, Value)> {
    let url = format!(
        "https://cloudformation-custom-resource-response-xxnone1.s3.{REGION}.amazonaws.com/key?X-Amz-{SIGNATURE}"
    );
    let with = |name: &str, value: Value| {
        let mut properties = properties();
        properties[name] = value;
        event(&url, &properties)
    };
    let changed = |name: &str, value: Value| {
        let mut event = with("NodeDomain", json!(VALUE));
        event[name] = value;
        event
    };
    vec![
        ("nothing wrong", with("NodeDomain", json!(VALUE))),
        ("an unknown property", with("Unknown", json!(VALUE))),
        ("a value that is none", with("P2pCurve", json!(VALUE))),
        ("a value of another type", with("Cluster", json!({ "a": VALUE }))),
        ("a wrong cluster", with("Cluster", json!(VALUE.to_uppercase()))),
        ("a wrong node", with("Nodes", json!(["0", VALUE]))),
        ("an alias", with("KmsKeyArn", json!(format!("alias/{VALUE}")))),
        ("a wrong token", with("Regenerate", json!(format!("{VALUE} ")))),
        ("a wrong number", with("RecoveryWindowDays", json!(VALUE))),
        ("another stack", changed("StackId", json!(STACK_OF_ANOTHER))),
        ("no stack", changed("StackId", json!(VALUE))),
        ("no type", changed("RequestType", json!(VALUE))),
        ("an Update without an id", changed("RequestType", json!("Update"))),
        ("properties of another type", changed("ResourceProperties", json!(VALUE))),
        ("a URL of another type", changed("ResponseURL", json!([url, VALUE]))),
        (
            "a URL of another host",
            changed("ResponseURL", json!(format!("https://{VALUE}.example/?{SIGNATURE}"))),
        ),
        ("a URL that is none", changed("ResponseURL", json!(format!("{SIGNATURE} {VALUE}")))),
        ("a text", json!(format!("{url} {VALUE}"))),
        ("a list", json!([url, VALUE])),
    ]
}

/// A stack that the function's configuration does not name.
const STACK_OF_ANOTHER: &str = "arn:aws:cloudformation:xx-none-1:123456789012:stack/another/5b0c1a2e";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_event_neither_its_url_nor_a_value_is_printed_and_it_ends_in_time() {
    let mut runs = JoinSet::new();
    for (kind, event) in events_with_canaries() {
        runs.spawn(async move {
            let (outcomes, ended) = handed(&deployable(), &[event]).await;
            (kind, outcomes, ended)
        });
    }
    while let Some(run) = runs.join_next().await {
        let (kind, outcomes, ended) = run.unwrap();
        let (printed, said) = (ended.printed(), format!("{outcomes:?}"));
        assert!(matches!(outcomes[0], Outcome::Response(_) | Outcome::Error(_)), "{kind}: {said}");
        for text in [&printed, &said] {
            let lower = text.to_lowercase();
            for canary in [SIGNATURE, VALUE, "x-amz-", "key?"] {
                assert!(!lower.contains(&canary.to_lowercase()), "{kind}: {text}");
            }
        }
        assert_eq!(printed.lines().count(), 1, "{kind}: {printed}");
        let line: Value =
            serde_json::from_str(printed.trim()).unwrap_or_else(|_| panic!("{kind}: {printed}"));
        assert_eq!(line["event"], "keyboot.served", "{kind}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_json_are_not_printed_either() {
    let mut function = Function::start(&deployable(), &environment()).await.unwrap();
    let outcome = function.invoke(format!("{{\"ResponseURL\":\"{SIGNATURE} {VALUE}"), TIME).await.unwrap();
    let (said, ended) = (format!("{outcome:?}"), function.end().await.unwrap());
    for text in [said, ended.printed()] {
        assert!(!text.contains(SIGNATURE) && !text.contains(VALUE), "{text}");
    }
}
