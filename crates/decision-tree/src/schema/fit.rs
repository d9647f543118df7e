//! Grids that fit a model and sample rows, and what a grid loses of a model's thresholds.

use super::grid::{check_bits, midway, quantile_gaps};
use super::{Feature, FeatureKind, Grid, MissingCell, Schema, SchemaError};
use crate::model::{Model, ModelError, Node, Precision, Rule};

/// What a schema's grid loses of a model's thresholds on one feature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeatureLoss {
    /// Name of the feature.
    pub feature: String,
    /// Number of distinct thresholds on the feature.
    pub thresholds: usize,
    /// Number of thresholds that the grid decides exactly, for every value that the feature can have.
    pub exact: usize,
    /// Number of thresholds that move, with no sample row in between.
    pub moved: usize,
    /// Number of thresholds that move across sample rows.
    pub lossy: usize,
    /// Number of sample rows that at least one threshold moves across.
    pub rows: usize,
}

impl FeatureLoss {
    /// Whether every row of the sample takes the same branches as before.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.lossy == 0
    }
}

impl std::fmt::Display for FeatureLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { feature, thresholds, exact, moved, lossy, rows } = self;
        write!(f, "{feature}: {thresholds} thresholds, {exact} exact, {moved} moved between sample rows")?;
        if *lossy > 0 {
            write!(f, ", {lossy} moved across {rows} sample rows")?;
        }
        Ok(())
    }
}

impl Schema {
    /// A schema for the verdicts of `model` whose grids lose as little of it as `bits` allow ([`super::DEFAULT_BITS`] where nobody
    /// chooses).
    ///
    /// If a feature has at most 2^`bits` − 1 thresholds, all of them are edges of its grid, and the grid decides exactly for every
    /// row. The other edges are quantiles of the sample rows. If a feature has more thresholds, those that no or few sample
    /// rows lie between share an edge. [`Self::losses`] says what that costs, and [`crate::QuantizedModel::fitted`] puts the model on
    /// the grid. A feature that the model does not read is not sent. A feature that some sample row lacks has a cell for the missing value.
    ///
    /// ```
    /// use subrosa_decision_tree::schema::{DEFAULT_BITS, Schema};
    /// use subrosa_decision_tree::{Model, Node, QuantizedModel};
    ///
    /// let nodes = vec![Node::split(1, 30.0, 1, 2), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
    /// let model = Model::classifier(["online", "amount"], ["genuine", "fraud"], nodes)?;
    /// let rows = [[0.0, 12.5], [1.0, 80.0], [1.0, 7.0]];
    /// let schema = Schema::fit(&model, &rows, DEFAULT_BITS)?;
    /// assert!(schema.losses(&model, &rows)?.iter().all(|loss| loss.exact == loss.thresholds));
    /// let quantized = QuantizedModel::fitted(&model, &schema, &rows)?;
    /// assert_eq!(quantized.predict(&[0.0, 30.0])?.class(), Some(0));
    /// assert_eq!(quantized.predict(&[0.0, 30.000001])?.class(), Some(1));
    /// # Ok::<(), subrosa_decision_tree::Error>(())
    /// ```
    ///
    /// # Security
    /// The schema is public. Its edges are the model's thresholds, hidden only among edges that follow the distribution of the sample
    /// rows. [`Self::fit_rows`] reveals nothing of the thresholds.
    ///
    /// # Errors
    /// [`SchemaError::Count`] without rows, [`SchemaError::RowLength`] and [`ModelError::NotANumber`] for a row that does not fit the
    /// model, [`SchemaError::Grid`] for bits outside 1..=11, otherwise as [`Self::new`].
    pub fn fit<R: AsRef<[f64]>>(model: &Model, rows: &[R], bits: u32) -> crate::Result<Self> {
        Self::fit_with(model, rows, bits, |values, thresholds, strict, most| {
            let precision = model.parts().precision;
            if values.iter().all(|value| [0.0, 1.0].contains(value)) && matches!(thresholds, [] | [0.5]) {
                return Ok(None);
            }
            if thresholds.is_empty() {
                return single_edge(values).map(Some);
            }
            let edges = if thresholds.len() <= most {
                with_quantiles(thresholds, values, most, strict.then_some(precision))
            } else {
                merged(thresholds, &Samples::of_sorted(values), most)
            };
            Ok(Some(Grid::Edges(edges)))
        })
    }

