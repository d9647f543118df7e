//! The noise of evaluations, measured and compared with the plan.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::model::*;
use crate::quantized::QuantizedModel;
use crate::schema::{Feature, Grid, Schema};
use crate::{ClientKey, Verdict};

/// A complete tree of the given depth over random features and thresholds; leaves give `outputs` random weights.
fn tree(rng: &mut ChaCha20Rng, depth: u32, features: usize, outputs: usize) -> Tree {
    let splits = (1usize << depth) - 1;
    let nodes = (0..2 * splits + 1).map(|index| {
        if index < splits {
            let feature = rng.random_range(0..features);
            let threshold = f64::from(rng.random_range(1..255));
            Node::Split {
                feature,
                rule: Rule::LessOrEqual,
                threshold,
                left: 2 * index + 1,
                right: 2 * index + 2,
            }
        } else {
            Node::leaf_of(&(0..outputs).map(|_| rng.random_range(0.0..1.0)).collect::<Vec<_>>())
        }
    });
    Tree::new(nodes.collect())
}

fn evaluator(
    rng: &mut ChaCha20Rng,
    set: ParameterSet,
    trees: usize,
    depth: u32,
    outputs: usize,
) -> Evaluator {
    let trees = (0..trees).map(|_| tree(rng, depth, 4, outputs)).collect();
    evaluator_of(set, trees, outputs, 512)
}

fn evaluator_of(set: ParameterSet, trees: Vec<Tree>, outputs: usize, span: u32) -> Evaluator {
    let names: Vec<String> = (0..4).map(|feature| format!("x{feature}")).collect();
    let grid = Grid::Uniform { low: 0.0, high: 256.0, bits: 8 };
    let features = names.iter().map(|name| Feature::numeric(name.clone(), grid.clone())).collect();
    let schema = Schema::new(features, vec![], Precision::Double).unwrap().with_span(span).unwrap();
    let model = Model::new(ModelParts {
        task: Task::Regression,
        kind: Kind::RandomForest,
        features: names,
        precision: Precision::Double,
        trees,
        aggregate: Aggregate::Average,
        base: vec![0.0; outputs],
        post_transform: PostTransform::None,
        decision_threshold: 0.0,
        missing: None,
    });
    let quantized = QuantizedModel::with_leaf_bits(&model.unwrap(), &schema, 8).unwrap();
    Evaluator::new(quantized, set).unwrap()
}

/// The same tree with leaves of 0 and 1: one bit of payload, exact whatever the resolution.
fn narrow(tree: &Tree) -> Tree {
    let nodes = tree.nodes().iter().enumerate().map(|(index, node)| match node {
        Node::Leaf { .. } => Node::leaf(0, (index & 1) as f64),
        split => split.clone(),
    });
    Tree::new(nodes.collect())
}

/// The payloads that a verdict's sums are written as; with one digit they are the sums.
fn payloads(verdict: &Verdict, plan: &EvaluationPlan) -> Vec<u64> {
    assert_eq!(plan.coding.digits, 1);
    verdict.sums().iter().map(|sum| sum << (64 - plan.payload_bits)).collect()
}

/// The trees' noise and the answer's, for one row, as fractions of the torus.
fn errors(
    evaluator: &Evaluator,
    key: &ClientKey,
    prepared: Option<&PreparedKey>,
    rng: &mut ChaCha20Rng,
) -> (Vec<f64>, Vec<f64>) {
    let row: Vec<f64> = (0..4).map(|_| rng.random_range(0.0..256.0)).collect();
    let query = key.encrypt(evaluator.model().schema(), &row, rng).unwrap();
    let expected = payloads(&evaluator.model().predict(&row).unwrap(), evaluator.plan());
    let mut state = State::default();
    evaluator.run(&query, prepared, &mut state).unwrap();
    let shape = &evaluator.layout.shape;
    let fraction = |error: u64| error.cast_signed() as f64 / 2f64.powi(64);
    let (masks, body) = state.sum.split_at(shape.key_len());
    let trees = expected.iter().enumerate().map(|(slot, payload)| {
        let position = slot * evaluator.plan.spacing;
        let phase = body[position].wrapping_sub(key.secret().inner_coefficient(masks, position));
        fraction(phase.wrapping_sub(*payload))
    });
    let trees = trees.collect();
    let answer = evaluator.finish(&query, &mut state, &mut NoiseSource::new(rng));
    let answers = expected.iter().enumerate().map(|(slot, payload)| {
        let inner = key.secret().inner_coefficient(&answer.masks, slot * answer.spacing);
        fraction(answer.bodies[slot].wrapping_sub(inner).wrapping_sub(*payload))
    });
    (trees, answers.collect())
}

