//! The hand-written loop that `cargo xtask bench` holds the producer against.
//!
//! It does what no producer can leave out, and nothing else: encode records into batches of the same size,
//! checksum them, write them as Produce requests to three brokers over real sockets, and read the answers, with
//! the same number of requests in flight. There are no futures, queues, locks, retries, time-outs or metadata,
//! and nobody is told what became of a record: it ends when one is refused.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[path = "arguments.rs"]
mod arguments;

use arguments::Arguments;

fn main() -> ExitCode {
    arguments::run(|arguments| Client::connect(&arguments)?.run(&arguments))
}

/// One connection for each broker, and the requests that are being filled for them.
struct Client {
    brokers: Vec<Broker>,
    next_sequences: [i32; PARTITIONS],
}

impl Client {
    fn connect(arguments: &Arguments) -> io::Result<Self> {
        let brokers = arguments.bootstrap.split(',').map(Broker::connect).collect::<io::Result<_>>()?;
        Ok(Self { brokers, next_sequences: [0; PARTITIONS] })
    }

    /// Fills the partitions in turn, a whole batch each, as a sticky partitioner does. A broker's request leaves
    /// when it holds a batch of each partition the broker leads.
    #[expect(clippy::disallowed_methods, reason = "a program that measures")]
    fn run(&mut self, arguments: &Arguments) -> io::Result<()> {
        let value = vec![b'x'; arguments.size];
        let key = arguments.key.then_some(&KEY[..]);
        let began = Instant::now();
        let mut left = arguments.records;
        let mut partition = 0;
        while left > 0 {
            let broker_index = partition % self.brokers.len();
            let broker = &mut self.brokers[broker_index];
            let sequence = &mut self.next_sequences[partition];
            let count = broker.fill_batch(partition, *sequence, left, key, &value);
            left -= count;
            *sequence = sequence.wrapping_add(count as i32) & i32::MAX;
            if broker.batches == arguments.batches_per_request {
                broker.send()?;
            }
            partition = (partition + 1) % PARTITIONS;
        }
        for broker in &mut self.brokers {
            broker.finish()?;
        }
        arguments.report(began.elapsed());
        Ok(())
    }
}

/// A connection, with the request that is being filled for it.
struct Broker {
    stream: TcpStream,
    /// The request: length prefix, head, and the partitions so far. Batches are encoded in place.
    request: Vec<u8>,
    len: usize,
    batches: usize,
    correlation_id: i32,
    in_flight: usize,
    answers: Answers,
}

impl Broker {
    fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut request =
            vec![0; HEAD.len() + PARTITIONS * (BATCH_SIZE_MAX + PARTITION_OVERHEAD) + TAIL.len()];
        request[..HEAD.len()].copy_from_slice(&HEAD);
        Ok(Self {
            stream,
            request,
            len: HEAD.len(),
            batches: 0,
            correlation_id: 0,
            in_flight: 0,
            answers: Answers { buf: vec![0; ANSWERS_SIZE], begin: 0, end: 0 },
        })
    }

    /// Encodes one batch at the end of the request: as many of `left` records as fit. Returns their number.
    #[expect(clippy::disallowed_methods, reason = "a program that measures")]
    fn fill_batch(
        &mut self,
        partition: usize,
        sequence: i32,
        left: u64,
        key: Option<&[u8]>,
        value: &[u8],
    ) -> u64 {
        let begin = self.len + PARTITION_HEAD;
        let batch = &mut self.request[begin..begin + BATCH_SIZE_MAX];
        let end = BATCH_SIZE;
        let mut at = BATCH_HEADER;
        let mut count = 0_u32;
        while u64::from(count) < left {
            // Records come from elsewhere: what is the same for all of them must not be worked out before the loop.
            let (key, value) = black_box((key, value));
            match encode_record(batch, at, end, count, key, value) {
                Some(next) => at = next,
                None => break,
            }
            count += 1;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let header = batch_header(at, count as i32, sequence, now);
        batch[..BATCH_HEADER].copy_from_slice(&header);
        let crc = crc32c::crc32c(&batch[CRC_BEGIN..at]);
        batch[CRC_BEGIN - 4..CRC_BEGIN].copy_from_slice(&crc.to_be_bytes());

        let head = &mut self.request[self.len..begin];
        head[..4].copy_from_slice(&(partition as i32).to_be_bytes());
        // The compact length of the records: always three bytes, so that it can be filled in afterwards.
        let size = at as u32 + 1;
        head[4..].copy_from_slice(&[size as u8 | 0x80, (size >> 7) as u8 | 0x80, (size >> 14) as u8]);
        self.len = begin + at;
        self.request[self.len] = 0; // no tagged fields
        self.len += 1;
        self.batches += 1;
        u64::from(count)
    }

    /// Writes the request, waiting for an answer first when too many are in flight.
    fn send(&mut self) -> io::Result<()> {
        if self.in_flight == MAX_IN_FLIGHT {
            self.read_answer()?;
        }
        self.correlation_id += 1;
        self.request[self.len..self.len + TAIL.len()].copy_from_slice(&TAIL);
        self.len += TAIL.len();
        let size = (self.len - 4) as u32;
        self.request[..4].copy_from_slice(&size.to_be_bytes());
        self.request[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&self.correlation_id.to_be_bytes());
        self.request[PARTITION_COUNT_AT] = self.batches as u8 + 1;
        self.stream.write_all(&self.request[..self.len])?;
        self.len = HEAD.len();
        self.batches = 0;
        self.in_flight += 1;
        Ok(())
    }

    fn read_answer(&mut self) -> io::Result<()> {
        let oldest = self.correlation_id + 1 - self.in_flight as i32;
        self.in_flight -= 1;
        self.answers.read(&mut self.stream, oldest)
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.batches > 0 {
            self.send()?;
        }
        while self.in_flight > 0 {
            self.read_answer()?;
        }
        Ok(())
    }
}

