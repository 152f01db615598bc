//! Several measurements of the same thing.

/// What was measured, in ascending order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spread(Vec<f64>);

impl Spread {
    /// Adds a measurement.
    pub(crate) fn add(&mut self, value: f64) {
        let at = self.0.partition_point(|known| *known < value);
        self.0.insert(at, value);
    }

    /// The middle one; of an even number, the mean of the two in the middle. Not a number where there is none.
    pub(crate) fn median(&self) -> f64 {
        let (low, high) = (self.0.get(self.0.len().saturating_sub(1) / 2), self.0.get(self.0.len() / 2));
        low.zip(high).map_or(f64::NAN, |(low, high)| (low + high) / 2.0)
    }

    /// The mean. Not a number where there is none.
    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// The smallest.
    pub(crate) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    /// The largest.
    pub(crate) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// "median (min-max)", each written by `show`.
    pub(crate) fn show(&self, show: impl Fn(f64) -> String) -> String {
        format!("{} ({}-{})", show(self.median()), show(self.min()), show(self.max()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_and_nothing() {
        let mut spread = Spread::default();
        assert!(spread.median().is_nan());
        for value in [3.0, 1.0, 2.0] {
            spread.add(value);
        }
        assert_eq!((spread.min(), spread.median(), spread.max()), (1.0, 2.0, 3.0));
        spread.add(10.0);
        assert_eq!((spread.median(), spread.mean()), (2.5, 4.0));
        assert_eq!(spread.show(|value| format!("{value:.1}")), "2.5 (1.0-10.0)");
    }
}
