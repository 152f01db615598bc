//! Numbers as people read them.

use std::time::Duration;

/// `1 234 567`: with narrow gaps, which no language takes for a decimal point.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `2 records`; batches are the only word here that needs an `e`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    let plural = match (number, what.ends_with("ch")) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{} {what}{plural}", count(number))
}

/// `12 B`, `3.4 KiB`, `56.7 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// `12 us`, `3.4 ms`, `5.67 s`.
pub(crate) fn time(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

/// `97 %`.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// Things a second; none where no time passed.
pub(crate) fn rate(number: u64, time: Duration) -> u64 {
    if time.is_zero() { 0 } else { (number as f64 / time.as_secs_f64()) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(
            [counted(1, "batch"), counted(2, "batch"), counted(0, "record")],
            ["1 batch", "2 batches", "0 records"]
        );
        for (number, text) in
            [(1_023, "1023 B"), (1_024, "1.0 KiB"), ((1 << 20) - 1, "1.0 MiB"), (1 << 30, "1.0 GiB")]
        {
            assert_eq!(bytes(number), text);
        }
        for (micros, text) in [(7, "7 us"), (1_500, "1.5 ms"), (2_345_678, "2.35 s")] {
            assert_eq!(time(Duration::from_micros(micros)), text);
        }
        assert_eq!((rate(10, Duration::ZERO), rate(10, Duration::from_secs(4))), (0, 2));
    }
}