/// Encodes one record at `at`, or nothing when it would pass `end`. Returns where the next one begins.
///
/// A record's fixed part is put together in a register and stored at once: the batch's slice has room for it
/// behind `end`.
#[inline(always)]
fn encode_record(
    batch: &mut [u8],
    at: usize,
    end: usize,
    index: u32,
    key: Option<&[u8]>,
    value: &[u8],
) -> Option<usize> {
    let (index_bytes, index_len) = varint(index << 1);
    let (value_bytes, value_len) = varint((value.len() as u32) << 1);
    let key_len = key.map_or(0, <[u8]>::len);
    // Attributes, time delta (always 0: one byte), index, length of the key (one byte), length of the value, and
    // the number of headers.
    let size = 2 + index_len as usize + 1 + key_len + value_len as usize + value.len() + 1;
    let (size_bytes, size_len) = varint((size as u32) << 1);
    let next = at + size_len as usize + size;
    if next > end {
        return None;
    }
    let size_bits = size_len * 8;
    let index_shift = size_bits + 16;
    let mut at = at;
    match key {
        None => {
            let key_shift = index_shift + index_len * 8;
            let word = u128::from(size_bytes)
                | u128::from(index_bytes) << index_shift
                | 1 << key_shift // a null key: length -1
                | u128::from(value_bytes) << (key_shift + 8);
            batch[at..at + 16].copy_from_slice(&word.to_le_bytes());
            at += (size_len + 3 + index_len + value_len) as usize;
        }
        Some(key) => {
            let key_shift = index_shift + index_len * 8;
            let word = u128::from(size_bytes)
                | u128::from(index_bytes) << index_shift
                | (key.len() as u128) << (key_shift + 1);
            batch[at..at + 16].copy_from_slice(&word.to_le_bytes());
            at += (size_len + 3 + index_len) as usize;
            batch[at..at + key.len()].copy_from_slice(key);
            at += key.len();
            batch[at..at + 4].copy_from_slice(&value_bytes.to_le_bytes());
            at += value_len as usize;
        }
    }
    batch[at..at + value.len()].copy_from_slice(value);
    batch[next - 1] = 0; // no headers
    Some(next)
}

/// A number below 2^21 as a varint, in the low bytes, and its length.
#[inline(always)]
fn varint(number: u32) -> (u32, u32) {
    if number < 1 << 7 {
        (number, 1)
    } else if number < 1 << 14 {
        (number & 0x7f | 0x80 | (number >> 7) << 8, 2)
    } else {
        (number & 0x7f | 0x80 | (number >> 7 & 0x7f | 0x80) << 8 | (number >> 14) << 16, 3)
    }
}

