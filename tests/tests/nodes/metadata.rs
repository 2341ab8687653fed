//! What an instance, or a container, gives its programs: a role's credentials, by the protocol of either
//! service (EC2 User Guide, "Use the Instance Metadata Service"; ECS Developer Guide, "Task IAM role").

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use aws_credential_types::Credentials;
use serde_json::json;

const SESSION: &str = "a-session-of-the-metadata-service";

/// A metadata service on loopback.
pub(crate) struct Metadata {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Metadata {
    /// One that gives these credentials to whoever asks as it is to be asked.
    pub(crate) fn of(credentials: &Credentials) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let given = json!({
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
            "AccessKeyId": credentials.access_key_id(), "SecretAccessKey": credentials.secret_access_key(),
            "Token": credentials.session_token(), "Expiration": "2036-01-01T00:00:00Z",
        });
        let (given, log) = (given.to_string(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &given, &log);
            }
        });
        Ok(Self { address, asked })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked for, as method and path.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

fn answer(mut stream: TcpStream, given: &str, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let request = request.trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = Vec::new();
    for line in lines.by_ref() {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        headers.push(line);
    }
    log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(request.clone());
    let has_session = headers.contains(&format!("x-aws-ec2-metadata-token: {SESSION}"));
    let (status, body) = match request.as_str() {
        "PUT /latest/api/token" => ("200 OK", SESSION),
        "GET /role" => ("200 OK", given),
        _ if !has_session => ("401 Unauthorized", ""),
        "GET /latest/meta-data/iam/security-credentials/" => ("200 OK", "node-0"),
        "GET /latest/meta-data/iam/security-credentials/node-0" => ("200 OK", given),
        _ => ("404 Not Found", ""),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}
