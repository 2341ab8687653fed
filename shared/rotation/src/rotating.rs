//! The checks around the work: an event comes in, one step is done.

use std::fmt;
use std::future::Future;

use crate::event::RotationEvent;
use crate::names::{RotationStep, SecretId, VersionId};
use crate::versions::{CURRENT, PENDING, SecretVersions};

/// The work behind a rotation.
///
/// A run may die anywhere, between two calls and in the middle of one, and its event then comes
/// again, alone or with all steps before it; two runs may also be under way at once. So each method
/// must be harmless to repeat, and must go on from whatever it finds half done.
pub trait Rotate {
    /// Why something could not be done. Its text goes to the log.
    type Error: std::error::Error;

    /// What can be told of a secret; `None` when there is none.
    ///
    /// A reading that failed is an error, never `None` and never a secret without versions.
    fn describe(
        &self,
        secret_id: &SecretId,
    ) -> impl Future<Output = Result<Option<SecretVersions>, Self::Error>>;

    /// Puts a value under the event's version, unless there is one. Secrets Manager has labelled the
    /// version [`PENDING`] before it has a value; in a call that puts one, the label is named again.
    fn create(&self, event: &RotationEvent) -> impl Future<Output = Result<(), Self::Error>>;

    /// Has the event's version accepted by what it opens.
    fn set(&self, event: &RotationEvent) -> impl Future<Output = Result<(), Self::Error>>;

    /// Whether the event's version works, and whether it is one that `create` made. It changes
    /// nothing.
    ///
    /// It may be asked of a version that has lost its label, or that is gone. Both are said by
    /// [`Tested::NotOurs`] only if nothing that is kept says that `create` was ever begun for it.
    fn test(&self, event: &RotationEvent) -> impl Future<Output = Result<Tested, Self::Error>>;

    /// Makes the event's version current, by compare-and-set against what was described; takes
    /// [`PENDING`] from it; and does whatever comes after that.
    ///
    /// It is called again for a version that is current already, since the run that made it so may
    /// have died before the rest.
    fn finish(
        &self,
        event: &RotationEvent,
        described: &SecretVersions,
    ) -> impl Future<Output = Result<(), Self::Error>>;

    /// Takes back a version that another rotation than the event's left [`PENDING`]: the label, and
    /// whatever `create` and `set` did for it, if they did.
    ///
    /// The label goes last: it is all that tells the next run that there is something to take back. A
    /// version that has become current since it was described is left alone, at each call anew.
    fn discard(&self, event: &RotationEvent, version: &str) -> impl Future<Output = Result<(), Self::Error>>;
}

/// What came of testing a version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tested {
    /// It works.
    Passed,
    /// It was not made here, so that there is nothing to test.
    NotOurs,
}

/// Does the step that an event asks for, if it is to be done.
///
/// The checks are those of the template that AWS gives ("AWS Secrets Manager rotation function
/// templates" in the user guide, the generic one), in its order: the secret is there, rotation is
/// enabled, the version is one of the secret's, it is not current yet, it is pending. Three things
/// differ.
///
/// - A `finishSecret` for a version that is current is not over with that: the work is called again.
/// - A `createSecret` first discards what other rotations left pending. It does so only once its own
///   version has passed all checks: an old event that arrives late must not undo the rotation that is
///   under way.
/// - A `testSecret` that would be refused is first shown to the work; see [`Done::NotOurs`].
///
/// # Errors
///
/// A [`RotateError`]. Nothing was changed, unless it is [`RotateError::Failed`] or
/// [`RotateError::NotDiscarded`].
pub async fn rotate<R: Rotate>(event: &RotationEvent, work: &R) -> Result<Rotated, RotateError<R::Error>> {
    let described = match work.describe(&event.secret_id).await {
        Ok(Some(described)) => described,
        Ok(None) => return Err(RotateError::Absent { secret_id: event.secret_id.clone() }),
        Err(why) => return Err(RotateError::Unreadable { secret_id: event.secret_id.clone(), why }),
    };
    let standing = standing(event, &described);
    let mut discarded = Vec::new();
    let done = match (standing, event.step) {
        (Ok(Standing::Current), RotationStep::Finish) => {
            work.finish(event, &described).await.map_err(|why| failed(event, why))?;
            Done::FinishedAgain
        }
        (Ok(Standing::Current), _) => Done::AlreadyCurrent,
        // Rotation that is switched on with `RotateImmediately` false is tried out by this step alone, on a
        // pending version that Secrets Manager makes and then removes (API reference, `RotateSecret`; the
        // step itself: user guide, "Lambda rotation functions"). No `createSecret` comes before it, so the
        // work has not made that version. When it is removed, and from when on rotation counts as enabled,
        // is not said there, and an event may be late. So the work is asked before any of that is held
        // against the event: whatever the labels are, there is nothing to fail on in a version that was
        // not made here. One that was has to pass the checks like any other.
        (standing, RotationStep::Test) => {
            match (work.test(event).await.map_err(|why| failed(event, why))?, standing) {
                (Tested::NotOurs, _) => Done::NotOurs,
                (Tested::Passed, Ok(_)) => Done::Step,
                (Tested::Passed, Err(refusal)) => return Err(refused(event, refusal)),
            }
        }
        (Err(refusal), _) => return Err(refused(event, refusal)),
        (Ok(Standing::Pending), RotationStep::Create) => {
            for stale in described.stale(event.version.as_str()) {
                if let Err(why) = work.discard(event, &stale).await {
                    return Err(RotateError::NotDiscarded { secret_id: event.secret_id.clone(), stale, why });
                }
                discarded.push(stale);
            }
            work.create(event).await.map_err(|why| failed(event, why))?;
            Done::Step
        }
        (Ok(Standing::Pending), RotationStep::Set) => {
            work.set(event).await.map_err(|why| failed(event, why))?;
            Done::Step
        }
        (Ok(Standing::Pending), RotationStep::Finish) => {
            work.finish(event, &described).await.map_err(|why| failed(event, why))?;
            Done::Step
        }
    };
    let (secret_id, version) = (event.secret_id.clone(), event.version.clone());
    Ok(Rotated { step: event.step, secret_id, version, done, discarded })
}

