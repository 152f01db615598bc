//! The `.properties` text form, as `java.util.Properties` reads it.
//!
//! Lines that start with `#` or `!` are comments. A key ends at the first `=`, `:` or blank that no backslash
//! protects. A line that ends in an odd number of backslashes goes on in the next one, whose leading blanks do not
//! count. `\t \n \r \f` and `\uXXXX` (UTF-16 units, as in Java) are characters; a backslash before any other
//! character only protects it. Two things differ from Java on purpose: the text is UTF-8, and a byte order mark at its start is
//! skipped, because it would become part of the first key.

use super::ConfigError;

/// One `key=value` of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Property {
    /// Where its first line stands in the text, counted from 1.
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: String,
}

/// Reads all properties of `text`, in order, repeated keys included.
pub(super) fn parse(text: &str) -> Result<Vec<Property>, ConfigError> {
    let mut reader = LineReader::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut properties = Vec::new();
    while let Some((line, logical)) = reader.next() {
        let (key, value) = split(&logical);
        properties.push(Property { line, key: unescape(key, line)?, value: unescape(value, line)? });
    }
    Ok(properties)
}

/// Logical lines, comments left out, as `java.util.Properties` parts them.
///
/// It goes character by character as Java does, because a backslash that stands alone on its line is no line at all: what
/// follows may still be a comment or nothing, and only at the end of the text it is a key without a name.
struct LineReader<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    /// The natural line that is read, counted from 1.
    line: usize,
    /// A `\r` was read, and a `\n` after it ends no other line.
    after_return: bool,
}

impl<'a> LineReader<'a> {
    fn new(text: &'a str) -> Self {
        Self { chars: text.chars().peekable(), line: 1, after_return: false }
    }

    /// The next logical line, with the number of the natural one that it begins on.
    fn next(&mut self) -> Option<(usize, String)> {
        let mut logical = String::new();
        let mut first = self.line;
        // Blanks count for nothing at the beginning of a line; empty lines neither, but for one that was appended.
        let (mut skips, mut is_appended, mut is_protected) = (true, false, false);
        loop {
            let line = self.line;
            let Some(c) = self.read() else {
                if is_protected {
                    logical.pop();
                    return Some((first, logical));
                }
                return (!logical.is_empty()).then_some((first, logical));
            };
            let is_end = matches!(c, '\n' | '\r');
            if skips {
                if BLANKS.contains(&c) || (is_end && !is_appended) {
                    continue;
                }
                (skips, is_appended) = (false, false);
            }
            match c {
                '#' | '!' if logical.is_empty() => {
                    self.skip_comment();
                    skips = true;
                }
                _ if !is_end => {
                    if logical.is_empty() {
                        first = line;
                    }
                    logical.push(c);
                    is_protected = c == '\\' && !is_protected;
                }
                _ if logical.is_empty() => skips = true,
                _ if is_protected => {
                    let is_last = self.chars.peek().is_none();
                    logical.pop();
                    if is_last {
                        return Some((first, logical));
                    }
                    if c == '\r' && self.chars.peek() == Some(&'\n') {
                        self.read();
                    }
                    (skips, is_appended, is_protected) = (true, true, false);
                }
                _ => return Some((first, logical)),
            }
        }
    }

    fn read(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        if c == '\r' || (c == '\n' && !self.after_return) {
            self.line += 1;
        }
        self.after_return = c == '\r';
        Some(c)
    }

    fn skip_comment(&mut self) {
        while self.read().is_some_and(|c| !matches!(c, '\n' | '\r')) {}
    }
}

/// Parts a logical line into key and value, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut protected = false;
    let end = line
        .char_indices()
        .find(|&(_, c)| {
            let ends = !protected && (matches!(c, '=' | ':') || BLANKS.contains(&c));
            protected = !protected && c == '\\';
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(BLANKS))
}

fn unescape(text: &str, line: usize) -> Result<String, ConfigError> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut plain = String::with_capacity(text.len());
    // Units of \u escapes that stand side by side: a pair of them may be one character.
    let mut units = Vec::new();
    let mut chars = text.chars();
    loop {
        let c = chars.next();
        let escaped = if c == Some('\\') { chars.next() } else { None };
        if escaped == Some('u') {
            units.push(unit(&mut chars, line)?);
            continue;
        }
        for decoded in char::decode_utf16(units.drain(..)) {
            plain.push(decoded.map_err(|error| {
                let unit = error.unpaired_surrogate();
                ConfigError::syntax(
                    line,
                    format!("\\u{unit:04x} is half of a surrogate pair, and the other half is missing"),
                )
            })?);
        }
        match (c, escaped) {
            (None, _) => return Ok(plain),
            (Some('\\'), Some(escaped)) => plain.push(match escaped {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                'f' => '\x0c',
                other => other,
            }),
            (Some('\\'), None) => {}
            (Some(c), _) => plain.push(c),
        }
    }
}

