//! Lines from a file or from standard input, with a bound on memory whatever the lines are like.
//!
//! A thread of its own reads, because a read of a pipe or a slow disk blocks; a short channel holds it back.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::{Notify, mpsc};

/// A part of the input, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Whole lines, the first of which has this number. Each ends in `\n`, but for the last line of the input.
    Lines { first: u64, bytes: Vec<u8> },
    /// A line that is longer than allowed, and was skipped.
    TooLong { line: u64, len: u64 },
}

/// The pieces of an input. An error ends them; what was read of the line it came in is not passed on.
#[derive(Debug)]
pub(crate) struct Pieces {
    pieces: mpsc::Receiver<io::Result<Piece>>,
    shared: Arc<Reading>,
}

/// What the reading thread and the one who takes the pieces tell each other.
#[derive(Debug, Default)]
struct Reading {
    /// No more is to be read.
    is_stopped: AtomicBool,
    stop: Notify,
    /// The thread is in a read, which may block for ever.
    is_idle: AtomicBool,
}

/// Ends the reading.
#[derive(Debug, Clone)]
pub(crate) struct Stop(Arc<Reading>);

impl Stop {
    /// No more is read. What was read comes out of [`Pieces::next`] as before, in whole lines, and then the end.
    pub(crate) fn stop(&self) {
        self.0.is_stopped.store(true, Ordering::SeqCst);
        self.0.stop.notify_one();
    }
}

impl Pieces {
    /// The next piece; none at the end of the input.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Piece>> {
        tokio::select! {
            biased;
            piece = self.pieces.recv() => return piece,
            () = self.shared.stop.notified() => {}
        }
        // The next call comes this way, too.
        self.shared.stop.notify_one();
        loop {
            match tokio::time::timeout(STOP_PATIENCE, self.pieces.recv()).await {
                Ok(piece) => return piece,
                // It waits for what may never come.
                Err(_) if self.shared.is_idle.load(Ordering::SeqCst) => return None,
                Err(_) => {}
            }
        }
    }

    /// What ends the reading, from elsewhere.
    pub(crate) fn stop_handle(&self) -> Stop {
        Stop(Arc::clone(&self.shared))
    }
}

/// An input and its size, where that is known beforehand.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) size: Option<u64>,
    read: Input,
}

/// Where the bytes come from.
enum Input {
    Stdin(io::Stdin),
    File(File),
}

impl Read for Input {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stdin(stdin) => stdin.read(buf),
            Self::File(file) => file.read(buf),
        }
    }
}

impl Input {
    /// At the end: by how much the file is shorter than when it was opened, if it is.
    fn shrunk(&self, size: Option<u64>) -> Option<u64> {
        let (Self::File(file), Some(size)) = (self, size) else { return None };
        // Asked again, because what was read says nothing: some systems' files have less in them than they say.
        let now = file.metadata().ok()?.len();
        size.checked_sub(now).filter(|&less| less > 0)
    }
}

impl Source {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self {
                name: "standard input".to_owned(),
                size: None,
                read: Input::Stdin(io::stdin()),
            });
        }
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        let metadata = file.metadata().with_context(|| format!("cannot look at {name}"))?;
        if metadata.is_dir() {
            anyhow::bail!("{name} is a directory: name a file, or - for standard input");
        }
        let size = metadata.is_file().then_some(metadata.len());
        Ok(Self { name, size, read: Input::File(file) })
    }

    /// Starts to read. A line may have `max_line` bytes, its end not counted.
    pub(crate) fn pieces(self, max_line: usize) -> Pieces {
        let (tx, pieces) = mpsc::channel(PIECES_AHEAD);
        let shared = Arc::new(Reading::default());
        let reading = Arc::clone(&shared);
        let mut splitter = Splitter::new(max_line);
        let (mut read, size) = (self.read, self.size);
        // A plain thread: nobody waits for it when the program ends while it is blocked in a read.
        std::thread::spawn(move || {
            loop {
                reading.is_idle.store(true, Ordering::SeqCst);
                if reading.is_stopped.load(Ordering::SeqCst) {
                    // The beginning of a line is no line.
                    return;
                }
                let filled = splitter.fill(&mut read);
                reading.is_idle.store(false, Ordering::SeqCst);
                match filled {
                    Ok(0) => match read.shrunk(size) {
                        None => break,
                        Some(less) => {
                            // Its last line may be cut in two.
                            let text = format!("the file became {less} bytes shorter while it was read");
                            let _ = tx.blocking_send(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
                            return;
                        }
                    },
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => {
                        let _ = tx.blocking_send(Err(error));
                        return;
                    }
                }
                for piece in splitter.split() {
                    if tx.blocking_send(Ok(piece)).is_err() {
                        return;
                    }
                }
            }
            for piece in splitter.finish() {
                let _ = tx.blocking_send(Ok(piece));
            }
        });
        Pieces { pieces, shared }
    }
}

