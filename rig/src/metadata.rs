//! What an instance, or a container, gives its programs: a role's credentials, by the protocol of either
//! service (EC2 User Guide, "Use the Instance Metadata Service"; ECS Developer Guide, "Task IAM role").

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use serde_json::json;

const SESSION: &str = "a-session-of-the-metadata-service";
/// Asks which role it is; with the role's name behind it, for the credentials.
const ROLES: &str = "GET /latest/meta-data/iam/security-credentials/";
/// How long a connection may say nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// A metadata service on loopback, until the value is dropped.
#[derive(Debug)]
pub struct Metadata {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
}

impl Metadata {
    /// One that gives a role's credentials to whoever asks as it is to be asked.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub fn of(role: &str, credentials: &Credentials) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (asked, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let given = json!({
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
            "AccessKeyId": credentials.access_key_id(), "SecretAccessKey": credentials.secret_access_key(),
            "Token": credentials.session_token(), "Expiration": "2036-01-01T00:00:00Z",
        });
        let (role, given, log, over) = (role.to_owned(), given.to_string(), asked.clone(), is_over.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let _ = answer(stream, &role, &given, &log);
            }
        });
        Ok(Self { address, asked, is_over })
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked for, as method and path.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It looks when the next one connects.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(mut stream: TcpStream, role: &str, given: &str, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
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
    log.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    let has_session = headers.contains(&format!("x-aws-ec2-metadata-token: {SESSION}"));
    let (status, body) = match request.as_str() {
        "PUT /latest/api/token" => ("200 OK", SESSION),
        "GET /role" => ("200 OK", given),
        _ if !has_session => ("401 Unauthorized", ""),
        ROLES => ("200 OK", role),
        of_a_role if of_a_role.strip_prefix(ROLES) == Some(role) => ("200 OK", given),
        _ => ("404 Not Found", ""),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}
