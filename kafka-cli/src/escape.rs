//! Backslashes in patterns that people type, as kcat reads them: `\n`, `\t`, `\x1f`.

/// What a backslash and the characters after it mean.
///
/// # Errors
/// They mean nothing.
pub(crate) fn escaped(rest: &mut std::str::Chars<'_>) -> Result<u8, String> {
    Ok(match rest.next() {
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some('x') => {
            let digits: String = rest.by_ref().take(2).collect();
            let is_hex = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let byte = is_hex.then(|| u8::from_str_radix(&digits, 16).ok()).flatten();
            byte.ok_or_else(|| format!(r"\x{digits}: after \x there are two hexadecimal digits, as in \x1f"))?
        }
        Some(other) => {
            return Err(format!(r"\{other} means nothing; there are \n \r \t \0 \\ and \x1f"));
        }
        None => return Err(r"it ends in a single \; write \\ for a backslash".to_owned()),
    })
}

/// The bytes of a text with escapes.
///
/// # Errors
/// An escape means nothing.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => bytes.push(escaped(&mut chars)?),
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_bytes_or_nothing() {
        assert_eq!(unescape(r"a\n\r\t\0\\\xfF\x00z").unwrap(), b"a\n\r\t\0\\\xff\0z");
        assert_eq!(unescape("é: ").unwrap(), "é: ".as_bytes());
        for wrong in [r"\q", r"\", r"a\", r"\x", r"\x1", r"\xg0", r"\x+1", r"\xé"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }
}
