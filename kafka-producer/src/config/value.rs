//! The types that settings have in Kafka, read from text.

/// The type and range of a setting.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A whole number in a range.
    Int { min: i64, max: i64, unit: Unit },
    /// `true` or `false`, in any case.
    Bool,
    /// Any text.
    Text,
    /// One of these words, spelled exactly so.
    Choice(&'static [&'static str]),
    /// One of these words, in any case.
    ChoiceAnyCase(&'static [&'static str]),
    /// Texts parted by commas.
    List,
}

/// What a whole number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Millis,
    Plain,
}

/// A value that its [`Kind`] let pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Int(i64),
    Bool(bool),
    /// Text, or a choice in the spelling of its list.
    Text(String),
    List(Vec<String>),
}

impl Kind {
    /// Reads a value, blanks around it trimmed as Kafka does.
    ///
    /// # Errors
    ///
    /// What was expected instead, to follow the name of the setting and its value.
    pub(super) fn parse(&self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        match self {
            Self::Int { min, max, unit } => match text.parse::<i64>() {
                Ok(number) if (*min..=*max).contains(&number) => Ok(Value::Int(number)),
                _ => Err(unit.expected(*min, *max, text)),
            },
            Self::Bool if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            Self::Bool if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            Self::Bool => Err("expected true or false".to_owned()),
            Self::Text => Ok(Value::Text(text.to_owned())),
            Self::Choice(words) => {
                let case = words.iter().find(|word| word.eq_ignore_ascii_case(text));
                let hint = case.map_or_else(String::new, |word| format!("; write {word}"));
                choice(words, |word| **word == text).map_err(|expected| expected + &hint)
            }
            Self::ChoiceAnyCase(words) => choice(words, |word| word.eq_ignore_ascii_case(text)),
            Self::List => list(text),
        }
    }
}

/// What a value that cannot be read was meant to be, where it is written as elsewhere: in YAML or JSON, in a shell.
pub(super) fn habit(text: &str) -> &'static str {
    let text = text.trim();
    match (text.chars().next(), text.chars().last()) {
        (Some('"' | '\''), _) => "; leave the quotes out",
        (Some('['), Some(']')) => "; leave the brackets out, write a:1,b:2",
        _ if text.contains(" #") => "; a # begins a comment only where a line begins",
        _ => "",
    }
}

impl Value {
    pub(super) fn into_int(self) -> i64 {
        if let Self::Int(number) = self { number } else { unreachable_kind(0) }
    }

    pub(super) fn into_bool(self) -> bool {
        if let Self::Bool(is) = self { is } else { unreachable_kind(false) }
    }

    pub(super) fn into_text(self) -> String {
        if let Self::Text(text) = self { text } else { unreachable_kind(String::new()) }
    }

    pub(super) fn into_list(self) -> Vec<String> {
        if let Self::List(list) = self { list } else { unreachable_kind(Vec::new()) }
    }
}

impl Unit {
    fn expected(self, min: i64, max: i64, text: &str) -> String {
        let what = match self {
            Self::Bytes => "a whole number of bytes",
            Self::Millis => "a whole number of milliseconds",
            Self::Plain => "a whole number",
        };
        let range = match (min, max) {
            (i64::MIN, i64::MAX) => String::new(),
            (min, i64::MAX) => format!(", {min} or more"),
            (i64::MIN, max) => format!(", {max} or less"),
            (min, max) => format!(" from {min} to {max}"),
        };
        let meant = self.meant(text).filter(|meant| (min..=max).contains(meant));
        let meant = meant.map_or_else(String::new, |meant| format!("; write {meant}"));
        format!("expected {what}{range}{meant}")
    }

    /// The number that somebody who wrote `16k`, `1 MiB`, `5s` or `100ms` had in mind.
    fn meant(self, text: &str) -> Option<i64> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, suffix) = text.split_at(digits);
        let suffix = suffix.trim().to_ascii_lowercase();
        let factor = match (self, suffix.as_str()) {
            (Self::Bytes, "b" | "bytes") => 1,
            (Self::Bytes, "k" | "kb" | "kib") => 1 << 10,
            (Self::Bytes, "m" | "mb" | "mib") => 1 << 20,
            (Self::Bytes, "g" | "gb" | "gib") => 1 << 30,
            (Self::Millis, "ms") => 1,
            (Self::Millis, "s" | "sec") => 1_000,
            (Self::Millis, "m" | "min") => 60_000,
            (Self::Millis, "h") => 3_600_000,
            _ => return None,
        };
        number.parse::<i64>().ok()?.checked_mul(factor)
    }
}

fn choice(words: &[&str], is: impl Fn(&&&str) -> bool) -> Result<Value, String> {
    match words.iter().find(is) {
        Some(word) => Ok(Value::Text((*word).to_owned())),
        None => Err(format!("expected {}", one_of(words))),
    }
}

/// `a, b or c`.
fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [some @ .., last] => format!("{} or {last}", some.join(", ")),
    }
}

/// Entries without repetition, as Kafka 4.3 reads lists; but for a comma at the end, which is told elsewhere.
fn list(text: &str) -> Result<Value, String> {
    let mut entries = Vec::new();
    if text.is_empty() {
        return Ok(Value::List(entries));
    }
    let text = text.strip_suffix(',').unwrap_or(text);
    for entry in text.split(',').map(str::trim) {
        if entry.is_empty() {
            return Err("expected entries parted by single commas, none of them empty".to_owned());
        }
        if !entries.iter().any(|known| known == entry) {
            entries.push(entry.to_owned());
        }
    }
    Ok(Value::List(entries))
}

/// The table gives each setting a kind and something that takes values of it; a test visits every row.
#[cold]
fn unreachable_kind<T>(instead: T) -> T {
    debug_assert!(false, "a row of the table takes a value of another kind than it reads");
    instead
}
