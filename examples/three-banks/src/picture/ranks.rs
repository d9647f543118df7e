//! How ranks moved, as two lists with lines between them.

use std::io;

use plotters::style::Color;

use super::canvas::{Anchor, Canvas, FADED, HAIR, HEIGHT, INK, WIDTH, colour, curve, sheet, thousands};
use super::{label, titled};
use crate::scene::Scene;
use crate::scene::ranks::{FIRST, Row, all, choose};

const TOP: f64 = 178.0;
const BOTTOM: f64 = 800.0;
const LEFT: f64 = 640.0;
const RIGHT: f64 = 1080.0;

/// Draws the riskiest accounts of all banks and those that climbed most.
pub(super) fn draw(scene: &Scene<'_>) -> io::Result<String> {
    let all = all(scene);
    let rows = choose(&all);
    sheet(|canvas| {
        canvas.title(
            &titled(scene, "How ranks moved"),
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
        starts(canvas, scene, &rows, &all, step)?;
        canvas.line(&[(60.0, 828.0), (WIDTH - 60.0, 828.0)], HAIR.to_rgba(), 1.0)?;
        let x = canvas.banks(&scene.banks, (60.0, 862.0))?.max(480.0) + 30.0;
        let said = "rank, account, score; equal scores share a rank; pale lines: no climb";
        canvas.text(said, (x, 862.0), 22.0, FADED, Anchor::Left)
    })
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
        canvas.text(&label(scene, row.account), place(100.0), size, INK, Anchor::Left)?;
        canvas.text(&format!("{:.4}", account.after), place(400.0), size, FADED, Anchor::Right)?;
    }
    Ok(())
}

/// The left list: one entry for each rank, with the number of accounts where several shared it.
fn starts(canvas: &Canvas<'_>, scene: &Scene<'_>, rows: &[Row], all: &[Row], step: f64) -> io::Result<()> {
    let size = (step * 0.76).min(22.0);
    let mut end = 0;
    for group in rows.chunk_by(|left, right| left.before == right.before) {
        end += group.len();
        let Some(row) = group.first() else { continue };
        let Some(account) = scene.accounts.get(row.account) else { continue };
        let count = all.iter().filter(|other| other.before == row.before).count();
        let y = TOP + step * float(end.saturating_sub(1));
        let (who, shade) = match count {
            1 => (label(scene, row.account), colour(account.bank)),
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