fn deviation(errors: &[f64]) -> f64 {
    (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt()
}

#[test]
fn measured_noise_stays_within_the_plan() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    // A threshold of many ones: its products follow one another on the same ciphertext, where a bias would add up.
    let ones = Tree::new(vec![
        Node::Split { feature: 0, rule: Rule::LessOrEqual, threshold: 255.0, left: 1, right: 2 },
        Node::leaf(0, 0.0),
        Node::leaf(0, 1.0),
    ]);
    let evaluators = [
        evaluator(&mut rng, ParameterSet::Standard, 1, 1, 1),
        evaluator(&mut rng, ParameterSet::Standard, 1, 5, 1),
        evaluator(&mut rng, ParameterSet::LowNoise, 1, 5, 1),
        evaluator(&mut rng, ParameterSet::LowNoise, 12, 4, 1),
        evaluator(&mut rng, ParameterSet::LowNoise, 12, 3, 2),
        evaluator_of(ParameterSet::SmallQuery, vec![narrow(&tree(&mut rng, 5, 4, 1))], 1, 512),
        evaluator_of(ParameterSet::Standard, vec![ones.clone()], 1, 0),
        evaluator_of(ParameterSet::LowNoise, vec![ones], 1, 0),
    ];
    for evaluator in &evaluators {
        let (plan, set) = (evaluator.plan(), evaluator.parameters());
        let (mut tree_errors, mut answer_errors) = (vec![], vec![]);
        for _ in 0..5 {
            let key = ClientKey::generate(set, &mut rng);
            let prepared = key.conversion_key(&mut rng).map(|key| key.prepare());
            for _ in 0..25 {
                let (trees, answers) = errors(evaluator, &key, prepared.as_ref(), &mut rng);
                tree_errors.extend(trees);
                answer_errors.extend(answers);
            }
        }
        let measured = deviation(&tree_errors).log2();
        // The plan is a bound: paths and selectors are taken at their worst. 125 samples are off by 2^0.2 at most.
        assert!(measured < plan.noise_log2 + 0.2, "{plan}: measured 2^{measured:.2}");
        assert!(measured > plan.noise_log2 - 2.5, "{plan}: measured 2^{measured:.2}");
        let margin = (-f64::from(plan.payload_bits) - 1.0).exp2();
        let flooding = plan.flooding_log2.exp2();
        let rest = answer_errors.iter().map(|error| error.abs()).fold(0.0, f64::max) - flooding;
        assert!(rest < 5.0 * plan.answer_noise_log2.exp2() && rest < margin - flooding);
        // Uniform flooding has a deviation of its bound over √3.
        assert!(deviation(&answer_errors) > flooding / 2.2);
    }
}

#[test]
fn plans_fail_rarely_enough_or_are_refused() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    for (set, trees, depth) in
        [(ParameterSet::Standard, 1, 9), (ParameterSet::Standard, 30, 6), (ParameterSet::LowNoise, 60, 6)]
    {
        let evaluator = evaluator(&mut rng, set, trees, depth, 1);
        let plan = evaluator.plan();
        assert!(plan.failure_log2 <= FAILURE_LOG2, "{plan}");
        // Linear splits are the bottom level, if the payload leaves room for them.
        let splits = plan.linear_splits + plan.product_splits;
        assert_eq!(splits, evaluator.model().splits());
        assert!(plan.linear_splits == 0 || plan.payload_coefficients == 1);
    }
    // One tree after another copies the same noise: it adds up as amplitudes, and at some point is too much.
    let tree = tree(&mut rng, 6, 4, 1);
    let one = evaluator(&mut rng, ParameterSet::Standard, 1, 6, 1);
    let parts = |count: usize| ModelParts {
        task: Task::Regression,
        kind: Kind::RandomForest,
        features: (0..4).map(|feature| format!("x{feature}")).collect(),
        precision: Precision::Double,
        trees: vec![tree.clone(); count],
        aggregate: Aggregate::Sum,
        base: vec![0.0],
        post_transform: PostTransform::None,
        decision_threshold: 0.0,
        missing: None,
    };
    let plan = |count: usize| {
        let quantized =
            QuantizedModel::with_leaf_bits(&Model::new(parts(count)).unwrap(), one.model().schema(), 1)
                .unwrap();
        Evaluator::new(quantized, ParameterSet::Standard).map(|evaluator| evaluator.plan().clone())
    };
    let (single, copies) = (plan(1).unwrap().noise_log2, plan(8).unwrap().noise_log2);
    assert!((copies - single - 3.0).abs() < 0.1, "{single} {copies}");
    assert!(matches!(plan(3_000), Err(crate::Error::Plan(EvaluationPlanError::TooNoisy { .. }))));
}

