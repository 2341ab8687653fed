//! `keyboot-node watch`: keeps a command running with what counts now.
//!
//! It reads public documents, and which version of the login at the node's database is current, and starts
//! `keyboot-node exec`, which fetches the secrets and becomes the command: in this process's memory there never
//! is one. It starts the command again where what that runs with has changed, and not otherwise; each node of a
//! cluster in a turn of its own. Where nothing can be read, what runs goes on.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use futures_util::future::join3;
use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use provisioning::names::NodeIndex;
use reading::ClusterView;
use reading::ports::{DocumentReader, VersionReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use crate::clock;
use crate::config::Config;
use crate::error::NodeError;
use crate::exec::{CommandLine, EXEC_NAME};
use crate::formats::tsm;
use crate::log::say;
use crate::reader::Reader;
use crate::runs_with::{Beside, RunsWith};
use crate::timing::Turn;

/// The first wait before a command is started again that ended by itself; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long a command has to run before its next end counts as the first one.
const STEADY: Duration = Duration::from_mins(1);
/// The signals that are handed on.
const FORWARDED: [Signal; 3] = [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGQUIT];

/// How `keyboot-node exec` is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// keyboot-node itself.
    pub program: PathBuf,
    /// What tells it its configuration.
    pub arguments: Vec<OsString>,
    /// What it becomes.
    pub command: CommandLine,
}

impl Launch {
    fn start(&self, flags: &[&str]) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        // A group of its own: whatever it starts ends with it.
        command.process_group(0).arg("exec").args(&self.arguments).args(flags);
        command.arg("--").arg(&self.command.program).args(&self.command.arguments).spawn()
    }
}

/// Keeps the command running until it is told to end, and gives its exit status.
///
/// # Errors
///
/// [`NodeError`] when keyboot-node itself cannot be started: whatever else fails is tried again.
pub async fn watch(
    world: &(impl DocumentReader + VersionReader),
    config: &Config,
    launch: &Launch,
) -> Result<ExitStatus, NodeError> {
    config.refuse_what_is_said_twice(&launch.command.arguments)?;
    config.refuse_a_login_for_once()?;
    let own_signals = |error| NodeError::Command { command: "signals".into(), error };
    let mut ends = signal(SignalKind::terminate()).map_err(own_signals)?;
    let mut interrupts = signal(SignalKind::interrupt()).map_err(own_signals)?;
    let mut looks = signal(SignalKind::hangup()).map_err(own_signals)?;
    let mut forwarded = forwarded(&FORWARDED).map_err(own_signals)?;
    let mut watcher = Watcher::new(world, config, launch)?;
    watcher.restart = Some(Instant::now());
    loop {
        // A look can take long where the store is away, and is not waited for when it is time to end.
        if watcher.is_look_due() {
            tokio::select! {
                () = watcher.look() => {}
                Some(()) = ends.recv() => return watcher.end().await,
                Some(()) = interrupts.recv() => return watcher.end().await,
            }
        }
        watcher.go_on()?;
        let next = watcher.next();
        tokio::select! {
            end = watcher.any_end() => match end {
                End::Command(status) => watcher.after(status),
                End::Rehearsal(is_rehearsed) => watcher.start_again(is_rehearsed).await?,
            },
            () = sleep_until(next) => {}
            Some(()) = looks.recv() => watcher.next_look = Instant::now(),
            Some(signal) = forwarded.recv() => {
                if watcher.heeds(signal) {
                    watcher.signal(signal);
                }
            }
            Some(()) = ends.recv() => return watcher.end().await,
            Some(()) = interrupts.recv() => return watcher.end().await,
        }
    }
}

