//! Events, a provider and a bucket to test with.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use custom_resource::{Deadline, Failure, IdentityScheme, Provider, Request, Success};
use serde_json::{Value, json};

/// The stack of every event here.
pub(crate) const STACK_ID: &str =
    "arn:aws:cloudformation:eu-central-1:123456789012:stack/cluster-a/5b0c9c5e-1f6d-11f0-8f1a-0a1b2c3d4e5f";

/// The first 16 digits of `printf '<STACK_ID>\0NodeKeys' | sha256sum`.
pub(crate) const DECLARATION: &str = "75da44a1a4b9467f";

pub(crate) fn scheme() -> IdentityScheme {
    IdentityScheme::new("keys").property("Namespace", Some("plain")).property("Cluster", None)
}

/// The id that [`scheme`] gives a cluster of the default namespace.
pub(crate) fn id_of(cluster: &str) -> String {
    format!("keys/plain/{cluster}/{DECLARATION}")
}

/// A sound event. Updates and Deletes are about cluster `a`.
pub(crate) fn event(request_type: &str, response_url: &str) -> Value {
    let mut event = json!({
        "RequestType": request_type,
        "ServiceToken": "arn:aws:lambda:eu-central-1:123456789012:function:keys",
        "ResponseURL": response_url,
        "StackId": STACK_ID,
        "RequestId": "0d6e2c1a-64a9-4d51-8e3e-0f6f3d1b9c11",
        "LogicalResourceId": "NodeKeys",
        "ResourceType": "Custom::NodeKeys",
        "ResourceProperties": {
            "ServiceToken": "arn:aws:lambda:eu-central-1:123456789012:function:keys",
            "Cluster": "a",
        },
    });
    if request_type != "Create" {
        event["PhysicalResourceId"] = json!(id_of("a"));
    }
    event
}

/// A provider that does one thing whatever it is asked, and counts.
pub(crate) struct Doing<F> {
    what: F,
    calls: AtomicU32,
}

impl<F> Doing<F> {
    pub(crate) fn new(what: F) -> Self {
        Self { what, calls: AtomicU32::new(0) }
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl<F, D> Doing<F>
where
    F: Fn(Request) -> D,
    D: Future<Output = Result<Success, Failure>>,
{
    async fn work(&self, request: &Request) -> Result<Success, Failure> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        (self.what)(request.clone()).await
    }
}

impl<F, D> Provider for Doing<F>
where
    F: Fn(Request) -> D,
    D: Future<Output = Result<Success, Failure>>,
{
    async fn create(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
        self.work(request).await
    }

    async fn update(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
        self.work(request).await
    }

    async fn delete(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
        self.work(request).await
    }
}

#[cfg(feature = "local")]
pub(crate) use bucket::{Bucket, Reaction, Received};

#[cfg(feature = "local")]
mod bucket {
    use std::fmt::Write as _;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    /// What the bucket does with a request.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Reaction {
        /// Takes it or refuses it, with a status.
        Status(u16),
        /// Sends the client elsewhere.
        Redirect(u16, &'static str),
        /// Breaks the connection instead of reading.
        Reset,
        /// Reads, and closes without a word.
        Close,
        /// Reads, and says nothing for a minute.
        Stall,
        /// Reads, and answers something that is not HTTP.
        Babble,
        /// Takes it, and then sends a body that never ends.
        EndlessBody,
        /// Takes it, with headers that never end.
        EndlessHead,
    }

    /// A request as it arrived.
    #[derive(Clone, Debug)]
    pub(crate) struct Received {
        pub(crate) head: String,
        pub(crate) body: Vec<u8>,
        pub(crate) accepted: bool,
    }

    impl Received {
        pub(crate) fn json(&self) -> Value {
            serde_json::from_slice(&self.body).unwrap()
        }
    }

    /// Stands in for CloudFormation's response bucket: a real socket on this machine.
    pub(crate) struct Bucket {
        port: u16,
        received: Arc<Mutex<Vec<Received>>>,
        connections: Arc<Mutex<u32>>,
    }

