//! The known word that a misspelt one was meant to be.

/// The candidate nearest to `word`, if one is near enough to be meant. Of a dotted candidate only the
/// last part is compared.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = letters(word);
    let far = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            let last_part = candidate.rsplit('.').next().unwrap_or(candidate);
            (distance(&word, &letters(last_part)), candidate)
        })
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "budget"?`
pub(super) fn did_you_mean(meant: &str) -> String {
    format!("; did you mean {meant:?}?")
}

/// The letters of a word, so that `max-reply`, `maxReply` and `max_reply` are the same.
fn letters(word: &str) -> Vec<char> {
    word.chars().filter(|letter| !matches!(letter, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// How many letters must be added, removed, changed or swapped with their neighbour.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other_letter) in other.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let changed = at(&last, j) + usize::from(letter != other_letter);
            let added_or_removed = at(&last, j + 1).min(at(&row, j)) + 1;
            let mut best = changed.min(added_or_removed);
            if i > 0 && j > 0 && one.get(i - 1) == Some(other_letter) && other.get(j - 1) == Some(letter) {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found() {
        let known = ["budget", "max_reply", "max_run_time", "retention", "defaults.grace"];
        let cases = [
            ("bugdet", Some("budget")),
            ("budgets", Some("budget")),
            ("max-reply", Some("max_reply")),
            ("maxReply", Some("max_reply")),
            ("max_runtime", Some("max_run_time")),
            ("retension", Some("retention")),
            ("grace", Some("defaults.grace")),
            ("timeout", None),
            ("x", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }

    #[test]
    fn distances() {
        let cases = [("", "", 0), ("", "abc", 3), ("abc", "acb", 1), ("kitten", "sitting", 3)];
        for (one, other, expected) in cases {
            assert_eq!(distance(&letters(one), &letters(other)), expected, "{one} {other}");
            assert_eq!(distance(&letters(other), &letters(one)), expected, "{other} {one}");
        }
    }
}
