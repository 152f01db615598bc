//! A command line taken apart by hand: a dozen options do not pay for a parser that every build must compile.

use std::collections::VecDeque;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// What is left of the command line. Options are taken out by name, in any order; `finish` refuses the rest.
#[derive(Debug)]
pub(crate) struct Args {
    left: VecDeque<String>,
    /// What stood after `--`: handed on untouched.
    after: Vec<String>,
}

impl Args {
    /// The process's arguments without the program's name.
    pub(crate) fn from_env() -> Self {
        Self::new(std::env::args().skip(1))
    }

    /// Arguments given one by one.
    pub(crate) fn new(given: impl IntoIterator<Item = String>) -> Self {
        let mut left: VecDeque<String> = given.into_iter().collect();
        let after = match left.iter().position(|word| word == "--") {
            Some(at) => {
                let mut after = left.split_off(at);
                after.pop_front();
                after.into()
            }
            None => Vec::new(),
        };
        Self { left, after }
    }

    /// The next word that is no option, if there is one.
    pub(crate) fn word(&mut self) -> Option<String> {
        if self.left.front().is_some_and(|word| !word.starts_with('-') || is_help(word)) {
            self.left.pop_front()
        } else {
            None
        }
    }

    /// Every word up to the next option.
    pub(crate) fn words(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.word()).collect()
    }

    /// Whether `name` was given; takes it out.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        match self.left.iter().position(|word| word == name) {
            Some(at) => self.left.remove(at).is_some(),
            None => false,
        }
    }

    /// The text after `name`, or after `name=`; takes both out.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>> {
        let joined = format!("{name}=");
        let Some(at) = self.left.iter().position(|word| word == name || word.starts_with(&joined)) else {
            return Ok(None);
        };
        let Some(word) = self.left.remove(at) else { return Ok(None) };
        if let Some(value) = word.strip_prefix(&joined) {
            return Ok(Some(value.to_owned()));
        }
        match self.left.remove(at) {
            Some(value) => Ok(Some(value)),
            None => bail!("{name} needs a value after it"),
        }
    }

    /// The value after `name`, parsed.
    pub(crate) fn value<T>(&mut self, name: &str) -> Result<Option<T>>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        self.text(name)?
            .map(|text| text.parse().with_context(|| format!("{name} cannot be `{text}`")))
            .transpose()
    }

    /// Every text given with `name`, in order.
    pub(crate) fn all(&mut self, name: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        while let Some(text) = self.text(name)? {
            found.push(text);
        }
        Ok(found)
    }

    /// Whether help was asked for.
    pub(crate) fn wants_help(&self) -> bool {
        self.left.iter().any(|word| is_help(word))
    }

    /// What stood after `--`.
    pub(crate) fn after(&mut self) -> Vec<String> {
        std::mem::take(&mut self.after)
    }

    /// Refuses whatever nobody took.
    pub(crate) fn finish(self) -> Result<()> {
        match self.left.front().or_else(|| self.after.first()) {
            Some(word) => bail!("`{word}` means nothing here; `cargo xtask help` lists what does"),
            None => Ok(()),
        }
    }
}

fn is_help(word: &str) -> bool {
    word == "--help" || word == "-h" || word == "help"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_taken_in_any_order() {
        let mut args = args("up -o a=1 --brokers=3 --port 9092 -o b=2 --quick -- --nocapture");
        assert_eq!(args.word().as_deref(), Some("up"));
        assert_eq!(args.value::<u16>("--port").unwrap(), Some(9092));
        assert_eq!(args.value::<u8>("--brokers").unwrap(), Some(3));
        assert_eq!(args.all("-o").unwrap(), ["a=1", "b=2"]);
        assert!(args.flag("--quick"));
        assert!(!args.flag("--quick"));
        assert_eq!(args.after(), ["--nocapture"]);
        args.finish().unwrap();
    }

    #[test]
    fn what_nobody_takes_is_refused() {
        let error = args("--brokrs 3").finish().unwrap_err().to_string();
        assert!(error.contains("--brokrs"), "{error}");
        assert!(args("--port").value::<u16>("--port").is_err());
        let error = format!("{:#}", args("--port x").value::<u16>("--port").unwrap_err());
        assert!(error.contains("--port cannot be `x`"), "{error}");
    }
}
