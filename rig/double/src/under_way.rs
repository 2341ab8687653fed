//! Puts of a parameter that have arrived and are kept from being carried out.
//!
//! Between two puts of one parameter that AWS handles at the same time it refuses one. The double
//! handles calls one after the other, so two are only at the same time when a test slows the first
//! one down. What stands at a stop has not reached the service yet.

use std::collections::BTreeMap;

use crate::place::Place;

/// The puts that wait, by their number in the record.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(BTreeMap<u64, (Place, String)>);

impl UnderWay {
    /// A put waits from now on.
    pub(crate) fn begins(&mut self, number: u64, place: Place, name: String) {
        self.0.insert(number, (place, name));
    }

    /// It waits no more: it is carried out now, or its caller is gone.
    pub(crate) fn ends(&mut self, number: u64) {
        self.0.remove(&number);
    }

    /// Whether a put of this parameter waits.
    pub(crate) fn holds(&self, place: &Place, name: &str) -> bool {
        self.0.values().any(|(at, waiting)| at == place && waiting == name)
    }
}