/// The four digits after `\u`.
fn unit(chars: &mut std::str::Chars<'_>, line: usize) -> Result<u16, ConfigError> {
    let digits: String = chars.take(4).collect();
    // `from_str_radix` would take a sign.
    let valid = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| u16::from_str_radix(&digits, 16).ok()).flatten().ok_or_else(|| {
        ConfigError::syntax(
            line,
            format!("`\\u{digits}`: \\u is followed by four hexadecimal digits, as in \\u00e9; a backslash that is meant as such is written \\\\"),
        )
    })
}

/// What Java's reader takes for white space.
const BLANKS: [char; 3] = [' ', '\t', '\x0c'];

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        parse(text).unwrap().into_iter().map(|p| (p.line, p.key, p.value)).collect()
    }

    /// Each text with what `java.util.Properties` of OpenJDK 17 reads from it.
    #[test]
    fn reads_as_java_does() {
        #[rustfmt::skip]
        let table: &[(&str, &str, &str)] = &[
            ("a=b", "a", "b"),
            ("a:b", "a", "b"),
            ("a b", "a", "b"),
            ("  a \t = \x0c b ", "a", "b "),
            ("a==b", "a", "=b"),
            ("a = : b", "a", ": b"),
            ("a", "a", ""),
            ("a=", "a", ""),
            ("=b", "", "b"),
            ("a\\=b=c", "a=b", "c"),
            ("a\\ b c", "a b", "c"),
            ("a\\:b:c", "a:b", "c"),
            ("a=b\\\n   c", "a", "bc"),
            ("a=b\\\r\n\tc", "a", "bc"),
            ("a=b\\\\\n", "a", "b\\"),
            ("a=b\\\\\\\nc", "a", "b\\c"),
            ("a=b\\", "a", "b"),
            ("a=\\u0041\\u00e9", "a", "Aé"),
            ("a=\\ud83d\\ude00!", "a", "😀!"),
            ("a=\\t\\n\\r\\f\\q\\\\", "a", "\t\n\r\x0cq\\"),
            ("a\\u003db=c", "a=b", "c"),
            ("a=C:\\\\temp", "a", "C:\\temp"),
            ("\u{feff}a=b", "a", "b"),
        ];
        for &(text, key, value) in table {
            assert_eq!(pairs(text), [(1, key.to_owned(), value.to_owned())], "{text:?}");
        }
    }

    /// Texts with backslashes and line ends at random places, the larger half with a line that holds a backslash alone.
    #[test]
    fn random_texts_are_read_as_java_reads_them() {
        let unhex = |hex: &str| {
            let bytes = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
            String::from_utf8(bytes.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()).unwrap()
        };
        for line in include_str!("../../tests/golden/properties-java17.txt").lines().skip(1) {
            let (text, expected) = line.split_once(' ').unwrap();
            let text = unhex(text);
            let found = parse(&text).ok().map(|it| it.into_iter().map(|it| (it.key, it.value)).collect());
            let expected: Option<Vec<_>> = (expected != "ERR").then(|| {
                let pairs = expected.split(',').filter_map(|pair| pair.split_once('='));
                pairs.map(|(key, value)| (unhex(key), unhex(value))).collect()
            });
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn skips_comments_and_counts_lines() {
        let text = "# one\r! two\r\n\n   # a comment does not go on \\\na=1\\\n   2\n# x\nb=3\n";
        assert_eq!(pairs(text), [(5, "a".into(), "12".into()), (8, "b".into(), "3".into())]);
        // A backslash alone is no line, and what follows it may be a comment.
        assert_eq!(pairs("\\\n# x\n\\\n\na=1\n"), [(5, "a".into(), "1".into())]);
        assert_eq!(pairs("a=1\r\n\r\nb=2\r\n"), [(1, "a".into(), "1".into()), (3, "b".into(), "2".into())]);
    }

    #[test]
    fn names_the_line_of_a_broken_escape() {
        for text in ["x=1\na=\\u00g1", "x=1\na=\\u12", "x=1\na=\\u+123", "x=1\na=\\ud83d x", "x=1\na=\\"] {
            match parse(text) {
                Err(error) => assert_eq!(error.line(), Some(2), "{text:?}"),
                Ok(_) => assert!(text.ends_with("a=\\"), "{text:?}"),
            }
        }
    }
}
