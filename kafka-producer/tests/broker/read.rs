//! What other people's readers print, compared byte for byte.
//!
//! Nothing is taken out of the output but a record's partition, offset and timestamp, which come first; the rest must
//! be what the reader would print for the record that was sent. So no byte in a key or value can be mistaken for
//! something else.

use std::collections::BTreeMap;

use crate::records::{Planned, Topic};

/// A reader's way to print.
pub(crate) trait Format {
    /// Partition, offset and timestamp of the record that begins here, and how long that text is.
    fn prefix(&self, output: &[u8]) -> Option<(Prefix, usize)>;
    /// What must come after it.
    fn rest(&self, record: &Planned) -> Vec<u8>;
}

/// What is taken out of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
}

/// Goes through a reader's whole output: every record once, those of a partition in order, and nothing else.
pub(crate) fn compare(topic: &Topic<'_>, output: &[u8], format: &dyn Format) -> Result<(), String> {
    let mut next: BTreeMap<i32, usize> = BTreeMap::new();
    let mut at = 0;
    while at < output.len() {
        let show = || String::from_utf8_lossy(&output[at..output.len().min(at + 200)]).into_owned();
        let (prefix, size) =
            format.prefix(&output[at..]).ok_or_else(|| format!("no record at byte {at}: {:?}", show()))?;
        let Prefix { partition, offset, timestamp } = prefix;
        let log = topic.logs.get(&partition).ok_or_else(|| format!("partition {partition} must be empty"))?;
        let expected = next.entry(partition).or_default();
        if usize::try_from(offset) != Ok(*expected) {
            return Err(format!("partition {partition}: offset {offset} came in place of {expected}"));
        }
        let record = *log
            .get(*expected)
            .ok_or_else(|| format!("partition {partition}: offset {offset} is too many"))?;
        let in_time = match record.timestamp {
            Some(given) => given == timestamp,
            None => topic.clock.contains(&timestamp),
        };
        if !in_time {
            return Err(format!(
                "{partition}/{offset}: timestamp {timestamp}, sent with {:?}",
                record.timestamp
            ));
        }
        at += size;
        let rest = format.rest(record);
        if !output[at..].starts_with(&rest) {
            let found = &output[at..output.len().min(at + rest.len())];
            let differs = rest.iter().zip(found).take_while(|(a, b)| a == b).count();
            let from = differs.saturating_sub(20);
            let show =
                |bytes: &[u8]| bytes[from.min(bytes.len())..].iter().take(60).copied().collect::<Vec<_>>();
            return Err(format!(
                "{partition}/{offset}: differs at byte {differs} of {}: sent {}, found {}",
                rest.len(),
                show(&rest).escape_ascii(),
                show(found).escape_ascii()
            ));
        }
        at += rest.len();
        *expected += 1;
    }
    for (partition, log) in &topic.logs {
        let read = next.get(partition).copied().unwrap_or_default();
        if read != log.len() {
            return Err(format!("partition {partition}: {read} of {} records were read", log.len()));
        }
    }
    Ok(())
}

/// kcat with [`FORMAT`](Kcat::FORMAT).
pub(crate) struct Kcat;

impl Kcat {
    /// Partition, offset, timestamp, sizes of key and value (-1 for null), key, value, headers, end of line.
    pub(crate) const FORMAT: &str = "%p %o %T %K %S %k%s%h\n";
}

impl Format for Kcat {
    fn prefix(&self, output: &[u8]) -> Option<(Prefix, usize)> {
        let mut size = 0;
        let mut number = || {
            let digits = output[size..].split(|byte| *byte == b' ').next()?;
            size += digits.len() + 1;
            std::str::from_utf8(digits).ok()?.parse::<i64>().ok()
        };
        let (partition, offset, timestamp) = (number()?, number()?, number()?);
        Some((Prefix { partition: partition.try_into().ok()?, offset, timestamp }, size))
    }

    fn rest(&self, record: &Planned) -> Vec<u8> {
        let length =
            |bytes: Option<&Vec<u8>>| bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.len().to_string());
        let (key, value) = (record.key.as_ref(), record.value.as_ref());
        let mut text = format!("{} {} ", length(key), length(value)).into_bytes();
        text.extend(key.into_iter().flatten());
        text.extend(value.into_iter().flatten());
        for (index, (name, value)) in record.headers.iter().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            text.extend(name.bytes());
            text.push(b'=');
            // It prints a value up to its first zero. The console consumer shows the rest.
            let value = value.as_deref().unwrap_or(b"NULL");
            text.extend(value.iter().take_while(|byte| **byte != 0));
        }
        text.push(b'\n');
        text
    }
}

/// Kafka's console consumer with [`PROPERTIES`](Console::PROPERTIES).
pub(crate) struct Console;

