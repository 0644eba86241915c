//! What a client may ask to have drawn, and within which limits.

use std::ops::RangeInclusive;

use serde::Deserialize;

const SIZE: RangeInclusive<u32> = 16..=4096;
const ITERATIONS: RangeInclusive<u32> = 1..=100_000;
const CENTER: RangeInclusive<f64> = -4.0..=4.0;
/// Beyond the upper end neighbouring pixels become the same 64-bit number.
const ZOOM: RangeInclusive<f64> = 0.1..=1e13;

/// The width of the plane that a zoom of 1 shows: the whole set, with some room around it.
const PLANE_WIDTH: f64 = 3.0;

/// A square view of the Mandelbrot set, as the JSON body of `POST /renders` gives it.
///
/// What is left out takes its default; the defaults show the whole set.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct View {
    /// Pixels along each side.
    pub(crate) size: u32,
    /// The real part of the centre.
    pub(crate) re: f64,
    /// The imaginary part of the centre.
    pub(crate) im: f64,
    /// How many times the view is enlarged.
    pub(crate) zoom: f64,
    /// How many steps a point is followed before it counts as inside the set.
    pub(crate) iterations: u32,
}

impl Default for View {
    fn default() -> Self {
        Self { size: 512, re: -0.75, im: 0.0, zoom: 1.0, iterations: 500 }
    }
}

impl View {
    /// Checks every limit.
    ///
    /// # Errors
    ///
    /// One sentence for the client, naming each value that is out of its range.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let faults: Vec<String> = [
            fault("size", &self.size, &SIZE),
            fault("re", &self.re, &CENTER),
            fault("im", &self.im, &CENTER),
            fault("zoom", &self.zoom, &ZOOM),
            fault("iterations", &self.iterations, &ITERATIONS),
        ]
        .into_iter()
        .flatten()
        .collect();
        if faults.is_empty() { Ok(()) } else { Err(format!("{}.", faults.join("; "))) }
    }

    /// The distance between two neighbouring pixels in the plane.
    pub(crate) fn pixel_width(&self) -> f64 {
        PLANE_WIDTH / self.zoom / f64::from(self.size)
    }
}

/// NaN lies in no range, so it is a fault too.
fn fault<N>(name: &str, value: &N, allowed: &RangeInclusive<N>) -> Option<String>
where
    N: PartialOrd + std::fmt::Display,
{
    (!allowed.contains(value)).then(|| {
        let (lowest, highest) = (allowed.start(), allowed.end());
        format!("{name} must be from {lowest} to {highest}, not {value}")
    })
}

#[cfg(test)]
mod tests {
    use super::View;

    fn faults(json: &str) -> String {
        let view: View = serde_json::from_str(json).expect("a well-formed view");
        view.validate().err().unwrap_or_default()
    }

    #[test]
    fn what_is_left_out_takes_a_default_that_is_allowed() {
        assert_eq!(faults("{}"), "");
    }

    #[test]
    fn the_ends_of_each_range_are_allowed() {
        assert_eq!(faults(r#"{"size": 16, "iterations": 1, "zoom": 0.1}"#), "");
        assert_eq!(faults(r#"{"size": 4096, "iterations": 100000, "zoom": 1e13}"#), "");
    }

    #[test]
    fn every_value_out_of_range_is_named() {
        assert_eq!(
            faults(r#"{"size": 15, "iterations": 0}"#),
            "size must be from 16 to 4096, not 15; iterations must be from 1 to 100000, not 0."
        );
        assert!(faults(r#"{"zoom": 0}"#).starts_with("zoom must be from 0.1 to 10000000000000"));
        assert!(faults(r#"{"re": 5}"#).starts_with("re must be"));
        assert!(faults(r#"{"im": -5}"#).starts_with("im must be"));
    }

    #[test]
    fn not_a_number_is_out_of_range() {
        let view = View { zoom: f64::NAN, ..View::default() };
        assert!(view.validate().is_err());
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert!(serde_json::from_str::<View>(r#"{"colour": "red"}"#).is_err());
    }
}
