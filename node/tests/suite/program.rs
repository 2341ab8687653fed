//! The program itself, against services that are played here: what it asks, what it says, how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{audit, configure};

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    path: String,
    /// The call, where a header names it.
    pub(crate) target: String,
    pub(crate) body: String,
}

/// Services on loopback that answer as a function says.
pub(crate) struct Services {
    pub(crate) endpoint: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Services {
    pub(crate) fn start(answer: impl Fn(&Request) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<Request>>>::default();
        let record = Arc::clone(&asked);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else { continue };
                let (status, body) = answer(&request);
                record.lock().unwrap().push(request);
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                stream.write_all((head + &body).as_bytes()).unwrap();
            }
        });
        Self { endpoint, asked }
    }

    pub(crate) fn asked(&self, path: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|request| request.path == path).map(|request| request.body.clone()).collect()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut target, mut length) = (String::new(), 0);
    loop {
        line.clear();
        lines.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => value.clone_into(&mut target),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).ok()?;
    Some(Request { path, target, body: String::from_utf8(body).ok()? })
}

/// Runs the program with a configuration, and nothing else that it could take credentials from.
fn keyboot_node(services: &Services, config: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keyboot-node"))
        .args(arguments)
        .arg("--config")
        .arg(config)
        .env_clear()
        .envs([
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "of-nobody"),
            ("AWS_ENDPOINT_URL", &services.endpoint),
        ])
        .output()
        .unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

const LISTING: &str = "/getresourceshareinvitations";
const ACCEPTING: &str = "/acceptresourceshareinvitation";

fn invitation(sender: &str, name: &str, status: &str) -> Value {
    json!({
        "resourceShareInvitationArn": format!("arn:{sender}:{name}"),
        "resourceShareName": name,
        "resourceShareArn": "arn:share",
        "senderAccountId": sender,
        "receiverAccountId": "111122223333",
        "invitationTimestamp": 1_769_904_000,
        "status": status,
    })
}

fn shares() -> &'static str {
    "[[share]]\naccount = \"444455556666\"\nname = \"kms-node-1\"\n[[share]]\naccount = \"777788889999\"\n\
     name = \"kms-node-2\"\n"
}

#[test]
fn shares_that_are_pinned_are_accepted_on_whatever_page_they_stand() {
    let services = Services::start(|request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let answer = match (request.path.as_str(), body["nextToken"].as_str()) {
            (ACCEPTING, _) => json!({}),
            // Empty, and not the last.
            (LISTING, None) => json!({ "resourceShareInvitations": [], "nextToken": "two" }),
            (LISTING, Some("two")) => json!({
                "resourceShareInvitations": [
                    invitation("444455556666", "kms-node-1", "PENDING"),
                    invitation("777788889999", "kms-node-1", "PENDING"),
                ],
                "nextToken": "three",
            }),
            (LISTING, Some("three")) => json!({ "resourceShareInvitations": [
                invitation("777788889999", "kms-node-2", "PENDING"),
                invitation("444455556666", "kms-node-1", "EXPIRED"),
            ] }),
            _ => return (404, String::new()),
        };
        (200, answer.to_string())
    });
    let folder = TempDir::new().unwrap();
    let config = configure(folder.path(), "", shares());
    let output = keyboot_node(&services, &config, &["accept", "--share"]);
    let (said, errors) = texts(&output);
    assert!(output.status.success(), "{said}{errors}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    for (line, begins) in lines.iter().zip([
        "accepted: share \"kms-node-1\" of account 444455556666",
        "left: share \"kms-node-1\" of account 777788889999: no `[[share]]`",
        "accepted: share \"kms-node-2\" of account 777788889999",
        "left: share \"kms-node-1\" of account 444455556666: it has expired",
    ]) {
        assert!(line.starts_with(begins), "{line}");
    }
    let accepted = services.asked(ACCEPTING);
    let arns: Vec<String> = accepted
        .iter()
        .map(|body| {
            let body: Value = serde_json::from_str(body).unwrap();
            body["resourceShareInvitationArn"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(arns, ["arn:444455556666:kms-node-1", "arn:777788889999:kms-node-2"]);
    assert_eq!(services.asked(LISTING).len(), 3);
}

#[test]
fn a_role_that_may_not_list_or_accept_is_told_the_permission() {
    let denied = |path: &'static str| {
        Services::start(move |request| match request.path.as_str() {
            LISTING if path != LISTING => {
                let open = invitation("444455556666", "kms-node-1", "PENDING");
                (200, json!({ "resourceShareInvitations": [open] }).to_string())
            }
            _ => (403, json!({ "__type": "AccessDeniedException", "message": "canary" }).to_string()),
        })
    };
    let folder = TempDir::new().unwrap();
    let config = configure(folder.path(), "", shares());
    let output = keyboot_node(&denied(LISTING), &config, &["accept", "--share"]);
    let (said, errors) = texts(&output);
    assert_eq!((output.status.code(), said.as_str()), (Some(77), ""));
    assert!(errors.contains("ram:GetResourceShareInvitations") && !errors.contains("canary"), "{errors}");
    let output = keyboot_node(&denied(ACCEPTING), &config, &["accept", "--share"]);
    let (said, _) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.starts_with("not accepted: ") && said.contains("ram:AcceptResourceShareInvitation"),
        "{said}"
    );
}