impl Console {
    /// Everything printed, parted by texts that tell null from the text "null", and one field from the next.
    pub(crate) const PROPERTIES: [&str; 9] = [
        "print.timestamp=true",
        "print.partition=true",
        "print.offset=true",
        "print.headers=true",
        "print.key=true",
        "null.literal=<NULL>",
        "key.separator=<KEY>",
        "headers.separator=<HEADER>",
        "line.separator=<END>",
    ];
}

impl Format for Console {
    fn prefix(&self, output: &[u8]) -> Option<(Prefix, usize)> {
        let mut size = 0;
        let mut number = |name: &str| {
            let digits = output[size..].strip_prefix(name.as_bytes())?;
            let digits = &digits[..digits.windows(5).position(|bytes| bytes == b"<KEY>")?];
            size += name.len() + digits.len() + 5;
            std::str::from_utf8(digits).ok()?.parse::<i64>().ok()
        };
        let (timestamp, partition, offset) =
            (number("CreateTime:")?, number("Partition:")?, number("Offset:")?);
        Some((Prefix { partition: partition.try_into().ok()?, offset, timestamp }, size))
    }

    fn rest(&self, record: &Planned) -> Vec<u8> {
        let null = b"<NULL>".as_slice();
        let mut text = Vec::new();
        if record.headers.is_empty() {
            text.extend(b"NO_HEADERS");
        }
        for (index, (name, value)) in record.headers.iter().enumerate() {
            if index > 0 {
                text.extend(b"<HEADER>");
            }
            text.extend(name.bytes());
            text.push(b':');
            text.extend(value.as_deref().unwrap_or(null));
        }
        text.extend(b"<KEY>");
        text.extend(record.key.as_deref().unwrap_or(null));
        text.extend(b"<KEY>");
        text.extend(record.value.as_deref().unwrap_or(null));
        text.extend(b"<END>");
        text
    }
}

#[test]
fn differences_are_found() {
    let record = |value: &[u8]| Planned {
        key: Some(b"k".to_vec()),
        value: Some(value.to_vec()),
        headers: vec![("h".to_owned(), None)],
        timestamp: Some(5),
        partition: None,
    };
    let planned = [record(b"one"), record(b"two\n0 9 9"), record(b"")];
    let topic = Topic::new(&planned, &[(0, 0), (0, 1), (1, 0)], 0..=0).unwrap();
    let output = "0 0 5 1 3 koneh=NULL\n1 0 5 1 0 kh=NULL\n0 1 5 1 9 ktwo\n0 9 9h=NULL\n";
    compare(&topic, output.as_bytes(), &Kcat).unwrap();
    for (from, to, complaint) in [
        ("one", "oen", "0/0: differs"),
        ("0 0 5", "0 0 6", "timestamp 6"),
        ("0 1 5", "0 2 5", "offset 2 came in place of 1"),
        ("1 0 5", "2 0 5", "partition 2 must be empty"),
        ("1 0 5 1 0 kh=NULL\n", "", "partition 1: 0 of 1"),
        ("h=NULL\n0 1", "h=\n0 1", "1/0: differs"),
        ("1 0 5", "what", "no record at byte"),
    ] {
        let error = compare(&topic, output.replacen(from, to, 1).as_bytes(), &Kcat).unwrap_err();
        assert!(error.contains(complaint), "{error}");
    }
    let gap = Topic::new(&planned, &[(0, 0), (0, 2), (1, 0)], 0..=0).unwrap_err();
    assert!(gap.contains("record 1 has offset 2"), "{gap}");
}

#[test]
fn the_console_consumer_is_understood() {
    let planned = [
        Planned { key: None, value: None, headers: Vec::new(), timestamp: None, partition: None },
        Planned {
            key: Some(Vec::new()),
            value: Some(b"v".to_vec()),
            headers: vec![("a".to_owned(), None), ("b".to_owned(), Some(b"<KEY>".to_vec()))],
            timestamp: Some(7),
            partition: None,
        },
    ];
    let topic = Topic::new(&planned, &[(3, 0), (3, 1)], 100..=200).unwrap();
    let output = "CreateTime:150<KEY>Partition:3<KEY>Offset:0<KEY>NO_HEADERS<KEY><NULL><KEY><NULL><END>\
                  CreateTime:7<KEY>Partition:3<KEY>Offset:1<KEY>a:<NULL><HEADER>b:<KEY><KEY><KEY>v<END>";
    compare(&topic, output.as_bytes(), &Console).unwrap();
    let late = compare(&topic, output.replacen("150", "201", 1).as_bytes(), &Console).unwrap_err();
    assert!(late.contains("timestamp 201"), "{late}");
}
