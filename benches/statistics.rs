//! What many measurements are summed up as.

/// The middle number, or the mean of the two in the middle; NaN if there are none.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n == 0 { f64::NAN } else { (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0 }
}

/// `(x₁ · … · xₙ)^(1/n)`, the mean for ratios; NaN if there are none.
pub fn geometric_mean(ratios: impl IntoIterator<Item = f64>) -> f64 {
    let (n, sum) = ratios.into_iter().fold((0.0, 0.0), |(n, sum), ratio| (n + 1.0, sum + ratio.ln()));
    (sum / n).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 100.0, 1.0]), 3.0);
        assert_eq!(median([4.0, 1.0, 100.0, 2.0]), 3.0);
        assert!(median([]).is_nan());
    }

    #[test]
    fn twice_as_fast_and_half_as_fast_cancel_in_the_geometric_mean() {
        assert!((geometric_mean([2.0, 0.5]) - 1.0).abs() < 1e-12);
        assert!((geometric_mean([2.0, 4.0, 8.0]) - 4.0).abs() < 1e-12);
        assert!(geometric_mean([]).is_nan());
    }
}
