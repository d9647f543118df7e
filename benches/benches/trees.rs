//! Encrypted decision trees: client and server, by model size and parameter set.
//!
//! Times are medians of CPU time on one thread, and of wall time on two, which other processes disturb.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs, reason = "a bench")]

use std::hint::black_box;
use std::time::Instant;

use cpu_time::ProcessTime;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use subrosa_benches::{median, rng};
use subrosa_decision_tree::model::{
    Aggregate, Kind, ModelParts, Node, PostTransform, Precision, Rule, Task, Tree,
};
use subrosa_decision_tree::schema::{Feature, Grid};
use subrosa_decision_tree::{
    ClientKey, ConversionKey, Evaluator, Model, ParameterSet, QuantizedModel, Schema,
};

const ROUNDS: usize = 31;

fn main() {
    // CPU time counts the whole process: the one-threaded measurements stay on this thread.
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().unwrap();
    let two = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    println!("\n## Encrypted decision trees\n");
    println!(
        "| model | set | products | linear | encrypt | evaluate, 1 thread | target | 2 threads | target | decrypt | query | answer |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let card = Shape { bits: &[10, 10, 10, 1, 1, 1, 1], trees: 1, splits: 25, depth: 7 };
    let large = Shape { bits: &[10, 10, 10, 1, 1, 1, 1], trees: 1, splits: 200, depth: 10 };
    let forest = Shape { bits: &[8; 10], trees: 50, splits: 32, depth: 6 };
    for set in [ParameterSet::Standard, ParameterSet::LowNoise] {
        let reach = |one, two| (set == ParameterSet::Standard).then_some((one, two));
        measure("card-fraud tree: 7 features, 25 splits, depth 7", &card, set, reach(4.0, 2.0), &one, &two);
        measure("tree of 200 splits, depth 10", &large, set, reach(20.0, 10.0), &one, &two);
        measure("forest of 50 trees, 1,600 splits, depth 6", &forest, set, reach(60.0, 40.0), &one, &two);
    }
    let set = ParameterSet::SmallQuery;
    measure("card-fraud tree: 7 features, 25 splits, depth 7", &card, set, None, &one, &two);
    measure("tree of 200 splits, depth 10", &large, set, None, &one, &two);
    println!("\nConversion key of `SmallQuery`: {} KB", ConversionKey::size(set) / 1_000);
    sorting_hat(&one, &two);
}

/// Trees with the shapes of the models that `SortingHat`'s implementation (CCS 2022) comes with, beside the times that it
/// took for them where we ran it, on another machine. Random trees of the same splits, depth, features and bits.
fn sorting_hat(one: &rayon::ThreadPool, two: &rayon::ThreadPool) {
    println!("\n## Shapes of SortingHat's models\n");
    let shapes = [
        ("breast: 30 features, 16 splits, depth 7", &[11; 30][..], 16, 7, 253.0),
        ("spam: 57 features, 57 splits, depth 16", &[11; 57][..], 57, 16, 831.0),
        ("heart: 13 features, 4 splits, depth 3", &[11; 13][..], 4, 3, 63.0),
        ("steel: 33 features, 5 splits, depth 5", &[11; 33][..], 5, 5, 62.0),
    ];
    println!("Reach: a tenth of SortingHat's 253, 831, 63 and 62 ms on one thread.\n");
    println!(
        "| model | set | products | linear | encrypt | evaluate, 1 thread | target | 2 threads | target | decrypt | query | answer |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (name, bits, splits, depth, theirs) in shapes {
        let shape = Shape { bits, trees: 1, splits, depth };
        let reach = Some((theirs / 10.0, theirs / 10.0));
        measure(name, &shape, ParameterSet::Standard, reach, one, two);
    }
}

struct Shape {
    /// Bits of each feature.
    bits: &'static [u32],
    trees: usize,
    splits: usize,
    depth: usize,
}

fn measure(
    name: &str,
    shape: &Shape,
    set: ParameterSet,
    reach: Option<(f64, f64)>,
    one: &rayon::ThreadPool,
    two: &rayon::ThreadPool,
) {
    let mut rng = rng(1);
    let evaluator = Evaluator::new(model(shape, &mut rng), set).unwrap();
    let schema = evaluator.model().schema().clone();
    let key = ClientKey::generate(set, &mut rng);
    let row: Vec<f64> = shape.bits.iter().map(|bits| f64::from(rng.next_u32() >> (32 - bits))).collect();
    let query = key.encrypt(&schema, &row, &mut rng).unwrap();
    let prepared = key.conversion_key(&mut rng).map(|key| key.prepare());
    let evaluate = |rng: &mut ChaCha20Rng| match &prepared {
        Some(prepared) => evaluator.evaluate_with(prepared, &query, rng).unwrap(),
        None => evaluator.evaluate(&query, rng).unwrap(),
    };
    let answer = evaluate(&mut rng);
    assert!(key.decrypt(&answer).unwrap() == evaluator.model().predict(&row).unwrap());

    let encrypt = cpu(|| drop(black_box(key.encrypt(&schema, &row, &mut rng))));
    let decrypt = cpu(|| drop(black_box(key.decrypt(&answer))));
    let one_thread = one.install(|| cpu(|| drop(black_box(evaluate(&mut rng)))));
    let wall = two.install(|| wall(|| drop(black_box(evaluate(&mut rng)))));
    let verdict = |measured: f64, reach: Option<f64>| match reach {
        Some(reach) => format!("≤ {reach} {}", if measured <= reach { "met" } else { "MISSED" }),
        None => "–".to_owned(),
    };
    let plan = evaluator.plan();
    println!(
        "| {name} | `{set:?}` | {} | {} | {encrypt:.2} ms | {one_thread:.2} ms | {} | {wall:.2} ms | {} | {decrypt:.3} ms | {} KB | {:.1} KB |",
        plan.external_products,
        plan.linear_splits,
        verdict(one_thread, reach.map(|reach| reach.0)),
        verdict(wall, reach.map(|reach| reach.1)),
        plan.query_bytes / 1_000,
        plan.answer_bytes as f64 / 1e3,
    );
}

/// Median CPU time in milliseconds.
fn cpu(mut job: impl FnMut()) -> f64 {
    let times = (0..ROUNDS).map(|_| {
        let start = ProcessTime::now();
        job();
        start.elapsed().as_secs_f64() * 1e3
    });
    median(times.collect())
}

/// Median wall time in milliseconds.
fn wall(mut job: impl FnMut()) -> f64 {
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        job();
        start.elapsed().as_secs_f64() * 1e3
    });
    median(times.collect())
}