    /// A schema for the verdicts of `model` whose grids follow sample rows alone: one bit for a feature that is 0 or 1 in all of
    /// them, otherwise cells that hold about equally many rows, at most 2^`bits`. A feature that the model does not read is not sent.
    ///
    /// # Security
    /// The schema is public, and its edges tell how the sample rows are distributed. They tell nothing of the model's thresholds.
    ///
    /// # Errors
    /// As [`Self::fit`].
    pub fn fit_rows<R: AsRef<[f64]>>(model: &Model, rows: &[R], bits: u32) -> crate::Result<Self> {
        Self::fit_with(model, rows, bits, |values, _, _, most| {
            let finite = |value: &&f64| value.is_finite();
            let first = values.iter().find(finite).copied().unwrap_or(0.0);
            if values.iter().all(|value| [0.0, 1.0].contains(value)) {
                Ok(None)
            } else if values.iter().filter(finite).all(|value| *value == first) {
                single_edge(values).map(Some)
            } else {
                let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
                let edges = with_quantiles(&[], &finite, most, None);
                Ok(Some(Grid::Edges(edges)))
            }
        })
    }

    /// `grid` gives the grid of a feature from its sorted values, its distinct thresholds, whether its model compares strictly, and the
    /// greatest number of edges; `None` for 0 or 1.
    fn fit_with<R: AsRef<[f64]>>(
        model: &Model,
        rows: &[R],
        bits: u32,
        grid: impl Fn(&[f64], &[f64], bool, usize) -> crate::Result<Option<Grid>>,
    ) -> crate::Result<Self> {
        check_bits(bits)?;
        let samples = Samples::read(model, rows)?;
        let thresholds = thresholds(model);
        let rules = model.trees().iter().flat_map(|tree| tree.nodes()).filter_map(Node::rule);
        let strict = rules.clone().filter(|rule| rule.is_strict()).count() * 2 > rules.count();
        let cells = missing_cells(model, &samples);
        let mut read = model.reads();
        if !read.contains(&true) {
            // A query must have something to hold.
            read.iter_mut().take(1).for_each(|read| *read = true);
        }
        let features = model.features().iter().zip(&samples).zip(thresholds.iter().zip(cells));
        let features = features
            .enumerate()
            .map(|(index, ((name, samples), (thresholds, cell)))| {
                let most = (1usize << bits) - 1 - usize::from(samples.missing);
                if thresholds.is_empty() && !read[index] {
                    return Ok(Feature::unread(name));
                }
                let feature = match grid(&samples.values, thresholds, strict, most.max(1))? {
                    None => Feature::binary(name),
                    Some(grid) => Feature::numeric(name, grid),
                };
                Ok(feature.with_missing(cell))
            })
            .collect::<crate::Result<_>>()?;
        Self::for_model(model, features)
    }

    /// What this schema loses of the thresholds of `model`, feature by feature, when [`crate::QuantizedModel::fitted`] places
    /// them by `rows`.
    ///
    /// # Errors
    /// [`SchemaError::RowLength`] and [`ModelError::NotANumber`] for a row that does not fit the model, [`SchemaError::Count`] without
    /// rows or where model and schema have different features.
    pub fn losses<R: AsRef<[f64]>>(&self, model: &Model, rows: &[R]) -> crate::Result<Vec<FeatureLoss>> {
        let (count, limit) = (model.features().len(), self.features().len());
        if count != limit {
            return Err(SchemaError::Count { what: "features of the model", count, limit }.into());
        }
        let samples = Samples::read(model, rows)?;
        let thresholds = thresholds(model);
        self.features()
            .iter()
            .enumerate()
            .zip(samples.iter().zip(&thresholds))
            .map(|((index, feature), (samples, thresholds))| self.loss(index, feature, samples, thresholds))
            .collect()
    }