/// Cuts blocks of bytes into pieces of whole lines.
#[derive(Debug)]
struct Splitter {
    max_line: usize,
    /// What was read and not given away: the beginning of a line, and what followed it.
    buf: Vec<u8>,
    /// How much of `buf` is known to hold no line end.
    searched: usize,
    /// The number of the first line in `buf`.
    line: u64,
    /// Bytes of the line in progress that were thrown away because it is too long.
    skipped: u64,
}

impl Splitter {
    fn new(max_line: usize) -> Self {
        Self { max_line, buf: Vec::new(), searched: 0, line: 1, skipped: 0 }
    }

    /// Reads once.
    fn fill(&mut self, read: &mut dyn Read) -> io::Result<usize> {
        let len = self.buf.len();
        self.buf.resize(len + BLOCK, 0);
        let result = read.read(&mut self.buf[len..]);
        self.buf.truncate(len + *result.as_ref().unwrap_or(&0));
        result
    }

    /// The whole lines that have come in.
    fn split(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let Some(end) = self.buf[self.searched..].iter().rposition(|&byte| byte == b'\n') else {
            self.searched = self.buf.len();
            if self.buf.len() > self.max_line {
                self.skipped += self.buf.len() as u64;
                self.buf.clear();
                self.searched = 0;
            }
            return pieces;
        };
        let end = self.searched + end + 1;
        let tail = self.buf.split_off(end);
        let lines = std::mem::replace(&mut self.buf, tail);
        self.searched = self.buf.len();
        self.cut(lines, &mut pieces);
        // The line in progress may be too long already.
        if self.buf.len() > self.max_line {
            self.skipped += self.buf.len() as u64;
            self.buf.clear();
            self.searched = 0;
        }
        pieces
    }

    /// The last line, which has no end.
    fn finish(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let rest = std::mem::take(&mut self.buf);
        self.searched = 0;
        if self.skipped > 0 || !rest.is_empty() {
            self.cut(rest, &mut pieces);
        }
        pieces
    }

    /// Passes lines on, those that are too long taken out.
    fn cut(&mut self, lines: Vec<u8>, pieces: &mut Vec<Piece>) {
        let skipped = std::mem::take(&mut self.skipped);
        let max_line = self.max_line;
        let too_long = |line: &[u8]| line.strip_suffix(b"\n").unwrap_or(line).len() > max_line;
        if skipped == 0 && !lines.split_inclusive(|&byte| byte == b'\n').any(too_long) {
            let first = self.line;
            self.line += count_lines(&lines);
            pieces.push(Piece::Lines { first, bytes: lines });
            return;
        }
        let mut rest = &lines[..];
        if skipped > 0 {
            let end = rest.iter().position(|&byte| byte == b'\n');
            let (tail, others) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            let len = skipped + tail.strip_suffix(b"\n").unwrap_or(tail).len() as u64;
            pieces.push(Piece::TooLong { line: self.line, len });
            self.line += 1;
            rest = others;
        }
        let mut good = Vec::new();
        for line in rest.split_inclusive(|&byte| byte == b'\n') {
            if too_long(line) {
                let bytes = std::mem::take(&mut good);
                self.pass(bytes, pieces);
                let len = line.strip_suffix(b"\n").unwrap_or(line).len() as u64;
                pieces.push(Piece::TooLong { line: self.line, len });
                self.line += 1;
            } else {
                good.extend_from_slice(line);
            }
        }
        self.pass(good, pieces);
    }

