//! How ranks moved, as two lists with lines between them.

use std::io;

use plotters::style::Color;

use super::canvas::{Anchor, Canvas, FADED, HAIR, HEIGHT, INK, WIDTH, colour, curve, sheet, thousands};
use super::scene::Scene;

/// The first ranks after the run that are shown.
const FIRST: usize = 10;
/// Accounts that climbed most, beside these.
const CLIMBED: usize = 12;
const TOP: f64 = 178.0;
const BOTTOM: f64 = 800.0;
const LEFT: f64 = 640.0;
const RIGHT: f64 = 1080.0;

struct Row {
    account: usize,
    before: usize,
    after: usize,
}

/// Draws the riskiest accounts of all banks and those that climbed most.
pub(super) fn draw(scene: &Scene<'_>) -> io::Result<String> {
    let before = ranks(scene.accounts.iter().map(|account| account.before));
    let after = ranks(scene.accounts.iter().map(|account| account.after));
    let rows = choose(&before, &after);
    sheet(|canvas| {
        canvas.title(
            "How ranks moved",
            &format!(
                "The {} highest scores among {} accounts of all banks, and {} more that climbed most",
                rows.len().min(FIRST),
                thousands(scene.accounts.len()),
                rows.len().saturating_sub(FIRST)
            ),
        )?;
        if rows.is_empty() {
            let middle = (WIDTH / 2.0, HEIGHT / 2.0);
            canvas.text("There are no accounts.", middle, 28.0, INK, Anchor::Middle)?;
        }
        let step = (BOTTOM - TOP) / float(rows.len().saturating_sub(1)).max(1.0);
        let step = step.min(48.0);
        canvas.bold("before", (LEFT - 20.0, TOP - 36.0), 24.0, INK, Anchor::Right)?;
        canvas.bold("after", (RIGHT + 20.0, TOP - 36.0), 24.0, INK, Anchor::Left)?;
        lists(canvas, scene, &rows, step)?;
        starts(canvas, scene, &rows, &before, step)?;
        canvas.line(&[(60.0, 828.0), (WIDTH - 60.0, 828.0)], HAIR.to_rgba(), 1.0)?;
        let x = canvas.banks(&scene.banks, (60.0, 862.0))?.max(480.0) + 30.0;
        let said = "rank, account, score; equal scores share a rank; pale lines: no climb";
        canvas.text(said, (x, 862.0), 22.0, FADED, Anchor::Left)
    })
}

/// Each account's rank: one more than there are accounts with a higher score.
fn ranks(scores: impl Iterator<Item = f64>) -> Vec<usize> {
    let scores: Vec<f64> = scores.collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let score = |account: usize| scores.get(account).copied().unwrap_or(0.0);
    order.sort_by(|&left, &right| score(right).total_cmp(&score(left)));
    let mut ranks = vec![0; scores.len()];
    let mut rank = 0;
    let mut last = f64::NAN;
    for (place, account) in order.into_iter().enumerate() {
        // Zeros of either sign are equal here.
        if score(account) != last {
            rank = place + 1;
            last = score(account);
        }
        if let Some(slot) = ranks.get_mut(account) {
            *slot = rank;
        }
    }
    ranks
}

/// The rows in the order of the rank before; those of one rank in the order of the rank after.
fn choose(before: &[usize], after: &[usize]) -> Vec<Row> {
    let row = |(account, (&before, &after)): (usize, (&usize, &usize))| Row { account, before, after };
    let mut all: Vec<Row> = before.iter().zip(after).enumerate().map(row).collect();
    all.sort_by_key(|row| (row.after, row.before, row.account));
    let mut rest = all.split_off(all.len().min(FIRST));
    let climb = |row: &Row| float(row.before) / float(row.after).max(1.0);
    rest.retain(|row| row.after < row.before);
    rest.sort_by(|left, right| climb(right).total_cmp(&climb(left)).then(left.after.cmp(&right.after)));
    all.extend(rest.into_iter().take(CLIMBED));
    all.sort_by_key(|row| (row.before, row.after, row.account));
    all
}

fn lists(canvas: &Canvas<'_>, scene: &Scene<'_>, rows: &[Row], step: f64) -> io::Result<()> {
    let mut order: Vec<&Row> = rows.iter().collect();
    order.sort_by_key(|row| (row.after, row.before, row.account));
    let size = (step * 0.76).min(22.0);
    for (place, row) in order.into_iter().enumerate() {
        let Some(account) = scene.accounts.get(row.account) else { continue };
        // All that shared a rank start at one point, below all that stood higher.
        let start = rows.partition_point(|other| other.before <= row.before).saturating_sub(1);
        let (from, to) = ((LEFT, TOP + step * float(start)), (RIGHT, TOP + step * float(place)));
        let (strength, width) = if row.after < row.before { (0.85, 4.0) } else { (0.35, 3.0) };
        canvas.line(&curve(from, to), colour(account.bank).mix(strength), width)?;
        canvas.disc(to, 6.0, colour(account.bank).to_rgba())?;
        let place = |distance: f64| (to.0 + distance, to.1);
        canvas.bold(&thousands(row.after), place(84.0), size, INK, Anchor::Right)?;
        canvas.text(&scene.label(row.account), place(100.0), size, INK, Anchor::Left)?;
        canvas.text(&format!("{:.4}", account.after), place(400.0), size, FADED, Anchor::Right)?;
    }
    Ok(())
}

/// The left list: one entry for each rank, with the number of accounts where several shared it.
fn starts(
    canvas: &Canvas<'_>,
    scene: &Scene<'_>,
    rows: &[Row],
    before: &[usize],
    step: f64,
) -> io::Result<()> {
    let size = (step * 0.76).min(22.0);
    let mut end = 0;
    for group in rows.chunk_by(|left, right| left.before == right.before) {
        end += group.len();
        let Some(row) = group.first() else { continue };
        let Some(account) = scene.accounts.get(row.account) else { continue };
        let count = before.iter().filter(|other| **other == row.before).count();
        let y = TOP + step * float(end.saturating_sub(1));
        let (who, shade) = match count {
            1 => (scene.label(row.account), colour(account.bank)),
            _ => (format!("{} accounts", thousands(count)), INK),
        };
        canvas.disc((LEFT, y), 6.0, shade.to_rgba())?;
        canvas.text(&format!("{:.4}", account.before), (LEFT - 20.0, y), size, FADED, Anchor::Right)?;
        canvas.text(&who, (LEFT - 110.0, y), size, INK, Anchor::Right)?;
        canvas.bold(&thousands(row.before), (LEFT - 290.0, y), size, INK, Anchor::Right)?;
    }
    Ok(())
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
