//! What the two sides of encrypted trees decode: models, schemas, queries, answers, keys, requests and replies.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::sync::LazyLock;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

use subrosa_decision_tree::import::ImportOptions;
use subrosa_decision_tree::model::{
    Aggregate, Kind, ModelError, ModelParts, Node, PostTransform, Precision, Rule, Task, Tree,
};
use subrosa_decision_tree::schema::{Feature, Grid};
use subrosa_decision_tree::service;
use subrosa_decision_tree::{
    Answer, ClientKey, ConversionKey, Error, Evaluator, KdfCost, Model, ParameterSet, QuantizedModel, Query,
    Schema,
};
use subrosa_transport::{Deadline, Fault, PartyId, Roster, Transport, TransportError};

fn seeded(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A small tree with everything around it.
struct World {
    schema: Schema,
    evaluator: Evaluator,
    key: ClientKey,
    query: Vec<u8>,
    answer: Vec<u8>,
    conversion: Vec<u8>,
    sealed: Vec<u8>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut rng = seeded(1);
    let labels: Vec<String> = vec!["a".to_owned(), "b".to_owned()];
    let grid = Grid::Uniform { low: 0.0, high: 4.0, bits: 2 };
    let features = vec![Feature::numeric("x", grid), Feature::binary("y")];
    let schema = Schema::new(features, labels.clone(), Precision::Double).unwrap();
    let tree = vec![
        Node::Split { feature: 0, rule: Rule::Less, threshold: 2.0, left: 1, right: 2 },
        Node::leaf(0, 1.0),
        Node::Split { feature: 1, rule: Rule::Less, threshold: 0.5, left: 3, right: 4 },
        Node::leaf(1, 1.0),
        Node::leaf(0, 1.0),
    ];
    let model = Model::new(ModelParts {
        task: Task::Classification { labels },
        kind: Kind::DecisionTree,
        features: vec!["x".to_owned(), "y".to_owned()],
        precision: Precision::Double,
        trees: vec![Tree::new(tree)],
        aggregate: Aggregate::Sum,
        base: vec![0.0, 0.0],
        post_transform: PostTransform::None,
        decision_threshold: 0.0,
        missing: None,
    })
    .unwrap();
    let quantized = QuantizedModel::new(&model, &schema).unwrap();
    let evaluator = Evaluator::new(quantized, ParameterSet::Standard).unwrap();
    let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
    let query = key.encrypt(&schema, &[3.0, 1.0], &mut rng).unwrap();
    let answer = evaluator.evaluate(&query, &mut rng).unwrap().to_bytes();
    let small = ClientKey::generate(ParameterSet::SmallQuery, &mut rng);
    let conversion = small.conversion_key(&mut rng).unwrap().to_bytes();
    let sealed = key.seal(b"passphrase", KdfCost::insecure(8, 1, 1).unwrap(), &mut rng).unwrap();
    World { schema, evaluator, key, query: query.to_bytes(), answer, conversion, sealed }
});

