//! Sequences of calls, each with what AWS documents as its answer.

use serde_json::Value;

use crate::client::Operation;

/// Calls that belong together, in their order. Nothing of one sequence is named in another.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// One step of a sequence.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A key is made or its state changed, by whatever way the service under test offers.
    Given(Given),
    /// A call.
    Call(Call),
}

/// What is there before a call. The key's ARN goes by a name of ours from then on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    /// A key for encryption.
    SymmetricKey(&'static str),
    /// A key for signing, on P-256.
    SigningKey(&'static str),
    /// The key is disabled.
    Disabled(&'static str),
    /// The key is enabled again.
    Enabled(&'static str),
    /// The key's deletion is scheduled.
    PendingDeletion(&'static str),
}

/// A call and its documented answer.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) operation: Operation,
    /// What is sent; `${name}` stands for something kept.
    pub(crate) input: Value,
    pub(crate) documented: Documented,
    /// How often it is made; the last answer counts.
    pub(crate) times: usize,
    /// What is kept of the answer: a name, and the JSON pointer of a string.
    pub(crate) kept: Vec<(&'static str, &'static str)>,
}

/// What AWS documents.
#[derive(Clone, Debug)]
pub(crate) enum Documented {
    /// These members of the answer; see [`crate::shape`] for how they are written.
    Answers(Value),
    /// One of these errors. There is more than one where the documentation does not say which.
    Refuses(&'static [&'static str]),
}

impl Sequence {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, steps: Vec::new() }
    }

    pub(crate) fn given(mut self, given: Given) -> Self {
        self.steps.push(Step::Given(given));
        self
    }

    /// A call that is answered.
    pub(crate) fn answers(
        mut self,
        name: &'static str,
        operation: Operation,
        input: Value,
        documented: Value,
    ) -> Self {
        let documented = Documented::Answers(documented);
        self.steps.push(Step::Call(Call { name, operation, input, documented, times: 1, kept: Vec::new() }));
        self
    }

    /// A call that is refused.
    pub(crate) fn refuses(
        mut self,
        name: &'static str,
        operation: Operation,
        input: Value,
        codes: &'static [&'static str],
    ) -> Self {
        let documented = Documented::Refuses(codes);
        self.steps.push(Step::Call(Call { name, operation, input, documented, times: 1, kept: Vec::new() }));
        self
    }

    /// Makes the last call so often instead of once.
    pub(crate) fn times(mut self, times: usize) -> Self {
        if let Some(Step::Call(call)) = self.steps.last_mut() {
            call.times = times;
        }
        self
    }

    /// Keeps a string of the last call's answer under a name.
    pub(crate) fn keep(mut self, name: &'static str, pointer: &'static str) -> Self {
        if let Some(Step::Call(call)) = self.steps.last_mut() {
            call.kept.push((name, pointer));
        }
        self
    }
}
