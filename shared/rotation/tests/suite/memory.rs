//! A secret in memory with the four steps behind it, whose every call can be the last one.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use rotation::{
    CURRENT, PENDING, PREVIOUS, Rotate, RotateError, Rotated, RotationEvent, RotationStep, SecretId,
    SecretVersions, Tested, rotate,
};

use crate::support::{OLD, event};

/// What is left when every process has ended: the secret, and what is kept beside it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct World {
    pub(crate) rotation_enabled: bool,
    pub(crate) versions: BTreeMap<String, Version>,
    /// The values that are accepted, by the version that they are of.
    pub(crate) accepted: BTreeMap<String, BTreeSet<u32>>,
    pub(crate) published: BTreeSet<String>,
    /// The versions after which all work was done.
    pub(crate) finished: BTreeSet<String>,
    /// How often a value was put.
    pub(crate) puts: u32,
    values_made: u32,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Version {
    pub(crate) labels: BTreeSet<String>,
    /// None until one is put: Secrets Manager makes the version first.
    pub(crate) value: Option<u32>,
}

impl World {
    /// A secret whose rotation was never begun.
    pub(crate) fn new() -> RefCell<Self> {
        let old = Version { labels: [CURRENT.to_owned()].into(), value: Some(0) };
        RefCell::new(Self {
            rotation_enabled: true,
            versions: [(OLD.to_owned(), old)].into(),
            accepted: [(OLD.to_owned(), [0].into())].into(),
            published: [OLD.to_owned()].into(),
            finished: BTreeSet::new(),
            puts: 0,
            values_made: 0,
        })
    }

    /// What Secrets Manager does before the first step: a pending version without a value. What was
    /// pending before stays so.
    pub(crate) fn begin(&mut self, version: &str) {
        self.versions.entry(version.to_owned()).or_default().labels.insert(PENDING.to_owned());
    }

    fn labelled(&self, version: &str, label: &str) -> bool {
        self.versions.get(version).is_some_and(|version| version.labels.contains(label))
    }

    fn in_use(&self, version: &str) -> bool {
        self.labelled(version, CURRENT) || self.labelled(version, PREVIOUS)
    }

    fn value(&self, version: &str) -> Option<u32> {
        self.versions.get(version)?.value
    }

    pub(crate) fn with_label(&self, label: &str) -> Vec<&str> {
        self.versions.keys().filter(|id| self.labelled(id, label)).map(String::as_str).collect()
    }

    /// Whether a version has a value that would be let in.
    fn is_good(&self, version: &str) -> bool {
        let is_accepted = |value| self.accepted.get(version).is_some_and(|values| values.contains(&value));
        self.value(version).is_some_and(is_accepted) && self.published.contains(version)
    }

    /// What must hold at any moment: who asks for the secret gets one that works.
    fn assert_works(&self) {
        let [current] = self.with_label(CURRENT)[..] else { panic!("one is current: {self:?}") };
        assert!(self.is_good(current), "the current one works: {self:?}");
    }

    /// What must hold in the end: one rotation, one new version, and nothing begun.
    pub(crate) fn assert_rotated_once(&self, to: &str) {
        assert_eq!(self.with_label(CURRENT), [to], "{self:?}");
        assert_eq!(self.with_label(PREVIOUS), [OLD], "{self:?}");
        assert!(self.with_label(PENDING).is_empty(), "{self:?}");
        assert_eq!(self.versions.len(), 2, "{self:?}");
        assert_eq!(self.puts, 1, "{self:?}");
        let known: BTreeSet<String> = [OLD.to_owned(), to.to_owned()].into();
        assert_eq!(self.accepted.keys().cloned().collect::<BTreeSet<_>>(), known, "{self:?}");
        assert_eq!(self.published, known, "{self:?}");
        assert_eq!(self.accepted[to], self.value(to).into_iter().collect(), "{self:?}");
        assert_eq!(self.finished, [to.to_owned()].into(), "{self:?}");
    }
}

/// How a call is the last one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// The process ends.
    Dies,
    /// The call is answered with an error.
    Fails,
}

/// Where a run comes to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// The call, counted from the run's first.
    pub(crate) call: usize,
    /// Whether what it does is done by then.
    pub(crate) after: bool,
    pub(crate) manner: Manner,
}

#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

/// The function, which rotates whatever it is asked to.
pub(crate) struct Function<'a> {
    world: &'a RefCell<World>,
    stops: Vec<Stop>,
    calls: Cell<usize>,
    dead: Cell<bool>,
}

impl<'a> Function<'a> {
    pub(crate) fn new(world: &'a RefCell<World>, stops: &[Stop]) -> Self {
        Self { world, stops: stops.to_vec(), calls: Cell::new(0), dead: Cell::new(false) }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.get()
    }