/// The planned variance is a bound; with `Standard` the zeros' own noise, which is rounded the most, is nearly all of it.
#[test]
fn rerandomising_adds_the_noise_that_is_planned() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for (set, least) in [(ParameterSet::Standard, 0.85), (ParameterSet::LowNoise, 0.3)] {
        let evaluator = evaluator(&mut rng, set, 1, 2, 1);
        let (shape, key) = (&evaluator.layout.shape, ClientKey::generate(set, &mut rng));
        let mut errors = Vec::new();
        for seed in 0..4 {
            let query = key.encrypt(evaluator.model().schema(), &[0.0; 4], &mut rng).unwrap();
            let source = || NoiseSource::new(&mut ChaCha20Rng::seed_from_u64(seed));
            let (mut sum, mut drawn) = (vec![0u64; shape.glwe_len()], source());
            evaluator.rerandomise(&query, &State::default(), &mut drawn, &mut sum);
            let (masks, body) = sum.split_at(shape.key_len());
            errors.extend(body.iter().enumerate().map(|(position, body)| {
                let phase = body.wrapping_sub(key.secret().inner_coefficient(masks, position));
                phase.cast_signed() as f64 / 2f64.powi(64)
            }));
            // Fresh noise on masks and body is of the size of the transform's rounding and cannot be told from it: that it
            // is drawn shows in what is drawn next.
            let mut expected = source();
            expected.bits(&mut vec![0; shape.key_len()]);
            expected.add(&mut vec![0; shape.glwe_len()], shape.noise_log2);
            assert_eq!(drawn.uniform(1 << 60), expected.uniform(1 << 60));
        }
        let ratio = deviation(&errors) / plan::rerandomisation_variance(shape).sqrt();
        assert!((least..1.05).contains(&ratio), "{set:?}: {ratio}");
    }
}

/// The noise of the longest path counts: every split of a chain adds that of its product.
#[test]
fn a_chain_of_splits_is_as_noisy_as_it_is_long() {
    let chain = |splits: usize| {
        let mut nodes: Vec<Node> = (0..splits)
            .map(|index| Node::Split {
                feature: index % 4,
                rule: Rule::LessOrEqual,
                // 126: a threshold without trailing ones, so that each split takes eight products.
                threshold: 127.0 - 8.0 * (index / 4) as f64,
                left: index + 1,
                right: splits + 1 + index,
            })
            .collect();
        // The last split's leaves differ.
        nodes.extend(
            (0..=splits).map(|index| Node::leaf(0, if index == 0 { 1.0 } else { (index % 2) as f64 })),
        );
        evaluator_of(ParameterSet::Standard, vec![Tree::new(nodes)], 1, 0).plan().clone()
    };
    let (short, long) = (chain(2), chain(8));
    assert_eq!((short.product_splits, long.product_splits), (2, 8));
    assert_eq!((short.external_products, long.external_products), (16, 64));
    // Four times the variance: twice the deviation.
    assert!((long.noise_log2 - short.noise_log2 - 1.0).abs() < 0.01, "{short} {long}");
}

#[test]
fn a_conversion_key_of_another_set_is_refused() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let evaluator = evaluator(&mut rng, ParameterSet::Standard, 1, 2, 1);
    let small = ClientKey::generate(ParameterSet::SmallQuery, &mut rng);
    let prepared = small.conversion_key(&mut rng).unwrap().prepare();
    let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
    let query = key.encrypt(evaluator.model().schema(), &[0.0; 4], &mut rng).unwrap();
    let refused = evaluator.evaluate_with(&prepared, &query, &mut rng).unwrap_err();
    assert!(matches!(refused, crate::Error::Query(QueryError::Parameters)), "{refused}");
}

/// What must hold inside is checked where a break would otherwise give some other verdict.
#[test]
fn a_broken_invariant_is_an_error_and_no_verdict() {
    use crate::Error;
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let mut fails = |set: ParameterSet, span: u32, damage: fn(&mut Evaluator)| {
        let trees = vec![tree(&mut rng, 3, 4, 1)];
        let mut evaluator = evaluator_of(set, trees, 1, span);
        let key = ClientKey::generate(set, &mut rng);
        let prepared = key.conversion_key(&mut rng).map(|key| key.prepare());
        let query = key.encrypt(evaluator.model().schema(), &[7.0; 4], &mut rng).unwrap();
        let prepared = prepared.as_ref();
        assert!(evaluator.evaluate_batch(prepared, std::slice::from_ref(&query), &mut rng).is_ok());
        damage(&mut evaluator);
        evaluator.states = Mutex::default();
        let result = evaluator.evaluate_batch(prepared, &[query], &mut rng);
        assert!(matches!(result, Err(Error::Internal { .. })), "{set:?} {span}: {result:?}");
    };
    use ParameterSet::{SmallQuery, Standard};
    fails(Standard, 0, |evaluator| evaluator.program.used_bits.clear());
    fails(Standard, 512, |evaluator| evaluator.program.used_monomials.clear());
    fails(SmallQuery, 512, |evaluator| evaluator.program.used_monomials.clear());
    fails(Standard, 0, |evaluator| {
        evaluator.program.levels.remove(0);
    });
    fails(SmallQuery, 512, |evaluator| {
        evaluator.program.levels[0][0].selector = Some(usize::MAX);
    });
}