/// Random trees of exactly this many splits, none of which is redundant, that vote on two classes.
fn model(shape: &Shape, rng: &mut ChaCha20Rng) -> QuantizedModel {
    let names: Vec<String> = (0..shape.bits.len()).map(|index| format!("x{index}")).collect();
    let features = names.iter().zip(shape.bits).map(|(name, &bits)| match bits {
        1 => Feature::binary(name.clone()),
        _ => Feature::numeric(name.clone(), Grid::Uniform { low: 0.0, high: f64::from(1u32 << bits), bits }),
    });
    let labels = vec!["no".to_owned(), "yes".to_owned()];
    let schema = Schema::new(features.collect(), labels.clone(), Precision::Double).unwrap();
    let trees = (0..shape.trees).map(|_| {
        let mut grower = Grower { rng: &mut *rng, bits: shape.bits, nodes: vec![], class: 0 };
        let cells = shape.bits.iter().map(|bits| (0, (1 << bits) - 1)).collect();
        grower.grow(shape.splits, shape.depth, cells);
        Tree::new(grower.nodes)
    });
    let parts = ModelParts {
        task: Task::Classification { labels },
        kind: if shape.trees == 1 { Kind::DecisionTree } else { Kind::RandomForest },
        features: names,
        precision: Precision::Double,
        trees: trees.collect(),
        aggregate: Aggregate::Votes,
        base: vec![0.0; 2],
        post_transform: PostTransform::None,
        decision_threshold: 0.0,
        missing: None,
    };
    let quantized = QuantizedModel::new(&Model::new(parts).unwrap(), &schema).unwrap();
    assert_eq!(quantized.splits(), shape.trees * shape.splits);
    quantized
}

struct Grower<'a> {
    rng: &'a mut ChaCha20Rng,
    bits: &'static [u32],
    nodes: Vec<Node>,
    class: usize,
}

impl Grower<'_> {
    /// Pushes a subtree of `splits` splits, at most `depth` deep, over what is left of the features' cells, and
    /// returns its root.
    fn grow(&mut self, splits: usize, depth: usize, cells: Vec<(u32, u32)>) -> usize {
        let index = self.nodes.len();
        if splits == 0 {
            // Neighbours differ, so that no split is redundant.
            self.class = 1 - self.class;
            self.nodes.push(Node::leaf(self.class, 1.0));
            return index;
        }
        self.nodes.push(Node::leaf(0, 0.0));
        let most = (1usize << (depth - 1)) - 1;
        let (least, most) = ((splits - 1).saturating_sub(most), most.min(splits - 1));
        let left_splits = least + self.below(most - least + 1);
        let feature = loop {
            let feature = self.below(cells.len());
            if cells[feature].0 < cells[feature].1 {
                break feature;
            }
        };
        let (low, high) = cells[feature];
        let threshold = low + self.below((high - low) as usize) as u32;
        let (mut left_cells, mut right_cells) = (cells.clone(), cells);
        left_cells[feature] = (low, threshold);
        right_cells[feature] = (threshold + 1, high);
        let left = self.grow(left_splits, depth - 1, left_cells);
        let right = self.grow(splits - 1 - left_splits, depth - 1, right_cells);
        // Cell t ends at the value t + 1; a binary feature's only edge is ½.
        let threshold = if self.bits[feature] == 1 { 0.5 } else { f64::from(threshold + 1) };
        self.nodes[index] = Node::Split { feature, rule: Rule::LessOrEqual, threshold, left, right };
        index
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u64::from(self.rng.next_u32()) * bound as u64) >> 32) as usize
    }
}
