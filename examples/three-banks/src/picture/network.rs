//! The riskiest part of the network as a drawing.

use std::io;

use plotters::style::Color;

use super::canvas::{Anchor, Canvas, FADED, HAIR, HEIGHT, INK, WIDTH, colour, curve, sheet};
use super::{label, titled};
use crate::scene::Scene;
use crate::scene::layers::{Layers, Placed, arrange};

/// Radius of a score of 1; the area of a circle is in proportion to its score.
const RADIUS: f64 = 28.0;
const SMALLEST: f64 = 4.0;
const TOP: f64 = 125.0;
const BOTTOM: f64 = 785.0;
/// Room for labels beside the first and last layer.
const MARGIN: f64 = 235.0;

/// Draws the accounts whose scores rose most, and where their risk came from.
pub(super) fn draw(scene: &Scene<'_>) -> io::Result<String> {
    let layers = arrange(scene);
    sheet(|canvas| {
        canvas.title(
            &titled(scene, "Where risk arrives"),
            "The accounts whose scores rose most, on the right of each path, and the senders that their risk came from",
        )?;
        if layers.placed.is_empty() {
            let middle = (WIDTH / 2.0, HEIGHT / 2.0);
            canvas.text("No account's score rose.", middle, 28.0, INK, Anchor::Middle)?;
        }
        transfers(canvas, scene, &layers)?;
        for placed in &layers.placed {
            account(canvas, scene, &layers, placed)?;
        }
        legend(canvas, scene)
    })
}

fn position(layers: &Layers, placed: &Placed) -> (f64, f64) {
    let last = float(layers.count().saturating_sub(1)).max(1.0);
    let x = MARGIN + (WIDTH - 2.0 * MARGIN) * float(placed.layer) / last;
    let rows = float(layers.rows(placed.layer)).max(1.0);
    (x, TOP + (BOTTOM - TOP) * (float(placed.row) + 0.5) / rows)
}

fn radius(score: f64) -> f64 {
    RADIUS * score.clamp(0.0, 1.0).sqrt()
}

fn transfers(canvas: &Canvas<'_>, scene: &Scene<'_>, layers: &Layers) -> io::Result<()> {
    for edge in &layers.edges {
        let (Some(from), Some(to)) = (layers.placed.get(edge.from), layers.placed.get(edge.to)) else {
            continue;
        };
        let (Some(sender), Some(receiver)) =
            (scene.accounts.get(from.account), scene.accounts.get(to.account))
        else {
            continue;
        };
        let (start, centre) = (position(layers, from), position(layers, to));
        let gap = radius(receiver.after.max(receiver.before)).max(SMALLEST) + 3.0;
        let width = 2.0 + 8.0 * edge.share.clamp(0.0, 1.0);
        let head = 9.0 + width;
        let tip = (centre.0 - gap, centre.1);
        let shade = colour(sender.bank).mix(0.5);
        canvas.line(&curve(start, (tip.0 - head + 1.0, tip.1)), shade, width)?;
        let half = width / 2.0 + 4.0;
        canvas.polygon(&[tip, (tip.0 - head, tip.1 - half), (tip.0 - head, tip.1 + half)], shade)?;
    }
    Ok(())
}

fn account(canvas: &Canvas<'_>, scene: &Scene<'_>, layers: &Layers, placed: &Placed) -> io::Result<()> {
    let Some(account) = scene.accounts.get(placed.account) else { return Ok(()) };
    let at = position(layers, placed);
    // White below, so that no line shines through.
    canvas.disc(
        at,
        radius(account.before.max(account.after)).max(SMALLEST) + 1.0,
        plotters::style::WHITE.to_rgba(),
    )?;
    canvas.disc(at, radius(account.after).max(SMALLEST), colour(account.bank).to_rgba())?;
    if account.before > 0.0 {
        canvas.ring(at, radius(account.before), INK, 3.0)?;
    }
    let name = label(scene, placed.account);
    let scores = format!("{:.2} → {}", account.before, account.shown(2));
    let write = |text: &str, at, anchor, first: bool| {
        if first && placed.risen {
            canvas.bold(text, at, 21.0, INK, anchor)
        } else {
            canvas.text(text, at, if first { 21.0 } else { 19.0 }, if first { INK } else { FADED }, anchor)
        }
    };
    let aside = RADIUS + 10.0;
    let (x, anchor) = match placed.layer {
        layer if layer + 1 == layers.count() => (at.0 + aside, Anchor::Left),
        0 => (at.0 - aside, Anchor::Right),
        _ => {
            let below = at.1 + radius(account.before.max(account.after)).max(SMALLEST) + 14.0;
            // A line that passes behind the label is made paler.
            let (half, top, bottom) = (0.5 * super::canvas::width(&name, 23.0), below - 11.0, below + 30.0);
            let corners = [(-half, top), (half, top), (half, bottom), (-half, bottom)];
            canvas.polygon(&corners.map(|(x, y)| (at.0 + x, y)), plotters::style::WHITE.mix(0.75))?;
            write(&name, (at.0, below), Anchor::Middle, true)?;
            return write(&scores, (at.0, below + 20.0), Anchor::Middle, false);
        }
    };
    write(&name, (x, at.1 - 9.0), anchor, true)?;
    write(&scores, (x, at.1 + 12.0), anchor, false)
}

fn legend(canvas: &Canvas<'_>, scene: &Scene<'_>) -> io::Result<()> {
    let y = 850.0;
    canvas.line(&[(60.0, 806.0), (WIDTH - 60.0, 806.0)], HAIR.to_rgba(), 1.0)?;
    let mut x = canvas.banks(&scene.banks, (60.0, y))?.max(480.0) + 30.0;
    canvas.ring((x + RADIUS, y), radius(1.0), INK, 3.0)?;
    canvas.text("score 1 before", (x + 2.0 * RADIUS + 12.0, y), 22.0, INK, Anchor::Left)?;
    x += 260.0;
    canvas.disc((x, y), radius(0.5), FADED.to_rgba())?;
    canvas.text("score 0.5 after", (x + 32.0, y), 22.0, INK, Anchor::Left)?;
    x += 230.0;
    for (width, share) in [(3.0, 0.0), (6.0, 18.0), (10.0, 36.0)] {
        canvas.line(&[(x, y - 18.0 + share), (x + 50.0, y - 18.0 + share)], FADED.mix(0.6), width)?;
    }
    canvas.text("transfers: the wider, the larger", (x + 66.0, y - 12.0), 22.0, INK, Anchor::Left)?;
    canvas.text("their share in what was received", (x + 66.0, y + 14.0), 22.0, INK, Anchor::Left)
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
