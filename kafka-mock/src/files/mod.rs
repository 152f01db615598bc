//! Scripts as text: TOML that says what [`Script`](crate::Script) and [`ProxyBuilder`](crate::proxy::ProxyBuilder) say in Rust.

#[macro_use]
mod tables;

mod proxy;
mod script;
mod words;

use std::fmt;

/// What is wrong with a script's text: where, and what was expected there.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptError {
    line: Option<usize>,
    source: toml::de::Error,
}

impl ScriptError {
    fn new(text: &str, source: toml::de::Error) -> Self {
        let before = source.span().and_then(|span| text.get(..span.start));
        Self { line: before.map(|before| before.matches('\n').count() + 1), source }
    }

    /// The line, counted from 1, if it is known.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        self.source.message()
    }
}

/// The place, the line itself, and what is wrong with it, on several lines.
impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source.to_string().trim_end())
    }
}

impl std::error::Error for ScriptError {}