/// The 61 bytes before the records; the checksum is filled in afterwards.
fn batch_header(size: usize, count: i32, sequence: i32, now: i64) -> [u8; BATCH_HEADER] {
    let mut header = [0; BATCH_HEADER];
    header[8..12].copy_from_slice(&(size as i32 - 12).to_be_bytes());
    header[12..16].copy_from_slice(&(-1_i32).to_be_bytes());
    header[16] = 2;
    header[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    header[27..35].copy_from_slice(&now.to_be_bytes());
    header[35..43].copy_from_slice(&now.to_be_bytes());
    header[43..51].copy_from_slice(&PRODUCER_ID.to_be_bytes());
    header[53..57].copy_from_slice(&sequence.to_be_bytes());
    header[57..61].copy_from_slice(&count.to_be_bytes());
    header
}

/// What has been read from a connection and not been looked at yet.
struct Answers {
    buf: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Answers {
    /// Reads one answer, and fails if it is not the one to `correlation_id` or refuses a batch.
    fn read(&mut self, stream: &mut TcpStream, correlation_id: i32) -> io::Result<()> {
        let size = self.frame(stream)?;
        let frame = &self.buf[self.begin + 4..self.begin + size];
        let mut cursor = Cursor(frame);
        let answered = cursor.i32()?;
        cursor.compact()?; // tagged fields of the header
        let checked = (answered == correlation_id).then_some(()).ok_or("an answer to another request");
        checked.map_err(io::Error::other)?;
        for _ in 1..cursor.compact()? {
            let name = cursor.compact()?;
            cursor.skip(name as usize - 1)?;
            for _ in 1..cursor.compact()? {
                let partition = cursor.i32()?;
                let code = cursor.i16()?;
                if code != 0 {
                    return Err(io::Error::other(format!("partition {partition}: error code {code}")));
                }
                cursor.skip(3 * 8)?; // base offset, append time, log start
                let errors = cursor.compact()?;
                let message = cursor.compact()?;
                let tags = cursor.compact()?;
                if errors > 1 || message > 1 || tags > 0 {
                    return Err(io::Error::other("more in an answer than a sink puts there"));
                }
            }
            cursor.compact()?;
        }
        self.begin += size;
        Ok(())
    }

    /// Reads until a whole frame is there. Returns its size, length prefix included.
    fn frame(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        loop {
            let have = &self.buf[self.begin..self.end];
            if let Some((prefix, rest)) = have.split_first_chunk() {
                let size = u32::from_be_bytes(*prefix) as usize;
                if rest.len() >= size {
                    return Ok(4 + size);
                }
            }
            self.buf.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
            let count = stream.read(&mut self.buf[self.end..])?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.end += count;
        }
    }
}

/// Reads an answer from its beginning.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn i16(&mut self) -> io::Result<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn compact(&mut self) -> io::Result<u32> {
        let mut number = 0;
        for shift in [0, 7, 14, 21] {
            let [byte] = self.take()?;
            number |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    fn skip(&mut self, count: usize) -> io::Result<()> {
        self.0 = self.0.get(count..).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(())
    }
}

/// A Produce request, version 12, up to the count of partitions: acks=all, a time-out of 30 s, one topic.
const HEAD: [u8; 35] = *b"\0\0\0\0\
    \0\0\0\x0c\0\0\0\0\0\x05bench\0\
    \0\xff\xff\0\0\x75\x30\
    \x02\x06bench\0";
const CORRELATION_AT: usize = 8;
const PARTITION_COUNT_AT: usize = HEAD.len() - 1;
/// No tagged fields, neither of the topic nor of the request.
const TAIL: [u8; 2] = [0, 0];
/// A partition's number and the size of its records.
const PARTITION_HEAD: usize = 7;
const PARTITION_OVERHEAD: usize = PARTITION_HEAD + 1;

const PARTITIONS: usize = 12;
const MAX_IN_FLIGHT: usize = 5;
const BATCH_SIZE: usize = 16 * 1024;
/// Behind `BATCH_SIZE` there is room for the word that a record's fixed part is stored as.
const BATCH_SIZE_MAX: usize = BATCH_SIZE + 16;
const BATCH_HEADER: usize = 61;
/// The checksum covers what follows it.
const CRC_BEGIN: usize = 21;
const PRODUCER_ID: i64 = 1;
const KEY: [u8; 16] = *b"0123456789abcdef";
const ANSWERS_SIZE: usize = 64 * 1024;
