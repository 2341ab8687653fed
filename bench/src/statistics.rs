//! What is told of a series of measurements: its median, and how far it spreads. No I/O here.

/// Measurements of one thing, one a round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds what a round measured.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value that half of the measurements do not exceed.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The values between which the middle half of the measurements lies.
    pub(crate) fn quartiles(&self) -> (f64, f64) {
        (self.quantile(0.25), self.quantile(0.75))
    }

    /// How many times the other measurement of the same round each of these is.
    ///
    /// What disturbs a round disturbs both of its measurements, so these ratios spread less than the
    /// ratio of two medians would err.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(this, that)| this / that).collect())
    }

    /// With a linear way between neighbours, as most statistics programs count it; 0 of nothing.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "a run has few rounds")]
        let place = share * last as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between the first measurement and the last"
        )]
        let below = place.floor() as usize;
        let above = sorted.get(below + 1).copied().unwrap_or(sorted[below]);
        sorted[below] + (above - sorted[below]) * place.fract()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "every value here is exact in binary")]
mod tests {
    use super::*;

    fn samples<const N: usize>(values: [f64; N]) -> Samples {
        values.into_iter().collect()
    }

    #[test]
    fn one_slow_round_moves_the_median_little() {
        assert_eq!(samples([3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(samples([3.0, 1.0, 2.0, 900.0]).median(), 2.5);
    }

    #[test]
    fn the_quartiles_hold_the_middle_half() {
        assert_eq!(samples([5.0, 1.0, 2.0, 4.0, 3.0]).quartiles(), (2.0, 4.0));
        assert_eq!(samples([7.0]).quartiles(), (7.0, 7.0));
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let ratios = samples([1.0, 10.0, 3.0]).over(&samples([2.0, 20.0, 1.0]));
        assert_eq!(ratios, samples([0.5, 0.5, 3.0]));
        assert_eq!(ratios.median(), 0.5);
    }

    #[test]
    fn nothing_measured_is_nothing() {
        assert_eq!(Samples::default().median(), 0.0);
    }
}