    impl Bucket {
        /// Reacts to each connection by the script, whose last entry holds for all that follow.
        pub(crate) async fn start(script: &'static [Reaction]) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let bucket = Self {
                port: listener.local_addr().unwrap().port(),
                received: Arc::default(),
                connections: Arc::default(),
            };
            let (received, connections) = (bucket.received.clone(), bucket.connections.clone());
            tokio::spawn(async move {
                for turn in 0.. {
                    let (stream, _) = listener.accept().await.unwrap();
                    *connections.lock().unwrap() += 1;
                    let reaction = *script.get(turn).or(script.last()).unwrap();
                    tokio::spawn(react(stream, reaction, received.clone()));
                }
            });
            bucket
        }

        /// A URL in the shape of CloudFormation's own.
        pub(crate) fn url(&self) -> String {
            format!("http://127.0.0.1:{}{}", self.port, Self::PATH)
        }

        pub(crate) fn port(&self) -> u16 {
            self.port
        }

        pub(crate) const PATH: &str = "/arn%3Aaws%3Acloudformation%3Aeu-central-1%3A123456789012%3Astack/cluster-a/5b0c%7CNodeKeys%7C0d6e?AWSAccessKeyId=AKIDEXAMPLE&Expires=1767225600&Signature=c2lnbmF0dXJl%2Fx%3D";

        pub(crate) fn received(&self) -> Vec<Received> {
            self.received.lock().unwrap().clone()
        }

        /// The one request that was taken.
        pub(crate) fn accepted(&self) -> Received {
            let accepted: Vec<_> = self.received().into_iter().filter(|request| request.accepted).collect();
            assert_eq!(accepted.len(), 1, "exactly one answer is taken");
            accepted.into_iter().next().unwrap()
        }

        pub(crate) fn connections(&self) -> u32 {
            *self.connections.lock().unwrap()
        }
    }

    async fn react(mut stream: TcpStream, reaction: Reaction, received: Arc<Mutex<Vec<Received>>>) {
        if let Reaction::Reset = reaction {
            stream.set_zero_linger().unwrap();
            return;
        }
        let (head, body) = read_request(&mut stream).await;
        let accepted =
            matches!(reaction, Reaction::Status(200..=299) | Reaction::EndlessBody | Reaction::EndlessHead);
        received.lock().unwrap().push(Received { head, body, accepted });
        let mut response = String::new();
        match reaction {
            Reaction::Status(status) => {
                write!(response, "HTTP/1.1 {status} Said So\r\nContent-Length: 5\r\n\r\n<xml>").unwrap();
            }
            Reaction::Redirect(status, location) => {
                write!(
                    response,
                    "HTTP/1.1 {status} There\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
                )
                .unwrap();
            }
            Reaction::Babble => response.push_str("220 mail.example ESMTP\r\n"),
            Reaction::EndlessBody => {
                response.push_str("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
            }
            Reaction::EndlessHead => response.push_str("HTTP/1.1 200 OK\r\n"),
            Reaction::Stall => tokio::time::sleep(std::time::Duration::from_mins(1)).await,
            Reaction::Reset | Reaction::Close => {}
        }
        let _ = stream.write_all(response.as_bytes()).await;
        if let Reaction::EndlessBody | Reaction::EndlessHead = reaction {
            while stream.write_all(b"X-More: and more of it\r\n").await.is_ok() {}
        }
    }

    async fn read_request(stream: &mut TcpStream) -> (String, Vec<u8>) {
        let mut bytes = Vec::new();
        loop {
            let mut chunk = [0; 4096];
            let read = stream.read(&mut chunk).await.unwrap();
            bytes.extend_from_slice(&chunk[..read]);
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
                let length: usize = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
                    .unwrap();
                if bytes.len() >= end + 4 + length {
                    return (head, bytes[end + 4..].to_vec());
                }
            }
            assert_ne!(read, 0, "the request is whole");
        }
    }
}