    fn loss(
        &self,
        index: usize,
        feature: &Feature,
        samples: &Samples,
        thresholds: &[f64],
    ) -> crate::Result<FeatureLoss> {
        let mut loss = FeatureLoss {
            feature: feature.name.clone(),
            thresholds: thresholds.len(),
            exact: 0,
            moved: 0,
            lossy: 0,
            rows: 0,
        };
        let edges = self.edges.get(index).map_or(&[][..], Vec::as_slice);
        // How many thresholds begin and end to move across each sorted row.
        let mut crossings = vec![0i64; samples.values.len() + 1];
        for &threshold in thresholds {
            let whole = match feature.kind {
                FeatureKind::Binary | FeatureKind::Unread => true,
                FeatureKind::Numeric(Grid::Integers { .. }) => true,
                FeatureKind::Numeric(_) => false,
            };
            if whole || edges.binary_search_by(|edge| edge.total_cmp(&threshold)).is_ok() {
                loss.exact += 1;
                continue;
            }
            let cell = self.place(index, threshold, samples)?;
            let edge = match usize::try_from(cell) {
                Ok(cell) => edges.get(cell).copied().unwrap_or(f64::INFINITY),
                Err(_) => f64::NEG_INFINITY,
            };
            let (from, to) = (samples.up_to(threshold.min(edge)), samples.up_to(threshold.max(edge)));
            if from == to {
                loss.moved += 1;
            } else {
                loss.lossy += 1;
                crossings[from] += 1;
                crossings[to] -= 1;
            }
        }
        let mut open = 0;
        for crossing in crossings {
            open += crossing;
            loss.rows += usize::from(open > 0);
        }
        Ok(loss)
    }

    /// The cell t for which "cell ≤ t" misplaces the fewest samples of "value ≤ `threshold`", the nearest edge among equals: −1 where no
    /// cell is, 2^bits − 1 where every cell is.
    pub(crate) fn place(&self, feature: usize, threshold: f64, samples: &Samples) -> crate::Result<i32> {
        let nearest = self.snap(feature, threshold)?;
        let Some((FeatureKind::Numeric(grid), edges)) =
            self.features().get(feature).map(|feature| &feature.kind).zip(self.edges.get(feature))
        else {
            return Ok(nearest);
        };
        if matches!(grid, Grid::Integers { .. }) {
            return Ok(nearest);
        }
        let above = edges.partition_point(|edge| *edge < threshold);
        let wanted = samples.up_to(threshold);
        let upper = edges.get(above).map_or(samples.values.len(), |edge| samples.up_to(*edge)) - wanted;
        let below = above.checked_sub(1).and_then(|index| edges.get(index));
        let lower = wanted - below.map_or(0, |edge| samples.up_to(*edge));
        let place = "place: a grid has more than 2^31 edges";
        let above = i32::try_from(above).map_err(|_| crate::Error::Internal { place })?;
        Ok(match upper.cmp(&lower) {
            std::cmp::Ordering::Less => above,
            std::cmp::Ordering::Greater => above - 1,
            std::cmp::Ordering::Equal => nearest,
        })
    }
}

/// The sorted values of one feature in sample rows, as the model reads them.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    values: Vec<f64>,
    /// Whether some row lacks the value.
    missing: bool,
}

impl Samples {
    /// The samples of every feature of a model.
    pub(crate) fn read<R: AsRef<[f64]>>(model: &Model, rows: &[R]) -> crate::Result<Vec<Self>> {
        if rows.is_empty() {
            return Err(SchemaError::Count { what: "sample rows", count: 0, limit: usize::MAX }.into());
        }
        let expected = model.features().len();
        let mut samples = vec![Self { values: Vec::with_capacity(rows.len()), missing: false }; expected];
        for row in rows {
            let row = row.as_ref();
            if row.len() != expected {
                return Err(SchemaError::RowLength { got: row.len(), expected }.into());
            }
            for (feature, (value, samples)) in row.iter().zip(&mut samples).enumerate() {
                let value = model.read(*value);
                match (value.is_nan(), model.takes_missing(feature)) {
                    (false, _) => samples.values.push(value),
                    (true, true) => samples.missing = true,
                    (true, false) => return Err(ModelError::NotANumber { feature }.into()),
                }
            }
        }
        for samples in &mut samples {
            samples.values.sort_by(f64::total_cmp);
        }
        Ok(samples)
    }

    fn of_sorted(values: &[f64]) -> Self {
        Self { values: values.to_vec(), missing: false }
    }

    /// How many samples are at most `threshold`.
    fn up_to(&self, threshold: f64) -> usize {
        self.values.partition_point(|value| *value <= threshold)
    }
}

/// E2: the threshold t′ for which x ≤ t′ says the same as the rule does, of every x that can occur.
pub(crate) fn at_most(rule: Rule, threshold: f64, precision: Precision) -> f64 {
    match (rule.is_strict(), precision) {
        (false, _) => threshold,
        (true, Precision::Double) => threshold.next_down(),
        (true, Precision::Single) => {
            #[allow(clippy::cast_possible_truncation)] // rounding to f32 is the purpose
            let single = threshold as f32;
            f64::from(if f64::from(single) < threshold { single } else { single.next_down() })
        }
    }
}

