//! Lambda's side of a function: the Runtime API on loopback, and one process that works through it.
//!
//! The process is the program that would be deployed, with the environment that Lambda would give
//! it and nothing of this machine's. It is handed one event at a time, and what it answers, prints
//! and uses is kept. Paths and headers are those of the Lambda Developer Guide, "Using the Lambda
//! runtime API for custom runtimes".

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cloud::REGION;

/// The first part of every path.
const VERSION: &str = "/2018-06-01/runtime/";
/// How much longer than its time a function is waited for, so that an answer at the last moment
/// is told from none.
const GRACE: Duration = Duration::from_secs(1);

/// How many times as fast as AWS takes them a local build may make its calls.
pub(crate) const RATES_TIMES: &str = "1000";

/// The variables of a function's process.
pub type Environment = BTreeMap<String, String>;

/// What Lambda sets for a function before its configuration is added (Lambda Developer Guide,
/// "Defined runtime environment variables"), with credentials that nobody knows.
#[must_use]
pub fn environment(function: &str) -> Environment {
    [
        ("AWS_ACCESS_KEY_ID", "ASIAQQQQQQQQQQQQQQQQ"),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_NAME", function),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/rig"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "rig"),
        ("AWS_REGION", REGION),
        ("AWS_SECRET_ACCESS_KEY", "of-nobody"),
        ("AWS_SESSION_TOKEN", "of-nobody"),
        // Not of Lambda: what is on loopback takes what comes, and a local build is not to wait for it.
        ("KEYBOOT_RATES_TIMES", RATES_TIMES),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("LANG", "en_US.UTF-8"),
        ("LD_LIBRARY_PATH", LAMBDA_LIBRARY_PATH),
        ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin"),
        ("TZ", ":UTC"),
        ("_HANDLER", "bootstrap"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// The `LD_LIBRARY_PATH` that Lambda sets (the same page).
pub const LAMBDA_LIBRARY_PATH: &str =
    "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib";

/// How an invocation ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The function succeeded, with this payload.
    Response(Bytes),
    /// The function said that it failed.
    Error(Bytes),
    /// The function's process ended before it said anything.
    Ended,
    /// The function said nothing in its time; Lambda would end its process.
    TimedOut,
}

/// A function's process, and the Runtime API that it works through.
///
/// Dropping it ends the process.
#[derive(Debug)]
pub struct Function {
    child: Child,
    pid: u32,
    started: Instant,
    api: Arc<Api>,
    events: mpsc::UnboundedSender<Invocation>,
    first_next: watch::Receiver<Option<Instant>>,
    folder: TempDir,
    invocations: u32,
    // Ends the server when it is dropped.
    _server: JoinSet<()>,
}

/// What is left of a function whose process has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Whether it ever asked for an event.
    pub asked_for_an_event: bool,
    /// What it sent to `/runtime/init/error`.
    pub init_error: Option<Bytes>,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Ended {
    /// Everything that it wrote, as the log would show it.
    #[must_use]
    pub fn printed(&self) -> String {
        let (out, err) = (String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr));
        format!("{out}{err}")
    }
}