    /// One delivery of an event, to its end or its process's.
    pub(crate) fn deliver(
        &self,
        step: RotationStep,
        version: &str,
    ) -> Option<Result<Rotated, RotateError<Broken>>> {
        let event = event(step.as_str(), version);
        let mut run = pin!(rotate(&event, self));
        self.dead.set(false);
        loop {
            if let Poll::Ready(end) = turn(run.as_mut()) {
                return Some(end);
            }
            if self.dead.get() {
                return None;
            }
        }
    }

    /// One call, which is one turn of a run.
    async fn call<T>(&self, effect: impl FnOnce(&mut World) -> T) -> Result<T, Broken> {
        give_way().await;
        let number = self.calls.replace(self.calls.get() + 1);
        let stops = |after| self.stops.iter().find(move |stop| stop.call == number && stop.after == after);
        self.stop(stops(false)).await?;
        let given = effect(&mut self.world.borrow_mut());
        self.world.borrow().assert_works();
        self.stop(stops(true)).await?;
        Ok(given)
    }

    async fn stop(&self, stop: Option<&Stop>) -> Result<(), Broken> {
        match stop.map(|stop| stop.manner) {
            None => Ok(()),
            Some(Manner::Fails) => Err(Broken),
            Some(Manner::Dies) => {
                self.dead.set(true);
                pending().await
            }
        }
    }
}

/// Gives a run one turn.
pub(crate) fn turn<T>(run: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    run.poll(&mut Context::from_waker(Waker::noop()))
}

async fn give_way() {
    let mut gone = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut gone, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

impl Rotate for Function<'_> {
    type Error = Broken;

    async fn describe(&self, _: &SecretId) -> Result<Option<SecretVersions>, Broken> {
        self.call(|world| {
            let versions = world.versions.iter().map(|(id, version)| (id.clone(), version.labels.clone()));
            let rotation_enabled = world.rotation_enabled;
            Some(SecretVersions { rotation_enabled, versions: versions.collect() })
        })
        .await
    }

    async fn create(&self, event: &RotationEvent) -> Result<(), Broken> {
        let version = event.version.as_str();
        if self.call(|world| world.value(version).is_some()).await? {
            return Ok(());
        }
        let value = self.call(|world| {
            world.values_made += 1;
            world.accepted.entry(version.to_owned()).or_default().insert(world.values_made);
            world.values_made
        });
        let value = value.await?;
        self.call(|world| {
            let stored = world.versions.entry(version.to_owned()).or_default();
            // Another run may have been faster; its value counts.
            if stored.value.is_none() {
                stored.value = Some(value);
                stored.labels.insert(PENDING.to_owned());
                world.puts += 1;
            }
        })
        .await
    }

    async fn set(&self, event: &RotationEvent) -> Result<(), Broken> {
        let version = event.version.as_str();
        self.call(|world| {
            // Private before public.
            world.value(version).ok_or(Broken)?;
            world.published.insert(version.to_owned());
            Ok(())
        })
        .await?
    }

    async fn test(&self, event: &RotationEvent) -> Result<Tested, Broken> {
        let version = event.version.as_str();
        self.call(|world| match world.accepted.contains_key(version) {
            false => Ok(Tested::NotOurs),
            true if world.is_good(version) => Ok(Tested::Passed),
            true => Err(Broken),
        })
        .await?
    }

    async fn finish(&self, event: &RotationEvent, described: &SecretVersions) -> Result<(), Broken> {
        let version = event.version.as_str();
        let expected = described.staged(CURRENT).unwrap();
        self.call(|world| {
            if world.labelled(version, CURRENT) {
                // A run before this one came as far as this.
            } else if world.labelled(expected, CURRENT) && world.is_good(version) {
                for old in world.versions.values_mut() {
                    old.labels.remove(PREVIOUS);
                }
                let old = world.versions.get_mut(expected).unwrap();
                old.labels = [PREVIOUS.to_owned()].into();
                world.versions.get_mut(version).unwrap().labels.insert(CURRENT.to_owned());
            } else {
                return Err(Broken);
            }
            Ok(())
        })
        .await??;
        self.call(|world| world.versions.get_mut(version).map(|stored| stored.labels.remove(PENDING)))
            .await?;
        self.call(|world| {
            let value = world.value(version).into_iter().collect();
            world.accepted.insert(version.to_owned(), value);
            world.finished.insert(version.to_owned());
        })
        .await
    }

    async fn discard(&self, _: &RotationEvent, version: &str) -> Result<(), Broken> {
        self.call(|world| {
            if !world.in_use(version) {
                world.accepted.remove(version);
                world.published.remove(version);
            }
        })
        .await?;
        // The label last: without it nothing would say that there is something to take back.
        self.call(|world| {
            if !world.in_use(version) {
                world.versions.remove(version);
            }
        })
        .await
    }
}
