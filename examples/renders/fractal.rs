//! The Mandelbrot set, drawn on every core: slow on purpose, and stopped in the middle of a picture when told.

#![expect(clippy::suboptimal_flops, reason = "a fused multiply-add is a slow function call on processors without one")]

use std::{
    num::NonZero,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use crate::{
    palette::{Light, Palette, pixel},
    view::View,
};

/// Rows that one thread takes at a time, and after which progress is told.
const ROWS_IN_BAND: usize = 8;

/// The four points sampled in each pixel, from its centre: a turned square, which smooths upright edges best.
const SAMPLES: [(f64, f64); 4] = [(-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125)];

/// Far out, so that the smooth count has no visible steps.
const ESCAPE_RADIUS_SQUARED: f64 = 1e6;

/// Where the light that makes the picture look embossed comes from, and how high it stands.
const LIGHT: (f64, f64) = (-0.707, 0.707);
const LIGHT_HEIGHT: f64 = 1.6;

/// The drawing was stopped before it was done.
#[derive(Debug, PartialEq)]
pub(crate) struct Canceled;

/// Draws the view, three bytes a pixel, from the upper left.
///
/// `is_canceled` is asked before every row. `on_progress` hears, on the calling thread, the part done so far, from 0 to
/// 1.
///
/// # Errors
///
/// [`Canceled`] when `is_canceled` said so before the last row.
pub(crate) fn draw(
    view: &View,
    is_canceled: impl Fn() -> bool + Sync,
    mut on_progress: impl FnMut(f64),
) -> Result<Vec<u8>, Canceled> {
    let size = view.size as usize;
    let palette = Palette::new();
    let mut picture = vec![0; size * size * 3];
    let bands = Mutex::new(picture.chunks_mut(size * 3 * ROWS_IN_BAND).enumerate());
    let next_band = || {
        let mut bands = bands.lock().unwrap_or_else(PoisonError::into_inner);
        bands.next()
    };
    let draw_bands = |done: mpsc::Sender<usize>| {
        while let Some((band, pixels)) = next_band() {
            for (row, pixels) in pixels.chunks_mut(size * 3).enumerate() {
                if is_canceled() {
                    return;
                }
                draw_row(view, &palette, band * ROWS_IN_BAND + row, pixels);
            }
            if done.send(pixels.len() / (size * 3)).is_err() {
                return;
            }
        }
    };

    let mut rows_done = 0;
    thread::scope(|scope| {
        let (done, bands_done) = mpsc::channel();
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let done = done.clone();
            scope.spawn(|| draw_bands(done));
        }
        drop(done);
        for rows in bands_done {
            rows_done += rows;
            on_progress(rows_done as f64 / size as f64);
        }
    });
    if rows_done == size { Ok(picture) } else { Err(Canceled) }
}

fn draw_row(view: &View, palette: &Palette, row: usize, pixels: &mut [u8]) {
    let half = f64::from(view.size) / 2.0;
    let width = view.pixel_width();
    for (column, bytes) in pixels.chunks_exact_mut(3).enumerate() {
        let lights = SAMPLES.map(|(right, down)| {
            let re = view.re + (column as f64 + 0.5 + right - half) * width;
            let im = view.im - (row as f64 + 0.5 + down - half) * width;
            colour(palette, escape(re, im, view.iterations).as_ref())
        });
        bytes.copy_from_slice(&pixel(average(lights)));
    }
}

fn average(lights: [Light; 4]) -> Light {
    [0, 1, 2].map(|channel| lights.iter().map(|light| light[channel]).sum::<f32>() / 4.0)
}

/// How a point left: the steps it took, made continuous, and how brightly its slope is lit, from 0 to 1.
struct Escape {
    steps: f64,
    brightness: f64,
}

