//! Who is at work on a cluster or a chain: one document, the on-premises stand-in for what CloudFormation
//! shows of an operation in progress.
//!
//! It is written with a comparison, so that of two who begin at once one does. It names an operation's id,
//! which an operation that died and begins again keeps, so that what it makes is the same request's; and a
//! holder, which is another for each process. A hold ends by itself: a process that died holds nobody up for
//! longer than that.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use provisioning::OperationKind;
use provisioning::names::ClusterName;
use provisioning::ownership::{Generation, Owner, OwnerId};
use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::error::VaultError;
use crate::kv::{Kv, TEXT};
use crate::random;
use crate::session::Session;
use crate::settings::Place;

/// How long a hold lasts that is not told otherwise.
pub const HOLD: Duration = Duration::from_mins(2);
/// Tries to begin while others begin as well.
const TRIES: u32 = 5;
/// The schema number of the document.
const SCHEMA: u32 = 1;

/// What is asked for, as it stands in the document.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// Something is new.
    Create,
    /// Something changes.
    Update,
    /// Something goes.
    Delete,
}

impl Kind {
    /// The status that CloudFormation would show of it.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::Create => "CREATE_IN_PROGRESS",
            Self::Update => "UPDATE_IN_PROGRESS",
            Self::Delete => "DELETE_IN_PROGRESS",
        }
    }
}

impl From<Kind> for OperationKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Create => Self::Create,
            Kind::Update => Self::Update,
            Kind::Delete => Self::Delete,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
enum State {
    InProgress,
    Complete,
}

/// The document.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Note {
    schema: u32,
    id: Generation,
    kind: Kind,
    owner: String,
    declaration: String,
    holder: String,
    until: Timestamp,
    state: State,
}

/// What one begins with.
#[derive(Clone, Debug)]
pub struct Beginning<'a> {
    /// The cluster or chain.
    pub cluster: &'a ClusterName,
    /// On whose behalf.
    pub owner: &'a Owner,
    /// What it is, unless an operation that died goes on.
    pub kind: Kind,
    /// The digest of what is declared, `sha256:` and 64 hex digits: an operation that died goes on where it
    /// is the same.
    pub declaration: &'a str,
    /// How long a hold lasts.
    pub hold: Duration,
    /// The time now.
    pub now: Timestamp,
}

/// An operation that this process is at work on.
pub struct HeldOperation {
    /// Its id: the generation of whatever it makes.
    pub id: Generation,
    /// What is asked for.
    pub kind: Kind,
    /// Whether it goes on where one that died ended.
    pub resumed: bool,
    owner: Owner,
    path: String,
    holder: String,
    hold: Duration,
}

