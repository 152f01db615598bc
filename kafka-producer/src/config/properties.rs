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
    let mut properties = Vec::new();
    let mut lines = natural_lines(text.strip_prefix('\u{feff}').unwrap_or(text)).zip(1..);
    while let Some((first, line)) = lines.next() {
        let first = first.trim_start_matches(BLANKS);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while continues(&logical) {
            logical.pop();
            // Java ends quietly where the text ends in a backslash; so does this.
            let Some((next, _)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(BLANKS));
        }
        let (key, value) = split(&logical);
        properties.push(Property { line, key: unescape(key, line)?, value: unescape(value, line)? });
    }
    Ok(properties)
}

/// Lines that end in `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let (line, tail) = text.split_at(end);
        rest = Some(tail.strip_prefix("\r\n").unwrap_or_else(|| &tail[1..]));
        Some(line)
    })
}

/// Whether the line ends in a backslash that is not itself protected by one.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
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

    #[test]
    fn skips_comments_and_counts_lines() {
        let text = "# one\r! two\r\n\n   # a comment does not go on \\\na=1\\\n   2\n# x\nb=3\n";
        assert_eq!(pairs(text), [(5, "a".into(), "12".into()), (8, "b".into(), "3".into())]);
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
