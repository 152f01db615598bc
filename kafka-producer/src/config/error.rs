//! What is wrong, or only remarkable, about settings.

use std::{error, fmt};

/// Settings that cannot be used: which one, why, and what to write instead.
///
/// Two settings that contradict each other are both named, with a value that works. The value of a setting that
/// holds a secret, or whose name is not known, is never repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    line: Option<usize>,
    setting: Option<Box<str>>,
    other: Option<&'static str>,
    text: Box<str>,
}

/// What kind of mistake a [`ConfigError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// No producer of Kafka 4.4.0 has a setting of this name.
    Unknown,
    /// The value is not of the setting's type, or outside its range.
    Value,
    /// The setting exists in Kafka, and this release cannot honour the value.
    NotImplemented,
    /// A codec or a level that this build leaves out: the text names the cargo feature.
    NotCompiledIn,
    /// Two settings that no reading can satisfy together.
    Contradiction,
    /// A setting without which nothing can start.
    Missing,
    /// The text is not in properties form.
    Syntax,
    /// The tokio runtime that it is called on lacks something, or there is none.
    Runtime,
}

impl ConfigError {
    pub(super) fn new(kind: ConfigErrorKind, setting: &str, text: impl Into<Box<str>>) -> Self {
        Self { kind, line: None, setting: Some(setting.into()), other: None, text: text.into() }
    }

    pub(super) fn contradiction(
        setting: &'static str,
        other: &'static str,
        text: impl Into<Box<str>>,
    ) -> Self {
        Self { other: Some(other), ..Self::new(ConfigErrorKind::Contradiction, setting, text) }
    }

    pub(crate) fn runtime(lack: &str) -> Self {
        Self { kind: ConfigErrorKind::Runtime, line: None, setting: None, other: None, text: lack.into() }
    }

    pub(super) fn syntax(line: usize, text: impl Into<Box<str>>) -> Self {
        Self {
            kind: ConfigErrorKind::Syntax,
            line: Some(line),
            setting: None,
            other: None,
            text: text.into(),
        }
    }

    pub(super) fn at_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    /// What kind of mistake it is.
    #[must_use]
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }

    /// The setting at fault, by its name in Kafka; none if the text could not be split into names and values,
    /// or settings are not at fault.
    #[must_use]
    pub fn setting(&self) -> Option<&str> {
        self.setting.as_deref()
    }

    /// The setting that [`setting`](Self::setting) contradicts.
    #[must_use]
    pub fn other_setting(&self) -> Option<&str> {
        self.other
    }

    /// The line of the properties text, counted from 1, where it was given one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.text)
    }
}

impl error::Error for ConfigError {}

impl From<kafka_batch::LimitsError> for ConfigError {
    fn from(error: kafka_batch::LimitsError) -> Self {
        Self::new(ConfigErrorKind::Value, error.setting(), error.to_string())
    }
}

impl From<kafka_net::ConfigError> for ConfigError {
    fn from(error: kafka_net::ConfigError) -> Self {
        Self::new(ConfigErrorKind::Value, error.setting(), error.to_string())
    }
}

/// Something about the settings that works, and that whoever wrote them should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    kind: ConfigWarningKind,
    line: Option<usize>,
    setting: Box<str>,
    text: Box<str>,
}

/// What kind of remark a [`ConfigWarning`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigWarningKind {
    /// No producer of Kafka 4.4.0 has a setting of this name; it was ignored.
    Unknown,
    /// The setting has nothing to act on here, for most because it names a Java class; it was ignored.
    NoEffect,
    /// Another setting makes this one act otherwise than written; the text says how.
    Adjusted,
    /// The setting is given more than once; the last one counts.
    Repeated,
}

impl ConfigWarning {
    pub(super) fn new(kind: ConfigWarningKind, setting: &str, text: impl Into<Box<str>>) -> Self {
        Self { kind, line: None, setting: setting.into(), text: text.into() }
    }

    pub(super) fn at_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    /// What kind of remark it is.
    #[must_use]
    pub fn kind(&self) -> ConfigWarningKind {
        self.kind
    }

    /// The setting it is about, as it was written.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.setting
    }

    /// The line of the properties text, counted from 1, where it was given one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.text)
    }
}
