//! CloudFormation's response bucket as a test wants it: a real socket on this machine, with whatever
//! manners a server can have.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// What the bucket does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reaction {
    /// Takes it or refuses it, with a status.
    Status(u16),
    /// The same, but not at once.
    Late(u16, Duration),
    /// Takes it with a response without a body, and leaves the connection to the client.
    KeepAlive,
    /// Takes it, but is slow to accept the connection.
    AcceptLate(Duration),
    /// Sends the client elsewhere.
    Redirect(u16, &'static str),
    /// Breaks the connection instead of reading.
    Reset,
    /// Reads, and breaks the connection without a word.
    ResetAfterReading,
    /// Reads, sends this much of a response, and breaks the connection.
    BreakOff(&'static str),
    /// Reads, and closes without a word.
    Close,
    /// Reads, and says nothing for as long as the client stays.
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

/// Stands in for CloudFormation's response bucket.
pub(crate) struct Bucket {
    port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    received: Mutex<Vec<Received>>,
    connections: AtomicU32,
    /// Connections that have not ended.
    open: AtomicU32,
    /// Connections on which something is about to happen without any time passing.
    busy: AtomicU32,
}

impl Bucket {
    /// Reacts to each connection by the script, whose last entry holds for all that follow.
    pub(crate) async fn start(script: &[Reaction]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bucket = Self { port: listener.local_addr().unwrap().port(), seen: Arc::default() };
        let (script, seen) = (script.to_owned(), bucket.seen.clone());
        tokio::spawn(async move {
            for turn in 0.. {
                let reaction = *script.get(turn).or(script.last()).unwrap();
                if let Reaction::AcceptLate(time) = reaction {
                    sleep(time).await;
                }
                let (stream, _) = listener.accept().await.unwrap();
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let (open, busy) = (Count::of(&seen, |seen| &seen.open), Count::of(&seen, |seen| &seen.busy));
                let seen = seen.clone();
                tokio::spawn(async move {
                    react(stream, reaction, seen, busy).await;
                    drop(open);
                });
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
        self.seen.received.lock().unwrap().clone()
    }

    /// The request that came last.
    pub(crate) fn last(&self) -> Received {
        self.seen.received.lock().unwrap().last().unwrap().clone()
    }

    /// The one request that was taken.
    pub(crate) fn accepted(&self) -> Received {
        let accepted: Vec<_> = self.received().into_iter().filter(|request| request.accepted).collect();
        assert_eq!(accepted.len(), 1, "exactly one answer is taken");
        accepted.into_iter().next().unwrap()
    }

    pub(crate) fn connections(&self) -> u32 {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// How many connections there are now.
    pub(crate) fn open(&self) -> u32 {
        self.seen.open.load(Ordering::SeqCst)
    }

    /// Whether something happens here that needs no time to pass.
    pub(crate) fn is_busy(&self) -> bool {
        self.seen.busy.load(Ordering::SeqCst) > 0
    }
}

/// Counts as one, until it is dropped.
struct Count {
    seen: Arc<Seen>,
    what: fn(&Seen) -> &AtomicU32,
}

impl Count {
    fn of(seen: &Arc<Seen>, what: fn(&Seen) -> &AtomicU32) -> Self {
        what(seen).fetch_add(1, Ordering::SeqCst);
        Self { seen: seen.clone(), what }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        (self.what)(&self.seen).fetch_sub(1, Ordering::SeqCst);
    }
}

async fn react(mut stream: TcpStream, reaction: Reaction, seen: Arc<Seen>, busy: Count) {
    if let Reaction::Reset = reaction {
        stream.set_zero_linger().unwrap();
        return;
    }
    let Some((head, body)) = read_request(&mut stream).await else { return };
    let response = match body {
        Some(_) => response(reaction),
        // As S3 does.
        None => response(Reaction::Status(411)),
    };
    let body = body.unwrap_or_default();
    let accepted = response.starts_with("HTTP/1.1 2")
        && (response.contains("\r\n\r\n") || matches!(reaction, Reaction::EndlessHead));
    seen.received.lock().unwrap().push(Received { head, body, accepted });
    let busy = match reaction {
        Reaction::Late(_, time) => {
            drop(busy);
            sleep(time).await;
            Count::of(&seen, |seen| &seen.busy)
        }
        Reaction::Stall => {
            drop(busy);
            let _ = stream.read(&mut [0]).await;
            return;
        }
        _ => busy,
    };
    if stream.write_all(response.as_bytes()).await.is_err() {
        return;
    }
    match reaction {
        Reaction::ResetAfterReading | Reaction::BreakOff(_) => stream.set_zero_linger().unwrap(),
        Reaction::KeepAlive => {
            drop(busy);
            let _ = stream.read(&mut [0]).await;
        }
        Reaction::EndlessBody | Reaction::EndlessHead => {
            while stream.write_all(b"X-More: and more of it\r\n").await.is_ok() {}
        }
        _ => {}
    }
}

fn response(reaction: Reaction) -> String {
    let mut response = String::new();
    match reaction {
        Reaction::Status(status) | Reaction::Late(status, _) => {
            write!(response, "HTTP/1.1 {status} Said So\r\nContent-Length: 5\r\n\r\n<xml>").unwrap();
        }
        Reaction::AcceptLate(_) | Reaction::KeepAlive => {
            response.push_str("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        Reaction::Redirect(status, location) => {
            write!(response, "HTTP/1.1 {status} There\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
        }
        Reaction::BreakOff(part) => response.push_str(part),
        Reaction::Babble => response.push_str("220 mail.example ESMTP\r\n"),
        Reaction::EndlessBody => {
            response.push_str("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
        }
        Reaction::EndlessHead => response.push_str("HTTP/1.1 200 OK\r\n"),
        Reaction::Reset | Reaction::ResetAfterReading | Reaction::Close | Reaction::Stall => {}
    }
    response
}

/// The head of a request, and its body if it has a length; nothing, if the client left before it was
/// whole.
async fn read_request(stream: &mut TcpStream) -> Option<(String, Option<Vec<u8>>)> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.ok()?;
        bytes.extend_from_slice(&chunk[..read]);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length: Option<usize> = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            let Some(length) = length else { return Some((head, None)) };
            if bytes.len() >= end + 4 + length {
                return Some((head, Some(bytes[end + 4..].to_vec())));
            }
        }
        if read == 0 {
            return None;
        }
    }
}
