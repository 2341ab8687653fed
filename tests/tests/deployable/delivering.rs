//! How its answer travels, before receivers of all manners: the build for the rig, since only that
//! may answer to this machine. The event has a property too many, so nobody else is spoken to.

use std::time::Duration;

use rig::functions::{Build, bootstrap};
use rig::receiver::{Reaction, Received, Receiver, StatusCode};
use rig::runtime::{Function, Outcome};
use serde_json::{Value, json};

use crate::surroundings::{PATIENCE, environment, event};

/// What must not be printed: it is in the signature of the URL.
const SIGNATURE: &str = "Signature=canary-51c9";
/// The time of an event whose answer is taken at last. It is not used up.
const LONG: Duration = Duration::from_secs(20);
/// The time of an event whose answer is not taken.
const SHORT: Duration = Duration::from_secs(1);

/// What came of an event.
struct Run {
    outcomes: Vec<Outcome>,
    requests: Vec<Received>,
    /// How each invocation ended, by the function's own account.
    endings: Vec<String>,
}

impl Run {
    /// Hands the same event to one process, once for each of these times.
    async fn of(receiver: &Receiver, times: &[Duration]) -> Self {
        let url = receiver.url(&format!("/arn%3Aaws%3Acloudformation/key?{SIGNATURE}"));
        let event = event(&url, &json!({ "Unknown": "x" })).to_string();
        let mut environment = environment();
        // It takes this as its one endpoint; nobody is there.
        environment.insert("AWS_ENDPOINT_URL".into(), "http://127.0.0.1:9".into());
        let program = bootstrap("node-keys", Build::Local).unwrap();
        let mut function = Function::start(&program, &environment).await.unwrap();
        assert!(function.ready(PATIENCE).await.is_some());
        let mut outcomes = Vec::new();
        for time in times {
            outcomes.push(function.invoke(event.clone(), *time).await.unwrap());
        }
        let printed = function.end().await.unwrap().printed();
        for said in [&printed, &format!("{outcomes:?}")] {
            assert!(!said.contains("canary-51c9") && !said.contains("127.0.0.1"), "{said}");
        }
        let ending =
            |line| serde_json::from_str::<Value>(line).unwrap()["ending"].as_str().unwrap().to_owned();
        let endings = printed.lines().map(ending).collect();
        let requests = receiver.so_far().await;
        assert!(requests.iter().all(|request| request.body == requests[0].body), "one answer, word for word");
        Self { outcomes, requests, endings }
    }

    fn statuses(&self) -> Vec<u16> {
        self.requests.iter().map(|request| request.status.map_or(0, |status| status.as_u16())).collect()
    }

    /// The one invocation succeeded, so that Lambda does not repeat it, and said this of itself.
    fn check_end(&self, words: &str) {
        assert!(matches!(*self.outcomes, [Outcome::Response(_)]), "{:?}", self.outcomes);
        let [ending] = &*self.endings else { panic!("{:?}", self.endings) };
        assert!(ending.contains(words), "{ending}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_twice_is_told_at_the_third_try() {
    let receiver = Receiver::start_with(Reaction::LikeS3).await.unwrap();
    receiver.react([
        Reaction::Status(StatusCode::INTERNAL_SERVER_ERROR),
        Reaction::Status(StatusCode::SERVICE_UNAVAILABLE),
    ]);
    let run = Run::of(&receiver, &[LONG]).await;
    assert_eq!(run.statuses(), [500, 503, 200]);
    run.check_end("answered FAILED (failed) to the Create of Keys");
    run.check_end("tries: 3");
    let request = run.requests.last().unwrap();
    assert_eq!(request.path, format!("/arn%3Aaws%3Acloudformation/key?{SIGNATURE}"));
    let mut headers: Vec<_> = request.headers.keys().map(ToString::to_string).collect();
    headers.sort_unstable();
    assert_eq!(headers, ["content-length", "content-type", "host"]);
    let answer = request.json().unwrap();
    assert_eq!(answer["Status"], "FAILED");
    assert!(answer["Reason"].as_str().unwrap().contains("Unknown"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_anywhere_is_made_anew() {
    let receiver = Receiver::start_with(Reaction::LikeS3).await.unwrap();
    receiver.react([Reaction::Reset, Reaction::BreakOff(""), Reaction::BreakOff("HTTP/1.1 20")]);
    let run = Run::of(&receiver, &[LONG]).await;
    // Of what was reset before it was read, nothing is left.
    assert_eq!(run.statuses(), [0, 0, 200]);
    assert_eq!(receiver.connections(), 4);
    run.check_end("tries: 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_final_and_lambda_need_not_try_again() {
    for status in [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND] {
        let receiver = Receiver::start_with(Reaction::Status(status)).await.unwrap();
        let run = Run::of(&receiver, &[LONG]).await;
        assert_eq!(run.statuses(), [status.as_u16()]);
        run.check_end("could not deliver FAILED (failed) to the Create of Keys");
        run.check_end(&format!("tries: 1, and the last: HTTP status {}", status.as_u16()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    for status in [301, 302, 307, 308] {
        let elsewhere = Receiver::start().await.unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let receiver = Receiver::start_with(Reaction::Redirect(status, elsewhere.url("/key"))).await.unwrap();
        let run = Run::of(&receiver, &[LONG]).await;
        assert_eq!(run.statuses(), [status.as_u16()]);
        assert_eq!(elsewhere.connections(), 0);
        run.check_end(&format!("HTTP status {}", status.as_u16()));
    }
}

/// Lambda invokes a function that ended with an error twice more.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_receiver_stalls_each_invocation_ends_as_an_error_in_its_time_until_one_is_heard() {
    let receiver = Receiver::start_with(Reaction::LikeS3).await.unwrap();
    receiver.react([Reaction::Stall, Reaction::Stall]);
    let run = Run::of(&receiver, &[SHORT, SHORT, LONG]).await;
    let [Outcome::Error(first), Outcome::Error(second), Outcome::Response(_)] = &*run.outcomes else {
        panic!("{:?} {:?}", run.outcomes, run.endings);
    };
    for error in [first, second] {
        let told: Value = serde_json::from_slice(error).unwrap();
        assert_eq!(told["errorMessage"], "the answer was not delivered");
    }
    assert_eq!(run.statuses(), [0, 0, 200]);
    for ending in &run.endings[..2] {
        assert!(ending.contains("tries: 1, and the last: no response in time"), "{ending}");
    }
    assert!(run.endings[2].contains("tries: 1"), "{:?}", run.endings);
}