/// `valid` with patches: place (of the first 65,536), length and bytes of each; no bytes cut it there.
fn patched(valid: &[u8], mut input: &[u8]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    while let [high, low, length, rest @ ..] = input {
        let (patch, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        let at = usize::from(u16::from_be_bytes([*high, *low])).min(bytes.len());
        if patch.is_empty() {
            bytes.truncate(at);
        }
        bytes[at..].iter_mut().zip(patch).for_each(|(byte, new)| *byte = *new);
        input = rest;
    }
    bytes
}

/// Queries, answers, conversion keys and stored keys: the first byte chooses; as they are, and valid ones with patches.
pub fn tree_messages(input: &[u8]) {
    let World { schema, evaluator, key, query, answer, conversion, sealed } = &*WORLD;
    let Some((which, input)) = input.split_first() else { return };
    let set = ParameterSet::Standard;
    match which % 4 {
        0 => {
            for bytes in [input.to_vec(), patched(query, input)] {
                if let Ok(query) = Query::from_bytes(&bytes, schema, set) {
                    assert_eq!(query.to_bytes(), bytes);
                    // Whatever a query holds, its evaluation is an answer that can be read.
                    let answer = evaluator.evaluate(&query, &mut seeded(2)).unwrap();
                    let _ = key.decrypt(&answer).unwrap();
                }
            }
        }
        1 => {
            for bytes in [input.to_vec(), patched(answer, input)] {
                if let Ok(answer) = Answer::from_bytes(&bytes, schema, set) {
                    let _ = key.decrypt(&answer);
                }
            }
        }
        2 => {
            for bytes in [input.to_vec(), patched(conversion, input)] {
                let _ = ConversionKey::from_bytes(&bytes, ParameterSet::SmallQuery);
            }
        }
        _ => {
            // Bytes that come with the right checksum by chance are not to be feared.
            let _ = ClientKey::unseal(input, b"passphrase");
            let mut bytes = patched(&sealed[..sealed.len() - 32], input);
            // What the passphrase's key costs, which takes its time by design: little, unless it is refused.
            if let Some(cost) = bytes.get_mut(16..28) {
                let number = |at: usize| u32::from_le_bytes(cost[at..at + 4].try_into().unwrap());
                if KdfCost::insecure(number(0), number(4), number(8)).is_ok() {
                    cost.copy_from_slice(&[8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
                }
            }
            let checksum = Sha256::digest(&bytes);
            bytes.extend_from_slice(&checksum);
            let _ = ClientKey::unseal(&bytes, b"passphrase");
        }
    }
}

/// One side of a connection on which frames come and nobody looks at what is sent.
struct Script {
    roster: Roster,
    frames: Vec<Vec<u8>>,
}

impl Script {
    /// The frames are last first.
    fn new(me: u16, frames: Vec<Vec<u8>>) -> Self {
        Self { roster: Roster::new(["server", "client"], PartyId::new(me)).unwrap(), frames }
    }
}

impl Transport for Script {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, _: PartyId, _: &[u8]) -> Result<(), TransportError> {
        Ok(())
    }

    fn receive(&mut self, from: PartyId, _: Deadline) -> Result<Vec<u8>, TransportError> {
        let next = self.frames.pop();
        next.ok_or_else(|| TransportError::new(&self.roster, from, Fault::Disconnected))
    }
}

/// Requests to a server and its replies: as they are, and behind a proper head.
pub fn tree_service(input: &[u8]) {
    let World { schema, evaluator, key, query, answer, .. } = &*WORLD;
    let framed = |kind: u8, contents: &[u8]| [b"SRDS\x02\0", &[kind][..], contents].concat();
    let (server, client) = (PartyId::new(0), PartyId::new(1));
    let now = Deadline::after(Duration::from_secs(1));
    let requests = [
        input.to_vec(),
        framed(input.first().copied().unwrap_or_default() % 9, input.get(1..).unwrap_or_default()),
        framed(2, &patched(query, input)),
    ];
    let mut asked = Script::new(0, requests.into());
    service::serve(&mut asked, client, evaluator, &service::ServiceSettings::default(), &mut seeded(3))
        .unwrap();
    let query = Query::from_bytes(query, schema, ParameterSet::Standard).unwrap();
    for reply in [input.to_vec(), framed(3, input), framed(4, &patched(answer, input)), framed(5, input)] {
        let answered = || Script::new(1, vec![reply.clone()]);
        let _ = service::terms(&mut answered(), server, now);
        if let Ok(answer) = service::exchange(&mut answered(), server, &query, schema, now) {
            let _ = key.decrypt(&answer);
        }
    }
}

fn check(model: Result<Model, subrosa_decision_tree::Error>) {
    if let Ok(model) = model {
        // A model that came through is whole.
        let evaluated = model.evaluate(&vec![1.0; model.features().len()]);
        // Its weights may add up to more than `f64` holds.
        let too_large = matches!(evaluated, Err(Error::Model(ModelError::NotFinite { .. })));
        assert!(evaluated.is_ok() || too_large);
        let json = model.to_json().unwrap();
        assert!(Model::from_json(json.as_bytes()).unwrap() == model);
    }
}

/// Models and schemas in files: our own, XGBoost's and ONNX.
pub fn models(input: &[u8]) {
    let options = ImportOptions::default();
    check(Model::from_json(input));
    check(Model::from_xgboost_json(input, &options));
    check(Model::from_xgboost_ubj(input, &options));
    check(Model::from_lightgbm(input, &options));
    check(Model::from_onnx(input, &options));
    if let Ok(schema) = Schema::from_json(input) {
        let row = vec![0.0; schema.features().len()];
        let _ = schema.quantize(&row);
        assert!(Schema::from_json(schema.to_json().unwrap().as_bytes()).unwrap() == schema);
    }
}
