//! What both pictures are drawn with: a sheet in the proportions of a slide, a colour for each bank, text.

use std::io;

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Width of a picture, in pixels.
pub(super) const WIDTH: f64 = 1600.0;
/// Height of a picture, in pixels.
pub(super) const HEIGHT: f64 = 900.0;

/// Units of the drawing in a pixel. The backend rounds to whole ones, which would show in curves.
const FINE: f64 = 8.0;

/// Text and outlines.
pub(super) const INK: RGBColor = RGBColor(34, 40, 49);
/// What explains and does not matter most.
pub(super) const FADED: RGBColor = RGBColor(105, 113, 125);
/// Thin lines in the background.
pub(super) const HAIR: RGBColor = RGBColor(206, 211, 218);

/// Okabe and Ito's colours, which colour-blind people tell apart, without black and without the pale yellow.
const BANKS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
];

/// The colour of a bank. From the seventh on they come again: the labels name the bank too.
pub(crate) fn colour(bank: usize) -> RGBColor {
    BANKS.get(bank % BANKS.len()).copied().unwrap_or(INK)
}

/// Which side of a text its position is.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Left,
    Middle,
    Right,
}

/// A sheet under work.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws on a white sheet and returns it as SVG.
pub(super) fn sheet(draw: impl FnOnce(&Canvas<'_>) -> io::Result<()>) -> io::Result<String> {
    let mut text = String::new();
    {
        let size = (units(WIDTH).unsigned_abs(), units(HEIGHT).unsigned_abs());
        let backend = SVGBackend::with_string(&mut text, size);
        let canvas = Canvas { area: backend.into_drawing_area() };
        canvas.area.fill(&WHITE).map_err(io::Error::other)?;
        draw(&canvas)?;
        canvas.area.present().map_err(io::Error::other)?;
    }
    let fine = format!("width=\"{}\" height=\"{}\"", units(WIDTH), units(HEIGHT));
    Ok(text.replacen(&fine, &format!("width=\"{WIDTH}\" height=\"{HEIGHT}\""), 1))
}

impl Canvas<'_> {
    /// Title and the line below it.
    pub(super) fn title(&self, title: &str, below: &str) -> io::Result<()> {
        self.write(title, (60.0, 50.0), 36.0, FontStyle::Bold, INK, Anchor::Left)?;
        self.write(below, (60.0, 90.0), 22.0, FontStyle::Normal, FADED, Anchor::Left)
    }

    /// Text of a height in pixels, its middle at the position's height.
    pub(super) fn text(
        &self,
        text: &str,
        at: (f64, f64),
        size: f64,
        colour: RGBColor,
        anchor: Anchor,
    ) -> io::Result<()> {
        self.write(text, at, size, FontStyle::Normal, colour, anchor)
    }

    /// The same in bold.
    pub(super) fn bold(
        &self,
        text: &str,
        at: (f64, f64),
        size: f64,
        colour: RGBColor,
        anchor: Anchor,
    ) -> io::Result<()> {
        self.write(text, at, size, FontStyle::Bold, colour, anchor)
    }

    fn write(
        &self,
        text: &str,
        at: (f64, f64),
        size: f64,
        style: FontStyle,
        colour: RGBColor,
        anchor: Anchor,
    ) -> io::Result<()> {
        let side = match anchor {
            Anchor::Left => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        let font = FontDesc::new(FontFamily::SansSerif, size * FINE, style);
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(side, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), point(at), style)).map_err(io::Error::other)
    }

    /// A filled disc.
    pub(super) fn disc(&self, at: (f64, f64), radius: f64, colour: RGBAColor) -> io::Result<()> {
        self.area.draw(&Circle::new(point(at), units(radius), colour.filled())).map_err(io::Error::other)
    }

    /// A circle's outline.
    pub(super) fn ring(&self, at: (f64, f64), radius: f64, colour: RGBColor, width: f64) -> io::Result<()> {
        let style = colour.stroke_width(units(width).unsigned_abs());
        self.area.draw(&Circle::new(point(at), units(radius), style)).map_err(io::Error::other)
    }

    /// A line through points.
    pub(super) fn line(&self, points: &[(f64, f64)], colour: RGBAColor, width: f64) -> io::Result<()> {
        let style = colour.stroke_width(units(width).unsigned_abs().max(1));
        let points: Vec<_> = points.iter().copied().map(point).collect();
        self.area.draw(&PathElement::new(points, style)).map_err(io::Error::other)
    }

    /// A filled polygon.
    pub(super) fn polygon(&self, points: &[(f64, f64)], colour: RGBAColor) -> io::Result<()> {
        let points: Vec<_> = points.iter().copied().map(point).collect();
        self.area.draw(&Polygon::new(points, colour.filled())).map_err(io::Error::other)
    }

    /// The banks and their colours, from a position to the right; returns where the next thing can stand.
    pub(super) fn banks(&self, banks: &[&str], at: (f64, f64)) -> io::Result<f64> {
        let mut x = at.0;
        for (bank, name) in banks.iter().enumerate().take(BANKS.len()) {
            self.disc((x + 9.0, at.1), 9.0, colour(bank).to_rgba())?;
            let shown = shorten(name, 18);
            self.text(&shown, (x + 26.0, at.1), 22.0, INK, Anchor::Left)?;
            x += 58.0 + width(&shown, 22.0);
        }
        Ok(x)
    }
}

/// A curve that leaves and arrives level, as points from the one end to the other.
pub(super) fn curve(from: (f64, f64), to: (f64, f64)) -> Vec<(f64, f64)> {
    const PIECES: u32 = 32;
    let bend = (to.0 - from.0) * 0.5;
    let along = |t: f64| {
        let u = 1.0 - t;
        let (a, b, c, d) = (u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t);
        let x = a * from.0 + b * (from.0 + bend) + c * (to.0 - bend) + d * to.0;
        (x, (a + b) * from.1 + (c + d) * to.1)
    };
    (0..=PIECES).map(|piece| along(f64::from(piece) / f64::from(PIECES))).collect()
}

/// A name that fits: what is too long ends in dots.
pub(super) fn shorten(name: &str, characters: usize) -> String {
    if name.chars().count() <= characters {
        return name.to_owned();
    }
    name.chars().take(characters.saturating_sub(1)).chain(['…']).collect()
}

/// About how wide a text is: fonts are the viewer's.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(|_| size * 0.46).sum()
}

/// A whole number with a comma after each three digits.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn point((x, y): (f64, f64)) -> (i32, i32) {
    (units(x), units(y))
}

/// A length in pixels, in units of the drawing.
#[expect(clippy::cast_possible_truncation, reason = "rounded and near the sheet")]
fn units(length: f64) -> i32 {
    (length * FINE).round().clamp(-1e5, 1e5) as i32
}
