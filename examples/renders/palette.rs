//! The colours: a ring of them, walked as points take longer to escape.

/// Light as red, green and blue, each from 0 to 1, linear, so that colours can be averaged.
pub(crate) type Light = [f32; 3];

/// Where on the ring (0 to 1) each colour lies, as sRGB. The first is also the last.
const STOPS: [(f32, [u8; 3]); 8] = [
    (0.00, [12, 8, 38]),
    (0.14, [36, 42, 122]),
    (0.30, [36, 132, 190]),
    (0.44, [158, 222, 222]),
    (0.54, [255, 246, 214]),
    (0.68, [255, 176, 58]),
    (0.82, [206, 62, 52]),
    (0.92, [84, 16, 62]),
];

const STEPS: usize = 2048;

/// The ring, worked out once for a picture.
pub(crate) struct Palette(Vec<Light>);

impl Palette {
    pub(crate) fn new() -> Self {
        let ring = (0..STEPS).map(|step| colour_at(step as f32 / STEPS as f32));
        Self(ring.collect())
    }

    /// The colour at a place on the ring; whole turns do not matter.
    pub(crate) fn at(&self, turns: f64) -> Light {
        let step = (turns.rem_euclid(1.0) * STEPS as f64) as usize;
        self.0.get(step).copied().unwrap_or_default()
    }
}

fn colour_at(place: f32) -> Light {
    let next = STOPS.iter().position(|(stop, _)| *stop > place);
    let (to, from) = match next {
        Some(next) => (STOPS[next], STOPS[next - 1]),
        None => ((1.0, STOPS[0].1), STOPS[STOPS.len() - 1]),
    };
    let way = smooth((place - from.0) / (to.0 - from.0));
    let (from, to) = (from.1.map(linear), to.1.map(linear));
    [0, 1, 2].map(|channel| way.mul_add(to[channel] - from[channel], from[channel]))
}

/// Leaves and reaches each colour gently.
fn smooth(way: f32) -> f32 {
    way * way * 2.0f32.mul_add(-way, 3.0)
}

fn linear(srgb: u8) -> f32 {
    (f32::from(srgb) / 255.0).powf(2.2)
}

/// The three bytes of a pixel.
pub(crate) fn pixel(light: Light) -> [u8; 3] {
    light.map(|channel| (channel.clamp(0.0, 1.0).powf(1.0 / 2.2) * 255.0).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::{Palette, STOPS, pixel};

    #[test]
    fn the_ring_closes() {
        let palette = Palette::new();
        assert_eq!(pixel(palette.at(0.0)), STOPS[0].1);
        assert_eq!(palette.at(0.25), palette.at(7.25));
        let (last, first) = (pixel(palette.at(0.9999)), pixel(palette.at(0.0)));
        assert!(last.iter().zip(first).all(|(a, b)| a.abs_diff(b) <= 1));
    }
}