/// Begins an operation, or goes on with one of the same declaration that never came to its end.
///
/// # Errors
///
/// [`VaultError::Held`] while another process is at work.
pub async fn begin(
    session: &Session,
    place: &Place,
    beginning: Beginning<'_>,
) -> Result<HeldOperation, VaultError> {
    let kv = Kv::new(session.connection(), &place.mounts.documents);
    let path = path_of(beginning.cluster);
    for _ in 0..TRIES {
        let (newest, standing) = standing(&kv, &path).await?;
        let unfinished = standing.filter(|note| note.state == State::InProgress);
        if let Some(note) = unfinished.as_ref().filter(|note| note.until > beginning.now) {
            return Err(VaultError::Held {
                cluster: beginning.cluster.to_string(),
                id: note.id.to_string(),
                owner: note.owner.clone(),
                until: note.until.to_string(),
            });
        }
        let same = unfinished.filter(|note| {
            note.owner == beginning.owner.id.as_str()
                && note.declaration == beginning.declaration
                // Whoever takes a removal back does not go on with it, nor the other way round.
                && (note.kind == Kind::Delete) == (beginning.kind == Kind::Delete)
        });
        let (id, kind, resumed) = match same {
            Some(note) => (note.id, note.kind, true),
            None => (Generation::new(random::uuid()?), beginning.kind, false),
        };
        let held = HeldOperation {
            id,
            kind,
            resumed,
            owner: beginning.owner.clone(),
            path: path.clone(),
            holder: random::uuid()?,
            hold: beginning.hold,
        };
        let note = held.note(beginning.declaration, beginning.now, State::InProgress);
        match write(&kv, &path, &note, newest).await {
            Ok(()) => return Ok(held),
            // Somebody begins at the same moment: he is told of at the next look.
            Err(VaultError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(VaultError::Unavailable {
        what: format!("an operation on {}", beginning.cluster),
        code: "others begin all the time".into(),
    })
}

/// What is told of the operation that was last begun.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LastOperation {
    /// Its id.
    pub id: Generation,
    /// What was asked for.
    pub kind: Kind,
    /// On whose behalf, by its id.
    pub owner: String,
    /// The digest of what was declared.
    pub declaration: String,
    /// Whether it came to its end.
    pub is_complete: bool,
}

/// What is told of the operation that was last begun on a cluster or chain; none where there was none.
///
/// # Errors
///
/// [`VaultError`].
pub async fn last(
    session: &Session,
    place: &Place,
    cluster: &ClusterName,
) -> Result<Option<LastOperation>, VaultError> {
    let kv = Kv::new(session.connection(), &place.mounts.documents);
    let (_, note) = standing(&kv, &path_of(cluster)).await?;
    Ok(note.map(|note| LastOperation {
        id: note.id,
        kind: note.kind,
        owner: note.owner,
        declaration: note.declaration,
        is_complete: note.state == State::Complete,
    }))
}

impl HeldOperation {
    /// On whose behalf it runs.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether this process still holds it, at `now`. Where much of the hold is over, it is made longer.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn stands(&self, session: &Session, place: &Place, now: Timestamp) -> Result<bool, VaultError> {
        self.stands_at(session.connection(), place, now).await
    }

    pub(crate) async fn stands_at(
        &self,
        connection: &Connection,
        place: &Place,
        now: Timestamp,
    ) -> Result<bool, VaultError> {
        let kv = Kv::new(connection, &place.mounts.documents);
        let (newest, note) = standing(&kv, &self.path).await?;
        let Some(note) = note.filter(|note| self.is(note) && note.until > now) else { return Ok(false) };
        let half = SignedDuration::try_from(self.hold / 2).unwrap_or(SignedDuration::ZERO);
        if note.until.duration_since(now) > half {
            return Ok(true);
        }
        let longer = Note { until: ends(now, self.hold), ..note };
        match write(&kv, &self.path, &longer, newest).await {
            Ok(()) => Ok(true),
            Err(VaultError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes down that it has come to its end. One that another has taken over meanwhile is left alone.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; then it may be begun again once its hold is over, and changes nothing.
    pub async fn complete(self, session: &Session, place: &Place) -> Result<(), VaultError> {
        self.leave(session, place, State::Complete).await
    }

    /// Lets go of it unfinished: whoever begins next with the same declaration goes on with it at once.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn let_go(self, session: &Session, place: &Place) -> Result<(), VaultError> {
        self.leave(session, place, State::InProgress).await
    }

    async fn leave(self, session: &Session, place: &Place, state: State) -> Result<(), VaultError> {
        let kv = Kv::new(session.connection(), &place.mounts.documents);
        let (newest, note) = standing(&kv, &self.path).await?;
        let Some(note) = note.filter(|note| self.is(note)) else { return Ok(()) };
        let left = Note { state, until: Timestamp::UNIX_EPOCH, ..note };
        match write(&kv, &self.path, &left, newest).await {
            Ok(()) | Err(VaultError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn is(&self, note: &Note) -> bool {
        note.id == self.id && note.holder == self.holder && note.state == State::InProgress
    }

    /// Whether a stack and a resource are the ones that it is of.
    pub(crate) fn is_of(&self, stack_id: &str, logical_id: &str) -> bool {
        self.owner.stack_id == stack_id && self.owner.logical_id == logical_id
    }

    /// What is to be shown as the resource's id: none while it is made.
    pub(crate) fn shown_id(&self) -> Option<&OwnerId> {
        (self.kind != Kind::Create).then_some(&self.owner.id)
    }

    fn note(&self, declaration: &str, now: Timestamp, state: State) -> Note {
        Note {
            schema: SCHEMA,
            id: self.id.clone(),
            kind: self.kind,
            owner: self.owner.id.to_string(),
            declaration: declaration.to_owned(),
            holder: self.holder.clone(),
            until: ends(now, self.hold),
            state,
        }
    }
}

impl fmt::Debug for HeldOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldOperation")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("resumed", &self.resumed)
            .finish_non_exhaustive()
    }
}

fn path_of(cluster: &ClusterName) -> String {
    format!("{cluster}/operation")
}

fn ends(now: Timestamp, hold: Duration) -> Timestamp {
    let hold = SignedDuration::try_from(hold).unwrap_or(SignedDuration::ZERO);
    now.saturating_add(hold).unwrap_or(Timestamp::MAX)
}

/// The number of the newest document, and what it says. One that cannot be read is nobody's hold, since
/// nobody writes such a one; whoever begins next writes over it.
async fn standing(kv: &Kv<'_>, path: &str) -> Result<(u64, Option<Note>), VaultError> {
    let (newest, held) = kv.read_numbered(path).await?;
    let text = held.and_then(|mut held| held.take(TEXT));
    Ok((newest, text.and_then(|text| serde_json::from_str(&text).ok())))
}

async fn write(kv: &Kv<'_>, path: &str, note: &Note, newest: u64) -> Result<(), VaultError> {
    let text = serde_json::to_string(note).map_err(|_| VaultError::refused(path, "no JSON"))?;
    kv.put_fields(path, &BTreeMap::from([(TEXT, text.as_str())]), newest).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_byte_for_byte_what_others_read() {
        let owner = Owner {
            id: "keyboot/keyboot/tsm/0123456789abcdef".parse().unwrap(),
            stack_id: "onprem:ops:team".into(),
            logical_id: "NodeKeys".into(),
        };
        let held = HeldOperation {
            id: Generation::new("11111111-2222-4333-8444-555555555555"),
            kind: Kind::Create,
            resumed: false,
            owner,
            path: String::new(),
            holder: "h".into(),
            hold: Duration::from_mins(2),
        };
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let text = serde_json::to_string(&held.note("sha256:00", now, State::InProgress)).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"schema":1,"id":"11111111-2222-4333-8444-555555555555","kind":"Create","#,
                r#""owner":"keyboot/keyboot/tsm/0123456789abcdef","declaration":"sha256:00","holder":"h","#,
                r#""until":"2026-01-02T03:06:05Z","state":"InProgress"}"#
            )
        );
        let read: Note = serde_json::from_str(&text).unwrap();
        assert!(held.is(&read));
        assert!(!held.is(&Note { holder: "other".into(), ..read.clone() }));
        assert!(!held.is(&Note { state: State::Complete, ..read }));
        assert_eq!(held.shown_id(), None);
        assert_eq!(Kind::Delete.status(), "DELETE_IN_PROGRESS");
    }
}
