//! Key and value of a line.

/// How a line is made up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'a> {
    separator: Option<&'a [u8]>,
    null: Option<&'a [u8]>,
}

/// A line, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    /// A separator was looked for in vain.
    pub(super) is_unparted: bool,
}

impl<'a> Layout<'a> {
    /// The separator is not empty: such a one would stand everywhere.
    pub(super) fn new(separator: Option<&'a [u8]>, null: Option<&'a str>) -> Self {
        Self { separator, null: null.map(str::as_bytes) }
    }

    pub(super) fn parse<'l>(&self, line: &'l [u8]) -> Parsed<'l> {
        let found = self.separator.and_then(|separator| {
            let at = line.windows(separator.len()).position(|window| window == separator)?;
            Some((&line[..at], &line[at + separator.len()..]))
        });
        let is_unparted = self.separator.is_some() && found.is_none();
        let (key, value) = found.map_or((None, line), |(key, value)| (Some(key), value));
        let non_null = |bytes: &&[u8]| self.null != Some(*bytes);
        Parsed { key: key.filter(non_null), value: Some(value).filter(non_null), is_unparted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_key_and_value() {
        let parse = |separator: Option<&'static str>, null, line: &'static str| {
            let layout = Layout::new(separator.map(str::as_bytes), null);
            let Parsed { key, value, is_unparted } = layout.parse(line.as_bytes());
            assert_eq!(is_unparted, separator.is_some_and(|separator| !line.contains(separator)));
            let text = |bytes: Option<&'static [u8]>| bytes.map(|bytes| std::str::from_utf8(bytes).unwrap());
            (text(key), text(value))
        };
        assert_eq!(parse(None, None, "a:b"), (None, Some("a:b")));
        assert_eq!(parse(Some(":"), None, "a:b:c"), (Some("a"), Some("b:c")));
        assert_eq!(parse(Some("::"), None, "a:b::c"), (Some("a:b"), Some("c")));
        assert_eq!(parse(Some(":"), None, "ab"), (None, Some("ab")));
        assert_eq!(parse(Some(":"), None, ":"), (Some(""), Some("")));
        assert_eq!(parse(Some(":"), Some("NULL"), "a:NULL"), (Some("a"), None));
        assert_eq!(parse(Some(":"), Some("NULL"), "NULL:b"), (None, Some("b")));
        assert_eq!(parse(None, Some(""), ""), (None, None));
    }
}