/// What was done for an event. It is for the log: it holds no secret and no token.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Rotated {
    /// The step that was asked for.
    pub step: RotationStep,
    /// The secret.
    pub secret_id: SecretId,
    /// The version that it is rotated to.
    pub version: VersionId,
    /// What came of it.
    pub done: Done,
    /// The versions that other rotations had left pending and that were discarded first.
    pub discarded: Vec<String>,
}

/// What came of an event that was not refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Done {
    /// The step.
    Step,
    /// Nothing: the version is current already, and the step comes before that.
    AlreadyCurrent,
    /// The last step once more, for a version that was current already.
    FinishedAgain,
    /// Nothing: the version to test was not made here. Secrets Manager makes such a version and
    /// removes it again when rotation is switched on without rotating at once.
    NotOurs,
}

impl fmt::Display for Rotated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, secret_id, version, done, discarded } = self;
        match done {
            Done::Step => write!(f, "{step} is done for version {version} of {secret_id}")?,
            Done::AlreadyCurrent => {
                write!(f, "{step} had nothing to do: version {version} of {secret_id} is current already")?;
            }
            Done::FinishedAgain => {
                write!(f, "{step} was done again: version {version} of {secret_id} was current already")?;
            }
            Done::NotOurs => write!(
                f,
                "{step} had nothing to do: version {version} of {secret_id} was not made here, which is so \
                 when rotation is switched on without rotating at once"
            )?,
        }
        if !discarded.is_empty() {
            write!(f, "; left pending by other rotations and discarded first: {}", discarded.join(", "))?;
        }
        Ok(())
    }
}

/// Why a step was not done, by what is to be done about it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError<E> {
    /// What there is could not be learnt, so nothing was touched.
    #[error("secret {secret_id} could not be described, so nothing was changed: {why}")]
    Unreadable {
        /// The secret.
        secret_id: SecretId,
        /// Why not.
        why: E,
    },
    /// There is no such secret.
    #[error("secret {secret_id} does not exist, so there is nothing to rotate")]
    Absent {
        /// The secret.
        secret_id: SecretId,
    },
    /// The secret is in no state in which this is to be done.
    #[error("{step} of version {version} of secret {secret_id} was refused: {refusal}")]
    Refused {
        /// The step.
        step: RotationStep,
        /// The secret.
        secret_id: SecretId,
        /// The version that it would have been rotated to.
        version: VersionId,
        /// Why.
        refusal: Refusal,
    },
    /// What another rotation left pending could not be discarded. The step was not begun.
    #[error(
        "version {stale} of secret {secret_id}, left pending by another rotation, could not be discarded: {why}"
    )]
    NotDiscarded {
        /// The secret.
        secret_id: SecretId,
        /// The version that is still pending, or half discarded.
        stale: String,
        /// Why not.
        why: E,
    },
    /// The step was begun and has failed.
    #[error("{step} of version {version} of secret {secret_id} failed: {why}")]
    Failed {
        /// The step.
        step: RotationStep,
        /// The secret.
        secret_id: SecretId,
        /// The version that it was to be rotated to.
        version: VersionId,
        /// Why.
        why: E,
    },
}

/// Which of the checks an event has not passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Rotation is not enabled.
    #[error("rotation of the secret is not enabled")]
    RotationOff,
    /// The secret has no such version.
    #[error("the secret has no such version")]
    UnknownVersion,
    /// The version is neither current nor pending.
    #[error("the version is not AWSPENDING")]
    NotPending,
}

/// How far a version is that may be rotated to.
enum Standing {
    Current,
    Pending,
}

fn standing(event: &RotationEvent, described: &SecretVersions) -> Result<Standing, Refusal> {
    let version = event.version.as_str();
    if !described.rotation_enabled {
        Err(Refusal::RotationOff)
    } else if !described.versions.contains_key(version) {
        Err(Refusal::UnknownVersion)
    } else if described.is_staged(version, CURRENT) {
        Ok(Standing::Current)
    } else if described.is_staged(version, PENDING) {
        Ok(Standing::Pending)
    } else {
        Err(Refusal::NotPending)
    }
}

fn refused<E>(event: &RotationEvent, refusal: Refusal) -> RotateError<E> {
    let (secret_id, version) = (event.secret_id.clone(), event.version.clone());
    RotateError::Refused { step: event.step, secret_id, version, refusal }
}

fn failed<E>(event: &RotationEvent, why: E) -> RotateError<E> {
    let (secret_id, version) = (event.secret_id.clone(), event.version.clone());
    RotateError::Failed { step: event.step, secret_id, version, why }
}
