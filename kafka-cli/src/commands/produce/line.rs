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
}

impl<'a> Layout<'a> {
    /// An empty separator would stand everywhere: it is none.
    pub(super) fn new(separator: Option<&'a str>, null: Option<&'a str>) -> Self {
        let separator = separator.map(str::as_bytes).filter(|separator| !separator.is_empty());
        Self { separator, null: null.map(str::as_bytes) }
    }

    pub(super) fn parse<'l>(&self, line: &'l [u8]) -> Parsed<'l> {
        let found = self.separator.and_then(|separator| {
            let at = line.windows(separator.len()).position(|window| window == separator)?;
            Some((&line[..at], &line[at + separator.len()..]))
        });
        let (key, value) = found.map_or((None, line), |(key, value)| (Some(key), value));
        let non_null = |bytes: &&[u8]| self.null != Some(*bytes);
        Parsed { key: key.filter(non_null), value: Some(value).filter(non_null) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_key_and_value() {
        let parse = |separator, null, line: &'static str| {
            let Parsed { key, value } = Layout::new(separator, null).parse(line.as_bytes());
            let text = |bytes: Option<&'static [u8]>| bytes.map(|bytes| std::str::from_utf8(bytes).unwrap());
            (text(key), text(value))
        };
        assert_eq!(parse(None, None, "a:b"), (None, Some("a:b")));
        assert_eq!(parse(Some(""), None, "a:b"), (None, Some("a:b")));
        assert_eq!(parse(Some(":"), None, "a:b:c"), (Some("a"), Some("b:c")));
        assert_eq!(parse(Some("::"), None, "a:b::c"), (Some("a:b"), Some("c")));
        assert_eq!(parse(Some(":"), None, "ab"), (None, Some("ab")));
        assert_eq!(parse(Some(":"), None, ":"), (Some(""), Some("")));
        assert_eq!(parse(Some(":"), Some("NULL"), "a:NULL"), (Some("a"), None));
        assert_eq!(parse(Some(":"), Some("NULL"), "NULL:b"), (None, Some("b")));
        assert_eq!(parse(None, Some(""), ""), (None, None));
    }
}
