//! Numbers and times in words.

use std::time::Duration;

/// `1,234,567`.
pub(crate) fn number(number: u64) -> String {
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
pub(crate) fn length(time: Duration) -> String {
    match (time.as_millis(), time.as_secs()) {
        (ms @ 0..1_000, _) => format!("{ms} ms"),
        (ms @ 1_000..10_000, _) => format!("{}.{} s", ms / 1_000, ms / 100 % 10),
        (_, seconds @ 0..120) => format!("{seconds} s"),
        (_, seconds) => format!("{} min", seconds / 60),
    }
}

/// A rate of bytes: `12 B/s`, `1.2 kB/s`, `34 MB/s`.
pub(crate) fn bytes_per_second(rate: f64) -> String {
    let units = ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"];
    let (mut rate, mut unit) = (rate, 0);
    while rate >= 999.5 && unit + 1 < units.len() {
        rate /= 1e3;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && rate < 9.95);
    format!("{rate:.digits$} {}", units[unit])
}

/// Text of at most this width. What is left out is left out of the middle: a host's name and its port are at the ends.
pub(crate) fn middle(text: &str, width: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= width {
        return text.to_owned();
    }
    let Some(kept) = width.checked_sub(1) else { return String::new() };
    let (head, tail) = (kept - kept / 2, kept / 2);
    let (head, tail) = (&letters[..head], &letters[letters.len() - tail..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// A moment since the beginning: `01:23.4`.
pub(crate) fn moment(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}.{}", seconds / 60, seconds % 60, time.subsec_millis() / 100)
}

/// The first of these words that fit, or the last.
pub(crate) fn fitting<S: AsRef<str>>(room: usize, words: &[S]) -> String {
    let fits = words.iter().find(|words| words.as_ref().chars().count() <= room);
    fits.or(words.last()).map_or_else(String::new, |words| words.as_ref().to_owned())
}

/// `one, two and three`.
pub(crate) fn list(things: &[&str]) -> String {
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
        assert_eq!(
            [0.0, 999.4, 999.5, 12_345.0, 34e6, 5e17].map(bytes_per_second),
            ["0 B/s", "999 B/s", "1.0 kB/s", "12 kB/s", "34 MB/s", "500000 TB/s"]
        );
    }

    #[test]
    fn a_long_name_keeps_its_ends() {
        let name = "kafka-a0.example.com:9092";
        assert_eq!(
            [30, 25, 13, 2, 1, 0].map(|width| middle(name, width)),
            [name, name, "kafka-…m:9092", "k…", "…", ""]
        );
    }

    #[test]
    fn the_longest_words_that_fit_are_chosen() {
        assert_eq!(fitting(5, &["too long", "fits", "f"]), "fits");
        assert_eq!(fitting(0, &["too long", "last"]), "last");
    }
}
