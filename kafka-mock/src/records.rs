//! Batches read back: to check them, to look for a time, to show a test what a log holds.

use bytes::Bytes;
use kafka_batch::{Batch, BatchReader, OwnedRecord, ReadError};
use kafka_wire::ErrorCode;

use crate::fault::Fault;

/// A record in a log, with its offset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredRecord {
    /// Its place in the partition.
    pub offset: i64,
    /// What was produced.
    pub record: OwnedRecord,
}

/// The batch, if its length, format and checksum are right.
pub(crate) fn open(bytes: &Bytes) -> Result<Batch, Fault> {
    match BatchReader::new(bytes.clone()).next() {
        Some(Ok(batch)) => Ok(batch),
        Some(Err(error)) => Err(fault(&error)),
        None => Err(Fault::new(ErrorCode::INVALID_RECORD, "no batch")),
    }
}

/// Hands each record of a batch to `each`, in order, as long as they can be read.
pub(crate) fn walk(batch: &Batch, mut each: impl FnMut(&OwnedRecord)) -> Result<(), Fault> {
    for read in batch.records().map_err(|error| fault(&error))? {
        each(&read.map_err(|error| fault(&error))?.record);
    }
    Ok(())
}

/// The records of a batch in a log. It was read through before it got there, so all of it can be read.
pub(crate) fn stored_records(bytes: Bytes) -> impl Iterator<Item = StoredRecord> {
    let batches = BatchReader::new(bytes).filter_map(Result::ok);
    batches.flat_map(|batch| {
        let base_offset = batch.header().base_offset;
        let records = batch.records().into_iter().flatten().filter_map(Result::ok);
        records.map(move |read| StoredRecord {
            offset: base_offset + i64::from(read.offset_delta),
            record: read.record,
        })
    })
}

/// The code a broker answers. It knows no better one than `UNKNOWN_SERVER_ERROR` for what its decompressors stumble over, and
/// for offsets of a compressed batch that are not consecutive. Those of an uncompressed one it does not look at and stores a
/// log that cannot be read; here they are refused as well.
fn fault(error: &ReadError) -> Fault {
    let code = match error {
        ReadError::Crc { .. } => ErrorCode::CORRUPT_MESSAGE,
        ReadError::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
        ReadError::UnknownCodec(_) | ReadError::NotCompiled(_) | ReadError::Corrupt(_) => {
            ErrorCode::UNKNOWN_SERVER_ERROR
        }
        ReadError::Record { field: "offset", .. } => ErrorCode::UNKNOWN_SERVER_ERROR,
        _ => ErrorCode::INVALID_RECORD,
    };
    Fault::new(code, error.to_string())
}
