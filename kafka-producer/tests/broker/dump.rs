//! What is on the brokers' disks, batch by batch, as Kafka's `DumpLogSegments --deep-iteration` tells it.

use std::collections::BTreeMap;

/// A batch in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) count: i64,
    pub(crate) base_sequence: i64,
    pub(crate) last_sequence: i64,
    pub(crate) producer: (i64, i64),
    pub(crate) codec: String,
    pub(crate) is_valid: bool,
    /// Offset and sequence of each record.
    pub(crate) records: Vec<(i64, i64)>,
}

/// The batches of each file.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Vec<Batch>>, String> {
    let mut files: BTreeMap<String, Vec<Batch>> = BTreeMap::new();
    let mut file = None;
    for line in text.lines() {
        let unreadable = || format!("cannot be read: {line}");
        if let Some(name) = line.strip_prefix("Dumping ") {
            file = Some(files.entry(name.to_owned()).or_default());
        } else if let Some(rest) = line.strip_prefix("| ") {
            let batch = file.as_mut().and_then(|batches| batches.last_mut()).ok_or_else(unreadable)?;
            let fields = Fields(rest);
            let record = fields.number("offset").zip(fields.number("sequence")).ok_or_else(unreadable)?;
            batch.records.push(record);
        } else if line.starts_with("baseOffset: ") {
            let batch = batch(&Fields(line)).ok_or_else(unreadable)?;
            file.as_mut().ok_or_else(unreadable)?.push(batch);
        } else if !line.starts_with("Log starting offset: ") {
            // Kafka names here, file by file, what it could not make sense of.
            return Err(format!("the tool complains: {line}"));
        }
    }
    Ok(files)
}

/// Whether a log holds that many records in valid batches, offsets and sequences consecutive. A batch that its codec
/// would make larger goes out without it.
pub(crate) fn check(batches: &[Batch], records: usize, codec: &str, sequenced: bool) -> Result<(), String> {
    let mut next_offset = 0;
    let mut next_sequence: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for batch in batches {
        let fault = |what: &str| Err(format!("{what}: {batch:?}"));
        if !batch.is_valid {
            return fault("invalid");
        }
        if batch.codec != codec && batch.codec != "none" {
            return fault("another codec");
        }
        if batch.base_offset != next_offset || batch.last_offset != next_offset + batch.count - 1 {
            return fault("offsets are not consecutive");
        }
        let sequence = if sequenced { next_sequence.entry(batch.producer).or_default() } else { &mut -1 };
        let last = if sequenced { *sequence + batch.count - 1 } else { -1 };
        if batch.base_sequence != *sequence || batch.last_sequence != last {
            return fault("sequences are not consecutive");
        }
        let mut expected = (0..batch.count).map(|i| {
            let sequence = if sequenced { batch.base_sequence + i } else { -1 };
            (batch.base_offset + i, sequence)
        });
        if !batch.records.iter().copied().eq(&mut expected) {
            return fault("records are not those of the header");
        }
        *sequence = last + 1;
        next_offset = batch.last_offset + 1;
    }
    if usize::try_from(next_offset) == Ok(records) {
        return Ok(());
    }
    Err(format!("{next_offset} records on disk, {records} acknowledged"))
}

/// `name: value name: value ...`.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        let mut words = self.0.split(' ');
        words.find(|word| word.strip_suffix(':') == Some(name))?;
        words.next()
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }
}

fn batch(fields: &Fields<'_>) -> Option<Batch> {
    Some(Batch {
        base_offset: fields.number("baseOffset")?,
        last_offset: fields.number("lastOffset")?,
        count: fields.number("count")?,
        base_sequence: fields.number("baseSequence")?,
        last_sequence: fields.number("lastSequence")?,
        producer: (fields.number("producerId")?, fields.number("producerEpoch")?),
        codec: fields.text("compresscodec")?.to_ascii_lowercase(),
        is_valid: fields.text("isvalid")? == "true" && fields.text("magic")? == "2",
        records: Vec::new(),
    })
}

#[test]
fn broken_logs_are_found() {
    let batch = |offset: i64, sequence: i64| {
        let last = offset + 1;
        let last_sequence = sequence + 1;
        let next_sequence = sequence + 1;
        format!(
            "baseOffset: {offset} lastOffset: {last} count: 2 baseSequence: {sequence} lastSequence: {last_sequence} \
             producerId: 4 producerEpoch: 0 partitionLeaderEpoch: 0 isTransactional: false isControl: false \
             deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 1 size: 71 magic: 2 compresscodec: none crc: \
             1 isvalid: true\n\
             | offset: {offset} CreateTime: 1 keySize: 3 valueSize: 0 sequence: {sequence} headerKeys: [a,b]\n\
             | offset: {last} CreateTime: 1 keySize: -1 valueSize: 0 sequence: {next_sequence} headerKeys: []\n"
        )
    };
    let text = format!("Dumping /a/0.log\nLog starting offset: 0\n{}{}", batch(0, 0), batch(2, 2));
    let verdict = |text: &str| check(&parse(text)?["/a/0.log"], 4, "none", true);
    verdict(&text).unwrap();
    for (from, to, complaint) in [
        ("isvalid: true", "isvalid: false", "invalid"),
        ("magic: 2", "magic: 1", "invalid"),
        ("compresscodec: none", "compresscodec: lz4", "another codec"),
        ("baseOffset: 2 lastOffset: 3", "baseOffset: 3 lastOffset: 4", "offsets"),
        ("baseSequence: 2", "baseSequence: 3", "sequences"),
        ("sequence: 1", "sequence: 2", "records are not"),
        ("| offset: 1", "| offset: 7", "records are not"),
        ("Log starting", "Found 1 bytes of", "complains"),
    ] {
        let error = verdict(&text.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(complaint), "{error}");
    }
    let lost = check(&parse(&text).unwrap()["/a/0.log"], 5, "none", true).unwrap_err();
    assert!(lost.contains("4 records on disk, 5 acknowledged"), "{lost}");
}
