//! The table that each benchmark prints: a figure, ours, the alternative, their ratio and the bar it has to reach.

/// What a ratio has to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

/// Prints what the table is about and what its columns are.
pub(crate) fn title(title: &str) {
    println!("\n{title}");
    line("", "ours", "alternative", "ratio", "bar");
}

/// Prints a figure and its bar.
pub(crate) fn judged(figure: &str, ours: &str, alternative: &str, ratio: f64, bar: Bar) {
    let (bar, reached) = match bar {
        Bar::AtMost(most) => (format!("at most {most}"), ratio <= most),
        Bar::AtLeast(least) => (format!("at least {least}"), ratio >= least),
    };
    let verdict = if reached { "reached" } else { "missed" };
    line(figure, ours, alternative, &format!("{ratio:.2}"), &format!("{bar}: {verdict}"));
}

/// Prints a figure that has no bar.
pub(crate) fn told(figure: &str, ours: &str, alternative: &str, ratio: Option<f64>) {
    line(figure, ours, alternative, &ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")), "");
}

pub(crate) fn nanoseconds(time: f64) -> String {
    match time {
        small if small < 9_999.5 => format!("{small:.0} ns"),
        middle if middle < 9_999_500.0 => format!("{:.1} us", middle / 1e3),
        large => format!("{:.1} ms", large / 1e6),
    }
}

fn line(figure: &str, ours: &str, alternative: &str, ratio: &str, bar: &str) {
    println!("{}", format!("{figure:<58} {ours:>14} {alternative:>14} {ratio:>7}  {bar}").trim_end());
}
