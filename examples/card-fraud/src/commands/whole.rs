//! The whole job in one process.

use std::io::Write;

use super::{progress, report};
use crate::metrics::Confusion;
use crate::times::{Bytes, Times};
use crate::train::{CLASSES, Labelled, TrainOptions, Trained, train};
use crate::{Error, Result, generate};
use subrosa_decision_tree::{ClientKey, EvaluationPlan, Evaluator, ParameterSet};

/// Trains on `data`, or on `rows` made-up purchases, then judges up to `queries` held-out purchases under encryption
/// and compares every verdict with the clear one.
///
/// # Errors
/// [`Error::Data`] where there is too little to learn from, or if a verdict under encryption is another than in the
/// clear; [`Error::Output`].
pub fn run(
    out: &mut impl Write,
    data: Option<Labelled>,
    (rows, seed): (usize, u64),
    options: &TrainOptions,
    (queries, parameters): (usize, ParameterSet),
) -> Result<()> {
    let data = data.unwrap_or_else(|| {
        let (rows, labels) = generate::purchases(rows, seed);
        Labelled { rows, labels }
    });
    let trained = train(&data, options)?;
    report(out, &data, &trained).map_err(Error::Output)?;
    let evaluator = Evaluator::new(trained.quantized.clone(), parameters)?;
    writeln!(out, "\n{}", plan_text(evaluator.plan())).map_err(Error::Output)?;
    let outcome = judge(&trained, &evaluator, queries)?;
    write_outcome(out, &outcome).map_err(Error::Output)?;
    if outcome.agreeing < outcome.judged {
        let wrong = outcome.judged - outcome.agreeing;
        return Err(Error::Data(format!("{wrong} verdicts under encryption differ from those in the clear")));
    }
    Ok(())
}

/// What an evaluation costs, as the bank prints it.
pub fn plan_text(plan: &EvaluationPlan) -> String {
    format!(
        "plan ({:?} parameters):\n  \
         {} ciphertext products for {} splits, {} more splits without any\n  \
         a wrong verdict has probability 2^{:.0} or less\n  \
         query {}, answer {}, evaluation key none",
        plan.parameters,
        plan.external_products,
        plan.product_splits,
        plan.linear_splits,
        plan.failure_log2.ceil(),
        Bytes(plan.query_bytes),
        Bytes(plan.answer_bytes)
    )
}

struct Outcome {
    key: Times,
    encrypt: Times,
    evaluate: Times,
    decrypt: Times,
    query_bytes: usize,
    answer_bytes: usize,
    judged: usize,
    agreeing: usize,
    counts: Confusion,
}

/// One purchase after the other, as a client and a bank would exchange them.
fn judge(trained: &Trained, evaluator: &Evaluator, queries: usize) -> Result<Outcome> {
    let (mut client_rng, mut bank_rng) = (rand::rng(), rand::rng());
    let [mut key_times, mut encrypt, mut evaluate, mut decrypt] = <[Times; 4]>::default();
    let key = key_times.time(|| ClientKey::generate(evaluator.parameters(), &mut client_rng));
    let schema = evaluator.model().schema();
    let held_out = &trained.held_out;
    let judged = queries.min(held_out.rows.len());
    let (mut query_bytes, mut answer_bytes, mut agreeing) = (0, 0, 0);
    let mut pairs = Vec::with_capacity(judged);
    let bar = progress(judged, "judging");
    for (row, label) in held_out.rows.iter().zip(&held_out.labels).take(judged) {
        let query = encrypt.time(|| key.encrypt(schema, row, &mut client_rng))?;
        query_bytes = query.to_bytes().len();
        let answer = evaluate.time(|| evaluator.evaluate(&query, &mut bank_rng))?;
        answer_bytes = answer.to_bytes().len();
        let verdict = decrypt.time(|| key.decrypt(&answer))?;
        agreeing += usize::from(verdict == trained.quantized.predict(row)?);
        pairs.push((verdict.class() == Some(1), *label));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let counts = Confusion::count(pairs);
    Ok(Outcome {
        key: key_times,
        encrypt,
        evaluate,
        decrypt,
        query_bytes,
        answer_bytes,
        judged,
        agreeing,
        counts,
    })
}

fn write_outcome(out: &mut impl Write, outcome: &Outcome) -> std::io::Result<()> {
    let Outcome { judged, agreeing, .. } = outcome;
    writeln!(out, "\nunder encryption, {judged} held-out purchases:")?;
    writeln!(out, "  verdicts equal to the clear ones: {agreeing} of {judged}")?;
    writeln!(out, "{}", outcome.counts)?;
    writeln!(out, "\ntimes (median):")?;
    writeln!(out, "  client: key        {}", outcome.key)?;
    writeln!(out, "  client: encrypt    {}", outcome.encrypt)?;
    writeln!(out, "  bank:   evaluate   {}", outcome.evaluate)?;
    writeln!(out, "  client: decrypt    {}", outcome.decrypt)?;
    writeln!(out, "sizes:")?;
    writeln!(out, "  query  {}", Bytes(outcome.query_bytes))?;
    writeln!(out, "  answer {}", Bytes(outcome.answer_bytes))?;
    writeln!(out, "\nthe bank saw no purchase and no verdict ({} or {})", CLASSES[0], CLASSES[1])
}