#[test]
fn nothing_is_accepted_unasked() {
    let services = Services::start(|_| (500, String::new()));
    let folder = TempDir::new().unwrap();
    let output = keyboot_node(&services, &configure(folder.path(), "", shares()), &["accept"]);
    assert!(!output.status.success());
    let output = keyboot_node(&services, &configure(folder.path(), "", ""), &["accept", "--share"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(services.asked.lock().unwrap().is_empty());
}

fn result(call: &str, body: &str) -> (u16, String) {
    let namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
    (
        200,
        format!("<{call}Response xmlns=\"{namespace}\"><{call}Result>{body}</{call}Result></{call}Response>"),
    )
}

fn status(detection: &str, drift: &str) -> (u16, String) {
    result(
        "DescribeStackDriftDetectionStatus",
        &format!(
            "<StackId>kms</StackId><StackDriftDetectionId>d-1</StackDriftDetectionId>\
             <StackDriftStatus>{drift}</StackDriftStatus><DetectionStatus>{detection}</DetectionStatus>\
             <DetectionStatusReason>no lambda:GetFunction</DetectionStatusReason>\
             <Timestamp>2026-02-01T00:00:00Z</Timestamp>"
        ),
    )
}

fn drifts(name: &str, status: &str, differences: &str, next: &str) -> (u16, String) {
    let member = format!(
        "<member><StackId>kms</StackId><LogicalResourceId>{name}</LogicalResourceId><ResourceType>\
         AWS::KMS::Key</ResourceType><StackResourceDriftStatus>{status}</StackResourceDriftStatus>\
         <PropertyDifferences>{differences}</PropertyDifferences><Timestamp>2026-02-01T00:00:00Z</Timestamp>\
         </member>"
    );
    result(
        "DescribeStackResourceDrifts",
        &format!("<StackResourceDrifts>{member}</StackResourceDrifts>{next}"),
    )
}

const DIFFERENCE: &str = "<member><PropertyPath>/KeyPolicy/Statement/0</PropertyPath><ExpectedValue>canary\
                          </ExpectedValue><ActualValue>canary</ActualValue><DifferenceType>NOT_EQUAL\
                          </DifferenceType></member>";

/// The row `drift` of what the program says, where nothing else may be read.
fn drift(services: &Services) -> (Option<i32>, Value) {
    let folder = TempDir::new().unwrap();
    let config = configure(folder.path(), "", &audit());
    let output = keyboot_node(services, &config, &["verify", "--json"]);
    let (said, errors) = texts(&output);
    assert!(!said.contains("canary") && !errors.contains("canary"), "{said}{errors}");
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{errors}"));
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{said}");
    assert!(said.contains("ssm:GetParameters"), "{said}");
    (output.status.code(), rows[2].clone())
}

fn denied_documents() -> (u16, String) {
    (400, json!({ "__type": "AccessDeniedException", "Message": "canary" }).to_string())
}

fn is(request: &Request, call: &str) -> bool {
    request.body.contains(&format!("Action={call}&"))
}

#[test]
fn drift_is_waited_for_and_told_by_resource_and_path_without_values() {
    let looks = Mutex::new(0);
    let services = Services::start(move |request| match request {
        Request { target, .. } if !target.is_empty() => denied_documents(),
        request if is(request, "DetectStackDrift") => {
            result("DetectStackDrift", "<StackDriftDetectionId>d-1</StackDriftDetectionId>")
        }
        request if is(request, "DescribeStackDriftDetectionStatus") => {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            let ended = if *looks > 1 { "DETECTION_COMPLETE" } else { "DETECTION_IN_PROGRESS" };
            status(ended, "DRIFTED")
        }
        request if request.body.contains("NextToken=two") => drifts("RecordKey", "DELETED", "", ""),
        _ => drifts("SecretsKey", "MODIFIED", DIFFERENCE, "<NextToken>two</NextToken>"),
    });
    let (code, row) = drift(&services);
    assert_eq!((code, row["verdict"].as_str()), (Some(1), Some("fault")));
    let said = row["explanation"].as_str().unwrap();
    for words in [
        "SecretsKey (AWS::KMS::Key) differs in /KeyPolicy/Statement/0",
        "RecordKey (AWS::KMS::Key) was deleted",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let asked = services.asked("/").join("\n");
    assert!(asked.contains("Action=DetectStackDrift&Version=2010-05-15&StackName=kms"), "{asked}");
    assert!(asked.contains("StackDriftDetectionId=d-1"), "{asked}");
    assert!(asked.contains("MODIFIED") && asked.contains("DELETED"), "{asked}");
    assert_eq!(asked.matches("Action=DetectStackDrift&").count(), 1);
}

#[test]
fn a_detection_that_is_denied_or_does_not_end_well_is_unknown() {
    let error = |code: &'static str, status: u16| {
        let body = format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>canary</Message></Error></ErrorResponse>"
        );
        (status, body)
    };
    let failing = |detect: (u16, String)| {
        Services::start(move |request| match request {
            Request { target, .. } if !target.is_empty() => denied_documents(),
            request if is(request, "DetectStackDrift") => detect.clone(),
            request if is(request, "DescribeStackDriftDetectionStatus") => {
                status("DETECTION_FAILED", "UNKNOWN")
            }
            _ => result("DescribeStackResourceDrifts", "<StackResourceDrifts/>"),
        })
    };
    let started = result("DetectStackDrift", "<StackDriftDetectionId>d-1</StackDriftDetectionId>");
    for (detect, words) in [
        (error("AccessDenied", 403), "cloudformation:DetectStackDrift"),
        (error("ValidationError", 400), "is there a stack of this name"),
        (started, "could not compare all of it: no lambda:GetFunction"),
    ] {
        let (code, row) = drift(&failing(detect));
        assert_eq!((code, row["verdict"].as_str()), (Some(0), Some("unknown")), "{row}");
        assert!(row["explanation"].as_str().unwrap().contains(words), "{row}");
    }
}