/// Follows `z = z² + c` and its derivative until the point escapes; `None` when it does not.
fn escape(re: f64, im: f64, iterations: u32) -> Option<Escape> {
    if is_in_cardioid_or_disc(re, im) {
        return None;
    }
    let (mut x, mut y) = (0.0, 0.0);
    let (mut dx, mut dy) = (1.0, 0.0);
    let (mut x2, mut y2) = (0.0, 0.0);
    let mut step = 0;
    while x2 + y2 < ESCAPE_RADIUS_SQUARED {
        if step == iterations {
            return None;
        }
        (dx, dy) = (2.0 * (x * dx - y * dy) + 1.0, 2.0 * (x * dy + y * dx));
        y = 2.0 * x * y + im;
        x = x2 - y2 + re;
        (x2, y2) = (x * x, y * y);
        step += 1;
    }
    let radius_squared: f64 = x2 + y2;
    let steps = f64::from(step) + 1.0 - (radius_squared.ln() / 2.0).log2();
    Some(Escape { steps, brightness: brightness((x, y), (dx, dy)) })
}

/// The two largest parts of the set need no following.
fn is_in_cardioid_or_disc(re: f64, im: f64) -> bool {
    let (right, im2) = (re - 0.25, im * im);
    let q = right * right + im2;
    let left = re + 1.0;
    q * (q + right) <= im2 / 4.0 || left * left + im2 <= 0.0625
}

/// `z / z'` points straight away from the set: the slope that the light falls on.
fn brightness((x, y): (f64, f64), (dx, dy): (f64, f64)) -> f64 {
    let (ux, uy) = (x * dx + y * dy, y * dx - x * dy);
    let length = ux.hypot(uy);
    let facing = if length > 0.0 && length.is_finite() { (ux * LIGHT.0 + uy * LIGHT.1) / length } else { 0.0 };
    ((facing + LIGHT_HEIGHT) / (1.0 + LIGHT_HEIGHT)).max(0.0)
}

fn colour(palette: &Palette, escape: Option<&Escape>) -> Light {
    let Some(&Escape { steps, brightness }) = escape else {
        return [0.0; 3];
    };
    // The logarithm keeps far points calm and deep ones from flickering.
    let turns = steps.max(0.0).ln_1p() * 0.55 - 0.6;
    palette.at(turns).map(|channel| channel * brightness as f32)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Canceled, draw, escape};
    use crate::view::View;

    fn small() -> View {
        View { size: 50, iterations: 50, ..View::default() }
    }

    #[test]
    fn points_of_the_set_do_not_escape() {
        for (re, im) in [(0.0, 0.0), (-1.0, 0.0), (-2.0, 0.0), (0.0, 1.0)] {
            assert!(escape(re, im, 10_000).is_none(), "{re} + {im}i");
        }
        assert!(escape(0.5, 0.5, 10_000).is_some());
    }

    #[test]
    fn the_count_is_continuous_where_the_steps_change() {
        let counts: Vec<f64> = (0..1000)
            .map(|n| escape(0.4 + f64::from(n) * 1e-3, 0.0, 1000))
            .map(|escape| escape.expect("outside the set").steps)
            .collect();
        assert!(counts.windows(2).all(|pair| pair[0] > pair[1] && pair[0] - pair[1] < 0.1));
    }

    #[test]
    fn the_set_is_in_the_middle_and_not_in_the_corner() {
        let picture = draw(&small(), || false, |_| {}).expect("nobody cancels");
        assert_eq!(picture.len(), 50 * 50 * 3);
        let is_inside = |row: usize, column: usize| {
            let at = (row * 50 + column) * 3;
            picture[at..at + 3] == [0, 0, 0]
        };
        assert!(is_inside(25, 25));
        assert!(!is_inside(0, 0));
    }

    #[test]
    fn progress_rises_to_one() {
        let mut told = Vec::new();
        draw(&small(), || false, |part| told.push(part)).expect("nobody cancels");
        assert_eq!(told.len(), 7);
        assert!(told.is_sorted());
        assert_eq!(told.last(), Some(&1.0));
    }

    #[test]
    fn a_cancellation_is_seen_before_the_next_row() {
        let rows = AtomicUsize::new(0);
        let stop_after_ten = || rows.fetch_add(1, Ordering::Relaxed) >= 10;
        assert_eq!(draw(&small(), stop_after_ten, |_| {}), Err(Canceled));
        assert!(rows.into_inner() < 50);
    }
}
