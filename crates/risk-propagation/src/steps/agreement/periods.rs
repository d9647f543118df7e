//! Which periods a run takes, and which bank made them count.
//!
//! A period counts where money moves between two different accounts. Each bank tells all others in R1 how many such pairs
//! its own accounts receive from, to within a factor of two: a bank that scales everybody's scores by a stray row is seen.

use crate::limits::MAX_STEPS;
use crate::network::Network;
use crate::plan::{PlanError, Settings};

/// A period of a run: what each bank tells of it, and whether the run takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeriodActivity {
    /// Period, from 0.
    pub period: usize,
    /// What each bank tells of it, in the order of the list of banks: the bit length of its number of pairs of a sender and
    /// an own receiver that is another account, with an amount above 0. 0 for none.
    pub by_bank: Vec<u8>,
    /// Whether the run takes the period: whether [`PeriodActivity::least`] is at least [`Settings::least_activity`].
    pub counted: bool,
}

impl PeriodActivity {
    /// Fewest pairs that the banks can hold by what they tell: Σ 2^(bits − 1).
    #[must_use]
    pub fn least(&self) -> u64 {
        self.ranges().fold(0, |sum, (least, _)| sum.saturating_add(least))
    }

    /// Most pairs that the banks can hold by what they tell: Σ (2^bits − 1).
    #[must_use]
    pub fn most(&self) -> u64 {
        self.ranges().fold(0, |sum, (_, most)| sum.saturating_add(most))
    }

    /// For each bank in the order of the list of banks, the fewest and the most pairs that it can hold.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let below = |bits: u32| u64::MAX.checked_shr(64_u32.saturating_sub(bits)).unwrap_or(0);
        let range = move |&bits: &u8| match bits.checked_sub(1) {
            None => (0, 0),
            Some(shorter) => (below(shorter.into()).saturating_add(1), below(bits.into())),
        };
        self.by_bank.iter().map(range)
    }
}

/// The periods of a run from what each bank tells of its own, in the order of the list of banks: see
/// [`Network::activity`].
///
/// # Errors
/// [`PlanError::Periods`] for a bank that has more than [`Settings::periods`], or if those are more than [`MAX_STEPS`].
pub fn agree<L: AsRef<[u8]>>(activity: &[L], settings: &Settings) -> Result<Vec<PeriodActivity>, PlanError> {
    let longest = activity.iter().map(|bank| bank.as_ref().len()).max().unwrap_or(0);
    let agreed = settings.periods.map_or(longest, |periods| periods as usize);
    if longest > agreed {
        return Err(PlanError::Periods { found: longest, agreed });
    }
    if agreed > MAX_STEPS {
        return Err(PlanError::TooManySteps { steps: agreed });
    }
    let period = |period: usize| {
        let tells = |bank: &L| bank.as_ref().get(period).copied().unwrap_or(0);
        let by_bank = activity.iter().map(tells).collect();
        let period = PeriodActivity { period, by_bank, counted: false };
        // A period of which nobody tells anything never counts.
        let counted = period.least() >= u64::from(settings.least_activity.max(1));
        PeriodActivity { counted, ..period }
    };
    Ok((0..agreed).map(period).collect())
}

/// [`agree`] where all banks' networks are at hand.
///
/// # Errors
/// As [`agree`].
pub fn among(networks: &[Network], settings: &Settings) -> Result<Vec<PeriodActivity>, PlanError> {
    let activity: Vec<Vec<u8>> = networks.iter().map(Network::activity).collect();
    agree(&activity, settings)
}

/// For each period, whether the run takes it: the form of [`NetworkSizes`](crate::NetworkSizes).
#[must_use]
pub fn counted(periods: &[PeriodActivity]) -> Vec<bool> {
    periods.iter().map(|period| period.counted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::activity_of;

    #[test]
    fn told_to_within_a_factor_of_two() {
        for (pairs, bits) in
            [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1023, 10), (1024, 11), (usize::MAX, 64)]
        {
            assert_eq!(activity_of(pairs), bits);
            let period = PeriodActivity { period: 0, by_bank: vec![bits], counted: true };
            let pairs = pairs as u64;
            assert!(period.least() <= pairs && pairs <= period.most(), "{pairs} {period:?}");
            assert_eq!(period.ranges().collect::<Vec<_>>(), [(period.least(), period.most())]);
        }
    }

    #[test]
    fn a_period_counts_from_the_agreed_activity_on() {
        let told = [vec![3, 0, 1], vec![2], vec![1, 0]];
        let counted = |least_activity| {
            let settings = Settings { least_activity, ..Settings::default() };
            super::counted(&agree(&told, &settings).unwrap())
        };
        // 4 + 2 + 1, nothing, 1.
        assert_eq!(counted(0), [true, false, true]);
        assert_eq!(counted(1), [true, false, true]);
        assert_eq!(counted(2), [true, false, false]);
        assert_eq!(counted(7), [true, false, false]);
        assert_eq!(counted(8), [false, false, false]);
        let all = agree(&told, &Settings::default()).unwrap();
        assert_eq!(all[0].by_bank, [3, 2, 1]);
        assert_eq!((all[0].least(), all[0].most(), all[2].by_bank.len()), (7, 11, 3));
    }

    #[test]
    fn the_number_of_periods_can_be_agreed() {
        let agree =
            |periods| super::agree(&[vec![1, 0], vec![]], &Settings { periods, ..Settings::default() });
        assert_eq!(agree(None).unwrap().len(), 2);
        assert_eq!(agree(Some(5)).unwrap().len(), 5);
        assert_eq!(agree(Some(1)), Err(PlanError::Periods { found: 2, agreed: 1 }));
        assert_eq!(agree(Some(u32::MAX)), Err(PlanError::TooManySteps { steps: u32::MAX as usize }));
    }

    #[test]
    fn nothing_told_overflows() {
        let told = [vec![u8::MAX], vec![64], vec![64]];
        let all = agree(&told, &Settings { least_activity: u32::MAX, ..Settings::default() }).unwrap();
        assert_eq!((all[0].least(), all[0].most(), all[0].counted), (u64::MAX, u64::MAX, true));
    }
}