/// One stream of some signals.
fn forwarded(signals: &[Signal]) -> std::io::Result<tokio::sync::mpsc::Receiver<Signal>> {
    let (send, receive) = tokio::sync::mpsc::channel(4);
    for &each in signals {
        let mut stream = signal(SignalKind::from_raw(each as i32))?;
        let send = send.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if send.send(each).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(receive)
}

/// What has ended.
enum End {
    Command(Option<ExitStatus>),
    /// Whether it went well.
    Rehearsal(bool),
}

/// What a command that runs with something else is to do.
enum Change {
    /// To read its configuration again.
    Read(RunsWith),
    StartAgain,
}

struct Watcher<'a, W> {
    config: &'a Config,
    launch: &'a Launch,
    reader: Reader<'a, W>,
    poll: Duration,
    stagger: SignedDuration,
    patience: Duration,
    view: Option<ClusterView>,
    /// The version of the database's login that is current; none where the last look could not tell.
    database_login: Option<String>,
    /// The key of the sequencer that counts; the same.
    sequencer: Option<String>,
    /// What the last look complained of: told once.
    complaint: String,
    child: Option<Child>,
    /// Its process group.
    group: Option<u32>,
    /// What tries out whether the command can be started again.
    rehearsal: Option<Child>,
    started: Instant,
    runs_with: Option<RunsWith>,
    next_look: Instant,
    /// When the command is started again because of a change, and in the turns that began when.
    due: Option<(Timestamp, Timestamp)>,
    /// When it is started again because it ended.
    restart: Option<Instant>,
    pause: Duration,
}

impl<'a, W: DocumentReader + VersionReader> Watcher<'a, W> {
    fn new(world: &'a W, config: &'a Config, launch: &'a Launch) -> Result<Self, NodeError> {
        let [poll, stagger, patience] = config.watch.durations();
        Ok(Self {
            config,
            launch,
            reader: Reader::new(world, config)?,
            poll,
            stagger: SignedDuration::try_from(stagger).unwrap_or(SignedDuration::MAX),
            patience,
            view: None,
            database_login: None,
            sequencer: None,
            complaint: String::new(),
            child: None,
            group: None,
            rehearsal: None,
            started: Instant::now(),
            runs_with: None,
            next_look: Instant::now(),
            due: None,
            restart: None,
            pause: FIRST_PAUSE,
        })
    }

    /// Whether it is time to look: before each start as well, so that what is known is what the command gets.
    fn is_look_due(&self) -> bool {
        let now = Instant::now();
        self.next_look <= now || self.restart.is_some_and(|restart| restart <= now)
    }

    /// Looks at the public documents, and at the version of the database's login. What cannot be read changes
    /// nothing, and none waits for another.
    async fn look(&mut self) {
        self.next_look = Instant::now() + self.poll;
        let (view, version, sequencer) =
            join3(self.reader.view(), self.reader.database_login_version(), self.reader.sequencer_key())
                .await;
        let mut complaints = Vec::new();
        match version {
            Ok(version) => self.database_login = version,
            Err(error) => {
                // What was current then may not be what a command gets that starts meanwhile.
                self.database_login = None;
                complaints.push(format!("the login at the database stays as it is: {error}"));
            }
        }
        match sequencer {
            Ok(key) => self.sequencer = key.map(|key| key.to_string()),
            Err(error) => {
                self.sequencer = None;
                complaints.push(format!("the key of the sequencer stays as it is: {error}"));
            }
        }
        match view {
            Ok(view) => {
                let refused = view.refused.iter().map(|refusal| ("is left out", refusal));
                let kept = view.kept.iter().map(|refusal| ("stays as it was", refusal));
                let refused = refused
                    .chain(kept)
                    .map(|(how, refusal)| format!("node {} {how}: {}", refusal.index, refusal.error));
                complaints.extend(refused);
                let unfit = RunsWith::of(self.config, &view, Beside::default(), clock::now()).err();
                complaints.extend(unfit.map(|error| error.to_string()));
                self.view = Some(view);
            }
            Err(error) => complaints.push(format!("what runs goes on: {error}")),
        }
        self.complain(complaints.join("; "));
    }

    fn start(&mut self) -> Result<(), NodeError> {
        let child = self.launch.start(&["--watched", &std::process::id().to_string()]).map_err(|error| {
            NodeError::Command { command: self.launch.program.display().to_string(), error }
        })?;
        self.group = child.id();
        self.child = Some(child);
        self.started = Instant::now();
        self.runs_with = None;
        (self.due, self.restart) = (None, None);
        Ok(())
    }

