//! How a record is printed: a pattern as kcat has it.

use std::str::FromStr;

use anyhow::Result;

use crate::cluster::Found;
use crate::escape::escaped;
use crate::output::Output;

/// A pattern, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Value,
    Key,
    Headers,
    Topic,
    Partition,
    Offset,
    Timestamp,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(pattern: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            let part = match c {
                '%' => match chars.next() {
                    Some('s') => Part::Value,
                    Some('k') => Part::Key,
                    Some('h') => Part::Headers,
                    Some('t') => Part::Topic,
                    Some('p') => Part::Partition,
                    Some('o') => Part::Offset,
                    Some('T') => Part::Timestamp,
                    Some('%') => {
                        text.push(b'%');
                        continue;
                    }
                    Some(other) => {
                        return Err(format!("%{other} means nothing; there are %s %k %h %t %p %o %T %%"));
                    }
                    None => return Err("it ends in a single %; write %% for a percent sign".to_owned()),
                },
                '\\' => {
                    text.push(escaped(&mut chars)?);
                    continue;
                }
                c => {
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
            };
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(part);
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self(parts))
    }
}

impl Format {
    pub(crate) fn print(&self, topic: &str, found: &Found, null: &[u8], output: &mut Output) -> Result<()> {
        let record = &found.record;
        for part in &self.0 {
            match part {
                Part::Text(text) => output.write(text)?,
                Part::Value => output.write(record.value.as_deref().unwrap_or(null))?,
                Part::Key => output.write(record.key.as_deref().unwrap_or(null))?,
                Part::Topic => output.write(topic.as_bytes())?,
                Part::Partition => output.write(found.partition.to_string().as_bytes())?,
                Part::Offset => output.write(found.offset.to_string().as_bytes())?,
                Part::Timestamp => output.write(record.timestamp.to_string().as_bytes())?,
                Part::Headers => {
                    for (index, header) in record.headers.iter().enumerate() {
                        if index > 0 {
                            output.write(b",")?;
                        }
                        output.write(header.key().as_bytes())?;
                        output.write(b"=")?;
                        output.write(header.value().map_or(null, |value| value))?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_taken_apart() {
        let text = |text: &str| Part::Text(text.into());
        for (pattern, parts) in [
            ("", vec![]),
            (r"%s\n", vec![Part::Value, text("\n")]),
            (
                r"100%% \\ %p-%o\t%k:%h",
                vec![
                    text("100% \\ "),
                    Part::Partition,
                    text("-"),
                    Part::Offset,
                    text("\t"),
                    Part::Key,
                    text(":"),
                    Part::Headers,
                ],
            ),
        ] {
            assert_eq!(pattern.parse(), Ok(Format(parts)), "{pattern}");
        }
        for pattern in ["%", "%x", "a%", r"\q", r"a\"] {
            assert!(pattern.parse::<Format>().is_err(), "{pattern}");
        }
    }
}