    fn pass(&mut self, bytes: Vec<u8>, pieces: &mut Vec<Piece>) {
        if !bytes.is_empty() {
            let first = self.line;
            self.line += count_lines(&bytes);
            pieces.push(Piece::Lines { first, bytes });
        }
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.split_inclusive(|&byte| byte == b'\n').count() as u64
}

/// How much is read at a time; a line in progress and one block are the most that is held here.
const BLOCK: usize = 256 << 10;
/// How long a read may take that had begun when the reading was stopped; one of a file is over by then.
const STOP_PATIENCE: Duration = Duration::from_millis(200);
/// Pieces that wait to be sent.
const PIECES_AHEAD: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Splits what comes in these blocks.
    fn pieces(blocks: &[&[u8]], max_line: usize) -> Vec<Piece> {
        let mut splitter = Splitter::new(max_line);
        let mut pieces = Vec::new();
        for &block in blocks {
            let mut block = block;
            while splitter.fill(&mut block).unwrap() > 0 {
                pieces.append(&mut splitter.split());
                assert!(splitter.buf.len() <= max_line, "the line in progress is bounded");
            }
        }
        pieces.append(&mut splitter.finish());
        pieces
    }

    #[test]
    fn numbers_lines_and_skips_those_that_are_too_long() {
        let lines = |first, bytes: &[u8]| Piece::Lines { first, bytes: bytes.to_vec() };
        assert_eq!(pieces(&[], 9), []);
        assert_eq!(pieces(&[b"a\nb"], 9), [lines(1, b"a\n"), lines(2, b"b")]);
        assert_eq!(pieces(&[b"a", b"b\n\n", b"c\n"], 9), [lines(1, b"ab\n\n"), lines(3, b"c\n")]);
        assert_eq!(
            pieces(&[b"a\nlong", b"long\nb\n"], 3),
            [lines(1, b"a\n"), Piece::TooLong { line: 2, len: 8 }, lines(3, b"b\n")]
        );
        assert_eq!(pieces(&[b"abcd\nx\n"], 4), [lines(1, b"abcd\nx\n")]);
        assert_eq!(pieces(&[b"abcd"], 3), [Piece::TooLong { line: 1, len: 4 }]);
        assert_eq!(pieces(&[b"abcd\n"], 3), [Piece::TooLong { line: 1, len: 4 }]);
    }

    proptest! {
        /// Whatever the blocks, the pieces are the input, cut at line ends, without the lines that are too long.
        #[test]
        fn nothing_is_lost(blocks in proptest::collection::vec("[a\n]{0,12}", 0..6), max_line in 1_usize..8) {
            let input = blocks.concat();
            let blocks: Vec<&[u8]> = blocks.iter().map(String::as_bytes).collect();
            let mut found = Vec::new();
            for piece in pieces(&blocks, max_line) {
                match piece {
                    Piece::Lines { first, bytes } => {
                        prop_assert_eq!(first, found.len() as u64 + 1);
                        let lines = bytes.split_inclusive(|&byte| byte == b'\n');
                        found.extend(lines.map(|line| Ok(String::from_utf8(line.to_vec()).unwrap())));
                    }
                    Piece::TooLong { line, len } => {
                        prop_assert_eq!(line, found.len() as u64 + 1);
                        found.push(Err(len));
                    }
                }
            }
            let expected: Vec<_> = input
                .split_inclusive('\n')
                .map(|line| match line.trim_end_matches('\n').len() {
                    len if len > max_line => Err(len as u64),
                    _ => Ok(line.to_owned()),
                })
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
