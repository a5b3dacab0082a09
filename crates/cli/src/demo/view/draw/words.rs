//! Numbers and times in words.

use std::time::Duration;

/// `1,234,567`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A length of time: `612 ms`, `4.2 s`, `48 s`, `3 min`.
pub(super) fn length(time: Duration) -> String {
    match (time.as_millis(), time.as_secs()) {
        (ms @ 0..1_000, _) => format!("{ms} ms"),
        (ms @ 1_000..10_000, _) => format!("{}.{} s", ms / 1_000, ms / 100 % 10),
        (_, seconds @ 0..120) => format!("{seconds} s"),
        (_, seconds) => format!("{} min", seconds / 60),
    }
}

/// A moment since the beginning: `01:23.4`.
pub(super) fn moment(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}.{}", seconds / 60, seconds % 60, time.subsec_millis() / 100)
}

/// The first of these words that fit, or the last.
pub(super) fn fitting<S: AsRef<str>>(room: usize, words: &[S]) -> String {
    let fits = words.iter().find(|words| words.as_ref().chars().count() <= room);
    fits.or(words.last()).map_or_else(String::new, |words| words.as_ref().to_owned())
}

/// `one, two and three`.
pub(super) fn list(things: &[&str]) -> String {
    match things {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        let ms = Duration::from_millis;
        assert_eq!(
            [0, 612, 1_290, 48_700, 125_000].map(ms).map(length),
            ["0 ms", "612 ms", "1.2 s", "48 s", "2 min"]
        );
        assert_eq!([0, 83_456, 6_000_000].map(ms).map(moment), ["00:00.0", "01:23.4", "100:00.0"]);
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn the_longest_words_that_fit_are_chosen() {
        assert_eq!(fitting(5, &["too long", "fits", "f"]), "fits");
        assert_eq!(fitting(0, &["too long", "last"]), "last");
    }
}
