//! The report as a web page: one file that holds all it needs, to be mailed and opened anywhere.
//!
//! There are two kinds. The joint page shows everything, which only this demonstration can, as it runs all banks in one
//! process. A bank's own page is made from that bank's outcome alone: what the code below does not get, it cannot tell.

mod html;
mod model;
mod movement;
mod shown;

use std::io::Write as _;
use std::path::Path;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Failure;
use crate::bank::Setup;
use crate::phases::Phase;
use crate::report::Report;
use crate::scene::Scene;
use model::{Bank, Page, Parameters, View};
use movement::Trace;
use subrosa_risk_propagation::{Network, Outcome, Settings, data};

/// What all banks of a run know.
pub(crate) struct Run<'a> {
    pub(crate) setup: &'a Setup,
    /// When the run began, as in RFC 3339.
    began: String,
}

impl<'a> Run<'a> {
    pub(crate) fn new(setup: &'a Setup, began: OffsetDateTime) -> Self {
        let began = began.replace_nanosecond(0).unwrap_or(began);
        Self { setup, began: began.format(&Rfc3339).unwrap_or_default() }
    }
}

/// Writes the page of everything.
pub(crate) fn write_joint(
    file: &Path,
    run: &Run<'_>,
    outcomes: &[Outcome],
    report: Report<'_>,
) -> Result<(), Failure> {
    let Some(first) = outcomes.first() else { return Ok(()) };
    let scenes = Scene::all(outcomes);
    let course = movement::follow(outcomes, &first.plan)?;
    write(file, &page(run, &scenes, first, report, Some(&course), None))
}

/// Writes the page of one bank: what it knows, and nothing else.
pub(crate) fn write_own(
    directory: &Path,
    run: &Run<'_>,
    outcome: &Outcome,
    phases: &[Phase],
) -> Result<(), Failure> {
    let outcomes = std::slice::from_ref(outcome);
    let scenes = Scene::all(outcomes);
    let report = Report::new([phases], outcomes, None);
    let bank = outcome.agreed.network().bank();
    write(&directory.join(format!("{bank}.html")), &page(run, &scenes, outcome, report, None, Some(bank)))
}

fn page<'a>(
    run: &Run<'a>,
    scenes: &[Scene<'a>],
    outcome: &'a Outcome,
    measured: Report<'a>,
    course: Option<&Vec<Vec<f64>>>,
    bank: Option<&'a str>,
) -> Page<'a> {
    let network = outcome.agreed.network();
    let view = |scene: &Scene<'a>| {
        let trace = course.map(|course| Trace::new(course, scene));
        let (shown, movement) = shown::choose(scene, outcome.plan.steps(), trace.as_ref());
        let risk_type = network.columns().get(scene.column).map_or("", String::as_str);
        View { risk_type, shown, movement }
    };
    let banks = network.banks();
    Page {
        bank,
        began: run.began.clone(),
        version: env!("CARGO_PKG_VERSION"),
        banks: banks.iter().map(|bank| Bank::new(bank.index(), banks.name(bank))).collect(),
        parameters: parameters(run.setup, outcome, network),
        measured,
        withheld: scenes.first().map_or(0, |scene| scene.accounts.iter().filter(|a| a.withheld).count()),
        views: scenes.iter().map(view).collect(),
    }
}

fn parameters<'a>(setup: &'a Setup, outcome: &'a Outcome, network: &Network) -> Parameters<'a> {
    let Settings { iterations, delta, mismatch, .. } = &setup.settings;
    let plan = &outcome.plan;
    Parameters {
        key_bits: setup.key_bits,
        banks: setup.parties,
        threshold: setup.threshold,
        iterations: *iterations,
        periods: network.periods().len(),
        delta: delta.to_string(),
        accuracy: plan.accuracy(),
        mismatch: mismatch.to_string(),
        min_foreign_senders: plan.min_foreign_senders(),
        insecure_seed: setup.seed.is_some(),
        plan: plan.fields().into_iter().collect(),
        fixed_point_error: plan.fixed_point_error(),
        noise_error: plan.noise_error(),
        grid_error: plan.grid_error(),
        error_bound: plan.error_bound(),
    }
}

fn write(file: &Path, page: &Page<'_>) -> Result<(), Failure> {
    let failed = |source| Failure::File { path: file.display().to_string(), source };
    let data = serde_json::to_string(page).map_err(|error| failed(error.into()))?;
    let text = html::page(&data);
    Ok(data::write_atomically(file, |out| out.write_all(text.as_bytes()))?)
}