/// The distinct thresholds of each feature, sorted, as those of x ≤ t.
fn thresholds(model: &Model) -> Vec<Vec<f64>> {
    let mut found = vec![Vec::new(); model.features().len()];
    for node in model.trees().iter().flat_map(|tree| tree.nodes()) {
        if let Node::Split { feature, rule, threshold, .. } = node
            && *rule != Rule::Missing
            && let Some(found) = found.get_mut(*feature)
        {
            found.push(at_most(*rule, *threshold, model.parts().precision));
        }
    }
    for found in &mut found {
        found.retain(|threshold| threshold.is_finite());
        // 0 and −0 are one edge.
        found.iter_mut().for_each(|threshold| *threshold += 0.0);
        found.sort_by(f64::total_cmp);
        found.dedup();
    }
    found
}

/// For each feature that some sample lacks a cell for the missing value, on the side to which more splits send it.
fn missing_cells(model: &Model, samples: &[Samples]) -> Vec<MissingCell> {
    let mut balance = vec![0i64; samples.len()];
    for node in model.trees().iter().flat_map(|tree| tree.nodes()) {
        if let Node::Split { feature, rule, .. } = node
            && let (Some(balance), Some(left)) = (balance.get_mut(*feature), rule.missing_goes_left())
        {
            *balance += if left { 1 } else { -1 };
        }
    }
    let cell = |(samples, balance): (&Samples, i64)| match (samples.missing, balance) {
        (false, _) => MissingCell::Refused,
        (true, 1..) => MissingCell::First,
        (true, _) => MissingCell::Last,
    };
    samples.iter().zip(balance).map(cell).collect()
}

/// A grid that tells what is above the least value seen from the rest.
fn single_edge(values: &[f64]) -> crate::Result<Grid> {
    let first = values.iter().copied().find(|value| value.is_finite()).unwrap_or(0.0);
    Ok(Grid::Edges(vec![first]))
}

/// The thresholds and, up to `most` edges, quantiles of the values where no threshold lies. `strict` is the precision of a model that
/// compares strictly: its thresholds stand just below values, and so do the edges added.
fn with_quantiles(thresholds: &[f64], values: &[f64], most: usize, strict: Option<Precision>) -> Vec<f64> {
    let mut edges = thresholds.to_vec();
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let free: Vec<f64> = quantile_gaps(&finite, most + 1)
        .into_iter()
        .filter(|(below, above)| {
            thresholds.get(thresholds.partition_point(|t| t < below)).is_none_or(|t| t >= above)
        })
        .map(|(below, above)| match strict {
            Some(precision) => at_most(Rule::Less, above, precision).max(below),
            None => midway(below, above),
        })
        .collect();
    let room = most.saturating_sub(edges.len()).min(free.len());
    edges.extend((0..room).filter_map(|index| free.get(index * free.len() / room)));
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    edges
}

/// At most `most` of the thresholds, such that few samples lie between a threshold and the edge that stands for it: the least bound
/// on that number for which runs of thresholds with at most so many samples inside are few enough.
fn merged(thresholds: &[f64], samples: &Samples, most: usize) -> Vec<f64> {
    let ranks: Vec<usize> = thresholds.iter().map(|threshold| samples.up_to(*threshold)).collect();
    let runs = |bound: usize| -> Vec<&[usize]> {
        let mut runs = Vec::new();
        let mut rest = &ranks[..];
        while let Some(first) = rest.first() {
            let (run, behind) = rest.split_at(rest.partition_point(|rank| *rank <= first + bound));
            runs.push(run);
            rest = behind;
        }
        runs
    };
    let (mut low, mut high) = (0, samples.values.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if runs(middle).len() <= most { high = middle } else { low = middle + 1 }
    }
    let mut edges = Vec::with_capacity(most);
    let mut start = 0;
    for run in runs(low) {
        let end = start + run.len();
        // The middle one by samples.
        let wanted = run.first().zip(run.last()).map_or(0, |(first, last)| first + (last - first) / 2);
        let nearest = (start..end).min_by_key(|&index| ranks[index].abs_diff(wanted));
        edges.extend(nearest.map(|index| thresholds[index]));
        start = end;
    }
    edges
}
