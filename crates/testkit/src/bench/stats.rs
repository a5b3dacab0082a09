//! Medians, intervals and percentiles.

/// The middle value, or the mean of the two middle ones; `None` of nothing.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// An interval that holds the true median with at least 95 %, whatever the distribution; from fewer than six values
/// there is none, and it is lowest to highest.
pub(super) fn interval(values: &[f64]) -> Option<(f64, f64)> {
    let sorted = sorted(values);
    let cut = cut_off(sorted.len());
    Some((*sorted.get(cut)?, sorted[sorted.len() - 1 - cut]))
}

/// How many values may be left out at each end: as many as a fair coin shows of one side with at most 2.5 %.
fn cut_off(count: usize) -> usize {
    let mut probability = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut tail = probability;
    let mut cut = 0;
    while tail <= 0.025 && cut + 1 < count {
        cut += 1;
        probability *= ratio(count + 1 - cut, cut);
        tail += probability;
    }
    cut.saturating_sub(1)
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn ratio(a: usize, b: usize) -> f64 {
    a as f64 / b as f64
}

/// The value that `per_mille` thousandths of all do not exceed (nearest rank); `sorted` must be.
pub(super) fn percentile(sorted: &[u64], per_mille: usize) -> Option<u64> {
    let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn the_interval_leaves_out_as_much_as_95_per_cent_allow() {
        // By the binomial distribution: 6 values give 96.9 %, 9 without one at each end 96.1 %, 12 without two 96.1 %.
        for (count, cut) in [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (10, 1), (11, 1), (12, 2), (17, 4)] {
            assert_eq!(cut_off(count), cut, "{count}");
        }
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(interval(&ten), Some((2.0, 9.0)));
        assert_eq!(interval(&ten[..3]), Some((1.0, 3.0)));
        assert_eq!(interval(&[]), None);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=1000).collect();
        assert_eq!(percentile(&values, 500), Some(500));
        assert_eq!(percentile(&values, 999), Some(999));
        assert_eq!(percentile(&values, 1000), Some(1000));
        assert_eq!(percentile(&[7], 999), Some(7));
        assert_eq!(percentile(&[], 500), None);
    }
}