    /// What a command that runs with something should run with. Where it is not known which login at the
    /// database is current, or which key of the sequencer counts, that is the one it has.
    fn wanted(&self, runs_with: &RunsWith, now: Timestamp) -> Option<RunsWith> {
        let login = self
            .config
            .database_login()
            .and_then(|_| self.database_login.clone().or_else(|| runs_with.database_login.clone()));
        let sequencer = self
            .config
            .sequencer
            .as_ref()
            .and_then(|_| self.sequencer.clone().or_else(|| runs_with.sequencer.clone()));
        let beside = Beside { database_login: login, sequencer };
        RunsWith::of(self.config, self.view.as_ref()?, beside, now).ok()
    }

    /// Waits for the end of the command or of a rehearsal; for ever where there is neither.
    async fn any_end(&mut self) -> End {
        let command = async {
            match &mut self.child {
                Some(child) => End::Command(child.wait().await.ok()),
                None => std::future::pending().await,
            }
        };
        let rehearsal = async {
            match &mut self.rehearsal {
                Some(child) => End::Rehearsal(child.wait().await.is_ok_and(|status| status.success())),
                None => std::future::pending().await,
            }
        };
        tokio::select! { end = command => end, end = rehearsal => end }
    }

    /// A command that ended by itself comes back, later and later.
    fn after(&mut self, status: Option<ExitStatus>) {
        self.child = None;
        end_group(self.group.take());
        if self.started.elapsed() >= STEADY {
            self.pause = FIRST_PAUSE;
        }
        let how = status.map_or_else(|| "for an unknown reason".to_owned(), |status| status.to_string());
        say(&format!("the command ended ({how}); it is started again in {} s", self.pause.as_secs()));
        self.restart = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// When there is something to do next, if nothing happens before.
    fn next(&self) -> Instant {
        let now = clock::now();
        let in_time = |time: Timestamp| {
            let wait = Duration::try_from(time.duration_since(now)).unwrap_or_default();
            Instant::now() + wait
        };
        let changes = self.view.as_ref().and_then(|view| self.next_change(view, now));
        // It takes a moment for a start to come to its end.
        let is_starting = self.child.is_some() && !self.has_become_the_command();
        let soon = is_starting.then(|| Instant::now() + FIRST_PAUSE / 4);
        let due = self.due.filter(|_| self.rehearsal.is_none()).map(|(_, due)| due);
        let times = [changes.map(in_time), due.map(in_time), self.restart, soon];
        times.into_iter().flatten().fold(self.next_look, Instant::min)
    }

    /// The next time at which something counts that does not yet, or no more.
    fn next_change(&self, view: &ClusterView, now: Timestamp) -> Option<Timestamp> {
        let cut_over = view.next_cut_over(now).map(|(time, _)| time);
        let own = self.config.index.and_then(|index| view.records.get(&index));
        let over = own.and_then(|record| tsm::next_end(record, now));
        cut_over.into_iter().chain(over).min()
    }

    fn go_on(&mut self) -> Result<(), NodeError> {
        if self.restart.is_some_and(|restart| restart <= Instant::now()) {
            return self.start();
        }
        let now = clock::now();
        match self.change(now) {
            None => self.due = None,
            Some(Change::Read(wanted)) => self.reload(wanted),
            Some(Change::StartAgain) => {
                let turn = self.turn(now);
                // A turn that begins at another time than the one that was waited for is another turn.
                let (_, due) = self
                    .due
                    .filter(|(from, _)| *from == turn.from)
                    .unwrap_or_else(|| (turn.from, turn.next(now, self.stagger)));
                self.due = Some((turn.from, due));
                if due <= now && self.rehearsal.is_none() {
                    self.rehearsal = self.launch.start(&["--dry-run"]).ok();
                }
            }
        }
        Ok(())
    }

    /// What has to be done so that the command runs with what it should: compared with what it was started
    /// with, by the word of whoever started it.
    fn change(&mut self, now: Timestamp) -> Option<Change> {
        let pid = self.child.as_ref().and_then(Child::id)?;
        if !self.has_become_the_command() {
            return None;
        }
        let is_news = self.runs_with.is_none();
        if is_news {
            self.runs_with = RunsWith::said_by(pid, self.reader.state());
        }
        let runs_with = self.runs_with.as_ref()?;
        let wanted = self.wanted(runs_with, now)?;
        if wanted == *runs_with {
            return None;
        }
        if is_news {
            // What it was started with may be newer than what was seen last.
            self.next_look = Instant::now();
            return None;
        }
        let is_read_again = wanted.differs_in_public_only(runs_with) && self.config.watch.reloads;
        Some(if is_read_again { Change::Read(wanted) } else { Change::StartAgain })
    }

    /// The node's turn: at a cut-over around the node whose key it is. All nodes compute it alike, of what
    /// they know of each other by the roster.
    fn turn(&self, now: Timestamp) -> Turn {
        let nodes: Vec<&NodeIndex> = self.view.iter().flat_map(|view| &view.members).collect();
        let rank_of = |index: &NodeIndex| nodes.iter().position(|node| *node == index).unwrap_or_default();
        let rank = self.config.index.as_ref().map(rank_of).unwrap_or_default();
        let records = self.view.iter().flat_map(|view| view.records.values());
        let begun = records.filter_map(|record| {
            let pending = record.pending.as_ref().filter(|pending| pending.counts_from <= now)?;
            Some((pending.counts_from, rank_of(&record.index)))
        });
        match begun.max() {
            Some((from, whose)) => Turn::of_a_cut_over(from, rank, whose, nodes.len()),
            None => Turn::of_any_change(rank, nodes.len()),
        }
    }

    /// Has the command read its configuration again; where that cannot be written, it goes on as it is, and the
    /// next look tries again.
    fn reload(&mut self, wanted: RunsWith) {
        if !self.heeds(Signal::SIGHUP) {
            // It has just begun, and a signal that it does not know yet would end it.
            return;
        }
        if let Err(error) = wanted.write_public(self.config) {
            self.complain(error.to_string());
            return;
        }
        self.signal(Signal::SIGHUP);
        say("the command reads its configuration again");
        self.runs_with = Some(wanted);
    }

    /// Tells of something once, however often it is met in a row.
    fn complain(&mut self, complaint: String) {
        if complaint != self.complaint && !complaint.is_empty() {
            say(&complaint);
        }
        self.complaint = complaint;
    }

    /// Ends the command and starts it again, if what it needs can be had.
    async fn start_again(&mut self, is_rehearsed: bool) -> Result<(), NodeError> {
        (self.rehearsal, self.due) = (None, None);
        if !is_rehearsed {
            say("what the command would run with cannot be had now: what runs goes on");
            return Ok(());
        }
        let now = clock::now();
        if !matches!(self.change(now), Some(Change::StartAgain)) {
            return Ok(());
        }
        let turn = self.turn(now);
        let next = turn.next(now, self.stagger);
        if next > now {
            // It took too long: the next one's turn has come.
            self.due = Some((turn.from, next));
            return Ok(());
        }
        say("what the command runs with has changed: it is started again");
        self.stop().await;
        self.start()
    }

    /// Whether `keyboot-node exec` is the command by now, by the name that the kernel has for the process.
    fn has_become_the_command(&self) -> bool {
        let Some(pid) = self.child.as_ref().and_then(Child::id) else { return false };
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        // As it is before and after it gives itself a name.
        !["exe", EXEC_NAME].contains(&name.trim_end())
    }

    /// Whether the command does something of its own about a signal, or nothing: as far as can be seen.
    fn heeds(&self, signal: Signal) -> bool {
        let Some(pid) = self.child.as_ref().and_then(Child::id) else { return false };
        let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
        let has = |field: &str| {
            let set = status.lines().find_map(|line| line.strip_prefix(field));
            let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
            set.is_some_and(|set| set >> (signal as u32 - 1) & 1 == 1)
        };
        has("SigCgt:") || has("SigIgn:")
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(Child::id).and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Ends the command, by force if it has to be, and whatever of it is left.
    async fn stop(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::SIGTERM);
        let mut child = self.child.take()?;
        let status = tokio::select! {
            status = child.wait() => status.ok(),
            () = sleep(self.patience) => {
                say("the command does not end: it is killed");
                let _ = child.start_kill();
                child.wait().await.ok()
            }
        };
        end_group(self.group.take());
        status
    }

    async fn end(&mut self) -> Result<ExitStatus, NodeError> {
        Ok(self.stop().await.unwrap_or_default())
    }
}

/// Ends what is left of a group: a helper of the command would share its user with the next one.
fn end_group(group: Option<u32>) {
    if let Some(group) = group.and_then(|group| i32::try_from(group).ok()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}