impl Function {
    /// Starts a program with exactly this environment, plus where the Runtime API is.
    ///
    /// Its working folder is empty and `TMPDIR`, unless it is set, leads to another empty one.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub async fn start(program: &Path, environment: &Environment) -> anyhow::Result<Self> {
        std::fs::create_dir_all(crate::home())?;
        let folder = tempfile::Builder::new().prefix("function-").tempdir_in(crate::home())?;
        let (task, temporary) = (folder.path().join("task"), folder.path().join("tmp"));
        std::fs::create_dir(&task)?;
        std::fs::create_dir(&temporary)?;

        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a port for the Runtime API")?;
        let address = listener.local_addr()?;
        let (events, queue) = mpsc::unbounded_channel();
        let (saw_next, first_next) = watch::channel(None);
        let api = Arc::new(Api {
            queue: tokio::sync::Mutex::new(queue),
            saw_next,
            waiting: Mutex::default(),
            init_error: Mutex::default(),
        });
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&api)));

        let started = Instant::now();
        let child = Command::new(program)
            .env_clear()
            .env("LAMBDA_TASK_ROOT", &task)
            .env("TMPDIR", &temporary)
            .envs(environment)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .current_dir(&task)
            .stdin(Stdio::null())
            .stdout(File::create(folder.path().join("stdout"))?)
            .stderr(File::create(folder.path().join("stderr"))?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let pid = child.id().context("the function ended as it began")?;
        Ok(Self { child, pid, started, api, events, first_next, folder, invocations: 0, _server: server })
    }

    /// Waits until the function asks for its first event, and tells how long after its start it did.
    ///
    /// `None` when its process ended first, or too much time passed.
    pub async fn ready(&mut self, patience: Duration) -> Option<Duration> {
        let mut first_next = self.first_next.clone();
        let asked = async { first_next.wait_for(Option::is_some).await.ok().and_then(|at| *at) };
        let asked_in_time = timeout(patience, asked);
        tokio::select! {
            biased;
            asked = asked_in_time => asked.ok().flatten().map(|at| at.duration_since(self.started)),
            _ = self.child.wait() => None,
        }
    }

    /// Hands the function an event, and waits for what it says.
    ///
    /// # Errors
    ///
    /// When the Runtime API is gone.
    pub async fn invoke(&mut self, event: impl Into<Bytes>, time: Duration) -> anyhow::Result<Outcome> {
        self.invocations += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.invocations);
        let (said, hears) = oneshot::channel();
        locked(&self.api.waiting).insert(id.clone(), said);
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH)? + time;
        let invocation = Invocation { id, deadline, event: event.into() };
        self.events.send(invocation).ok().context("the Runtime API is gone")?;
        tokio::select! {
            biased;
            said = timeout(time + GRACE, hears) => Ok(match said {
                Ok(outcome) => outcome.context("the Runtime API is gone")?,
                Err(_) => Outcome::TimedOut,
            }),
            _ = self.child.wait() => Ok(Outcome::Ended),
        }
    }

    /// The id of the process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.pid
    }

    /// The most memory that the process has had in use at once, in bytes.
    ///
    /// # Errors
    ///
    /// When the process has ended.
    pub fn peak_memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kibibytes.context("the kernel tells no VmHWM")?.parse::<u64>()? * 1024)
    }

    /// When the process was started.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The folder with all that the function wrote: `stdout`, `stderr`, `task` and `tmp`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Hands it events as far as it succeeds, ends it, and gives what it said last.
    ///
    /// # Errors
    ///
    /// When there is no event, and as [`invoke`](Self::invoke) and [`end`](Self::end).
    pub async fn ask(
        mut self,
        events: impl IntoIterator<Item = String>,
        time: Duration,
    ) -> anyhow::Result<Outcome> {
        let mut last = None;
        for event in events {
            let outcome = self.invoke(event, time).await?;
            let is_done = matches!(outcome, Outcome::Response(_));
            last = Some(outcome);
            if !is_done {
                break;
            }
        }
        self.end().await?;
        last.context("nothing was asked for")
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn ended(mut self, patience: Duration) -> anyhow::Result<Ended> {
        match timeout(patience, self.child.wait()).await {
            Ok(status) => self.remains(status?),
            Err(_) => bail!("the function has not ended after {} seconds", patience.as_secs()),
        }
    }

    /// Ends the process.
    ///
    /// # Errors
    ///
    /// When it cannot be ended.
    pub async fn end(mut self) -> anyhow::Result<Ended> {
        self.child.start_kill()?;
        let status = self.child.wait().await?;
        self.remains(status)
    }

    fn remains(&self, status: ExitStatus) -> anyhow::Result<Ended> {
        Ok(Ended {
            status,
            asked_for_an_event: self.first_next.borrow().is_some(),
            init_error: locked(&self.api.init_error).clone(),
            stdout: std::fs::read(self.folder.path().join("stdout"))?,
            stderr: std::fs::read(self.folder.path().join("stderr"))?,
        })
    }
}

#[derive(Debug)]
struct Invocation {
    id: String,
    /// Since the epoch.
    deadline: Duration,
    event: Bytes,
}

#[derive(Debug)]
struct Api {
    queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    saw_next: watch::Sender<Option<Instant>>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    init_error: Mutex<Option<Bytes>>,
}

async fn serve(listener: TcpListener, api: Arc<Api>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let api = Arc::clone(&api);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let api = Arc::clone(&api);
                async move { Ok::<_, Infallible>(api.answer(request).await) }
            });
            // A connection that breaks is the function's end, which is seen elsewhere.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Api {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let path: Vec<&str> = path.strip_prefix(VERSION).unwrap_or_default().split('/').collect();
        if (&method, path.as_slice()) == (&Method::GET, ["invocation", "next"].as_slice()) {
            return self.next().await;
        }
        let Ok(body) = request.into_body().collect().await else {
            return plain(StatusCode::BAD_REQUEST);
        };
        let body = body.to_bytes();
        match (method, path.as_slice()) {
            (Method::POST, ["invocation", id, "response"]) => self.ends(id, Outcome::Response(body)),
            (Method::POST, ["invocation", id, "error"]) => self.ends(id, Outcome::Error(body)),
            (Method::POST, ["init", "error"]) => {
                *locked(&self.init_error) = Some(body);
                plain(StatusCode::ACCEPTED)
            }
            _ => plain(StatusCode::NOT_FOUND),
        }
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        self.saw_next.send_if_modified(|at| {
            let first = at.is_none();
            at.get_or_insert_with(Instant::now);
            first
        });
        let Some(invocation) = self.queue.lock().await.recv().await else {
            return plain(StatusCode::GONE);
        };
        let mut response = Response::new(Full::new(invocation.event));
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", invocation.id),
            ("lambda-runtime-deadline-ms", invocation.deadline.as_millis().to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                format!("arn:aws:lambda:{REGION}:000000000000:function:rig"),
            ),
            (
                "lambda-runtime-trace-id",
                "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0".to_owned(),
            ),
        ];
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    fn ends(&self, id: &str, outcome: Outcome) -> Response<Full<Bytes>> {
        // An answer that nobody waits for any more, or a second one, is refused as Lambda does.
        match locked(&self.waiting).remove(id) {
            Some(waiting) => {
                let _ = waiting.send(outcome);
                plain(StatusCode::ACCEPTED)
            }
            None => plain(StatusCode::BAD_REQUEST),
        }
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    *response.status_mut() = status;
    response
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
