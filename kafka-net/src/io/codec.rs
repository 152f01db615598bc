//! [`KafkaCodec`]: frames for tokio-util's `Framed`.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire::{FrameBuf, WireErrorKind, frame};
use tokio_util::codec::{Decoder, Encoder};

use crate::error::{Kind, NetError};

/// Splits what was read into frames, and appends frames to a write buffer.
///
/// Decoding lends: a frame is a slice of the read buffer. Encoding copies; [`FrameSink`](super::FrameSink) does not.
/// The first bytes of a connection are looked at for other protocols, so that a wrong port gets a clear error.
///
/// ```
/// use bytes::BytesMut;
/// use kafka_net::KafkaCodec;
/// use tokio_util::codec::Decoder;
///
/// let mut codec = KafkaCodec::new(1024);
/// let mut read = BytesMut::from(&b"\0\0\0\x03abc\0"[..]);
/// assert_eq!(codec.decode(&mut read)?.as_deref(), Some(&b"abc"[..]));
/// assert_eq!(codec.decode(&mut read)?, None);
/// # Ok::<(), kafka_net::NetError>(())
/// ```
#[derive(Debug, Clone)]
pub struct KafkaCodec {
    max_frame_size: usize,
    /// Whether nothing has been decoded yet.
    is_first: bool,
}

impl KafkaCodec {
    /// A codec for one connection that refuses frames over `max_frame_size`, their length not counted.
    #[must_use]
    pub fn new(max_frame_size: usize) -> Self {
        Self { max_frame_size, is_first: true }
    }

    /// Bytes still missing from the frame at the front, at least one.
    pub(super) fn missing(read: &BytesMut) -> usize {
        let whole = read.first_chunk().map_or(frame::LEN_SIZE, |len| {
            frame::LEN_SIZE + usize::try_from(i32::from_be_bytes(*len)).unwrap_or(0)
        });
        whole.saturating_sub(read.len()).max(1)
    }
}

impl Decoder for KafkaCodec {
    type Item = Bytes;
    type Error = NetError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Bytes>, NetError> {
        if self.is_first {
            if let Some(kind) = foreign(src) {
                return Err(NetError::new(kind));
            }
        }
        let size = src.first_chunk().map_or(0, |len| i64::from(i32::from_be_bytes(*len)));
        match frame::split(src, self.max_frame_size) {
            Ok(Some(frame)) => {
                self.is_first = false;
                Ok(Some(frame))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                debug_assert!(matches!(error.kind(), WireErrorKind::BadLength | WireErrorKind::TooLong));
                Err(NetError::new(Kind::FrameTooLarge { size, limit: self.max_frame_size }))
            }
        }
    }
}

impl Encoder<FrameBuf> for KafkaCodec {
    type Error = NetError;

    fn encode(&mut self, frame: FrameBuf, dst: &mut BytesMut) -> Result<(), NetError> {
        dst.reserve(frame.len());
        dst.put(frame.into_segments());
        Ok(())
    }
}

/// Another protocol, told by the first bytes. As the length of a first answer each of them would say hundreds of
/// megabytes, which no negotiation of versions has.
fn foreign(read: &[u8]) -> Option<Kind> {
    let start: &[u8; 4] = read.first_chunk()?;
    match start {
        b"HTTP" => Some(Kind::SpeaksHttp),
        // A TLS record: alert or handshake, of any version from SSL 3.
        [0x15 | 0x16, 0x03, 0..=4, _] => Some(Kind::SpeaksTls),
        text if text.iter().all(|byte| matches!(byte, b' '..=b'~')) => {
            let line = read.iter().take(MAX_QUOTED).take_while(|byte| matches!(byte, b' '..=b'~'));
            Some(Kind::SpeaksText(line.map(|&byte| char::from(byte)).collect()))
        }
        _ => None,
    }
}

/// How much of a stranger's greeting an error quotes.
const MAX_QUOTED: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Option<Bytes>, NetError> {
        KafkaCodec::new(1 << 20).decode(&mut BytesMut::from(bytes))
    }

    #[test]
    fn other_protocols_are_named() {
        let text = |bytes| decode(bytes).expect_err("not Kafka").to_string();
        assert!(text(b"HTTP/1.1 400 Bad Request\r\n").contains("speaks HTTP"));
        assert!(text(b"\x15\x03\x01\0\x02\x02\x46").contains("speaks TLS"));
        assert!(text(b"\x16\x03\x03\0\x02\x02\x46").contains("speaks TLS"));
        assert!(text(b"SSH-2.0-OpenSSH_9.2\r\nxx").contains("\"SSH-2.0-OpenSSH_9.2\""));
        assert!(text(b"\x7f\xff\xff\xff").contains("2147483647 bytes"));
        assert!(text(b"\xff\xff\xff\xff").contains("-1 bytes"));
    }

    #[test]
    fn text_is_only_looked_for_in_front_of_the_first_frame() {
        let mut codec = KafkaCodec::new(usize::MAX);
        let mut read = BytesMut::from(&b"\0\0\0\x01aHTTP"[..]);
        assert_eq!(codec.decode(&mut read).expect("a frame").as_deref(), Some(&b"a"[..]));
        assert_eq!(codec.decode(&mut read).expect("a long frame begins"), None);
        assert_eq!(KafkaCodec::missing(&read), 0x4854_5450);
    }

    #[test]
    fn encodes_what_it_decodes() {
        let mut frame = FrameBuf::new();
        let start = frame.begin_frame();
        frame.put_slice(b"head");
        frame.put_shared(Bytes::from(vec![7; 2_000]));
        frame.put_slice(b"tail");
        frame.finish_frame(start).expect("a small frame");
        let mut codec = KafkaCodec::new(1 << 20);
        let mut buf = BytesMut::new();
        codec.encode(frame, &mut buf).expect("encodes");
        let decoded = codec.decode(&mut buf).expect("decodes").expect("whole");
        assert_eq!(decoded.len(), 2_008);
        assert!(decoded.starts_with(b"head\x07") && decoded.ends_with(b"\x07tail"));
    }
}
