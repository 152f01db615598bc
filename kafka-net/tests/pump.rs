//! The pump over a stream in memory, with time that passes only when everybody waits.

#![expect(clippy::disallowed_methods, reason = "a test starts tasks and looks at the clock where it likes")]

use std::{
    collections::VecDeque,
    io,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use futures::{FutureExt, SinkExt, StreamExt, future::BoxFuture};
use kafka_net::{
    Answer, Call, CallResult, Connection, Demand, Endpoint, Feed, FrameSink, KafkaCodec, NetConfig, NetError,
    Next, Offer, Status,
    io::{BoxStream, Connect, Connector, Ended, Target, keep_connected, pump},
};
use kafka_wire::{
    ApiKey, CorrelationId, FrameBuf, NodeId, VersionRange, WireError, WireErrorKind, encode_response,
    messages::{ApiVersion, ApiVersionsResponse},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    time,
};
use tokio_util::codec::Framed;

/// A number and a payload; answered by the number.
#[derive(Debug)]
struct Echo {
    number: u32,
    payload: Bytes,
    expects_reply: bool,
}

impl Call for Echo {
    type Reply = u32;

    fn api_key(&self) -> ApiKey {
        ApiKey::PRODUCE
    }

    fn versions(&self) -> VersionRange {
        VersionRange::new(3, 3)
    }

    fn encode(&mut self, _: i16, id: CorrelationId, _: &str) -> Result<FrameBuf, WireError> {
        let mut buf = FrameBuf::new();
        let start = buf.begin_frame();
        buf.put_i32(id.0);
        buf.put_u32(self.number);
        buf.put_shared(self.payload.clone());
        buf.finish_frame(start)?;
        Ok(buf)
    }

    fn decode(&self, _: i16, frame: Bytes) -> Result<u32, WireError> {
        let mut rest = frame.get(4..).unwrap_or_default();
        rest.try_get_u32().map_err(|_| WireError::new(WireErrorKind::Truncated, 4))
    }

    fn throttle(&self, _: &u32) -> Duration {
        Duration::ZERO
    }

    fn expects_reply(&self) -> bool {
        self.expects_reply
    }
}

/// What the feed was asked and told.
#[derive(Debug, Default)]
struct Book {
    calls: VecDeque<Echo>,
    /// Number, and how it came back.
    told: Vec<(u32, Result<(), NetError>)>,
    is_ready: bool,
    is_down: bool,
    must_finish: bool,
    must_abort: bool,
    must_panic: bool,
    is_foreign: bool,
    wait: Option<Instant>,
    polls: usize,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Default)]
struct TestFeed(Arc<Mutex<Book>>);

impl TestFeed {
    fn book<T>(&self, f: impl FnOnce(&mut Book) -> T) -> T {
        f(&mut self.0.lock().expect("no panic under it"))
    }

    fn add(&self, number: u32, size: usize, expects_reply: bool) {
        let payload = Bytes::from(vec![number as u8; size]);
        self.book(|book| book.calls.push_back(Echo { number, payload, expects_reply }));
    }

    fn wake(&self) {
        let waker = self.book(|book| book.waker.take());
        waker.into_iter().for_each(Waker::wake);
    }

    /// Numbers that came back: as they are if answered, `!` if they failed, possibly written, `?` if not.
    fn told(&self) -> String {
        self.book(|book| {
            let told = book.told.iter().map(|(number, result)| match result {
                Ok(()) => format!("{number} "),
                Err(error) if error.possibly_written() => format!("{number}! "),
                Err(_) => format!("{number}? "),
            });
            told.collect::<String>().trim_end().to_owned()
        })
    }
}

impl Feed for TestFeed {
    type Call = Echo;

    fn poll_demand(&mut self, cx: &mut Context<'_>, _: Instant) -> Demand {
        self.book(|book| {
            book.waker = Some(cx.waker().clone());
            match (book.must_abort, book.must_finish) {
                (true, _) => Demand::Abort,
                (false, true) => Demand::Finish,
                (false, false) => Demand::Connect,
            }
        })
    }

    fn poll_call(&mut self, cx: &mut Context<'_>, _: Offer<'_>) -> Next<Echo> {
        let must_panic = self.book(|book| book.must_panic && book.calls.is_empty());
        assert!(!must_panic, "a feed that fails");
        self.book(|book| {
            book.polls += 1;
            if book.must_abort {
                return Next::Abort;
            }
            if book.must_finish {
                return Next::Finish;
            }
            match book.calls.pop_front() {
                Some(call) => Next::Call(call),
                None => {
                    book.waker = Some(cx.waker().clone());
                    Next::Wait(book.wait.take())
                }
            }
        })
    }

    fn is_foreign(&mut self) -> bool {
        self.book(|book| book.is_foreign)
    }

    fn on_reply(&mut self, call: Echo, result: CallResult<u32>, _: Instant) {
        if let Ok(Answer::Reply { body, .. }) = &result {
            assert_eq!(*body, call.number, "the call's own answer");
        }
        self.book(|book| book.told.push((call.number, result.map(|_| ()))));
    }

    fn on_status(&mut self, status: Status, _: Instant) {
        self.book(|book| {
            book.is_ready |= matches!(status, Status::Ready);
            book.is_down |= matches!(status, Status::Down { .. });
        });
    }
}

/// The other end, played by the test.
struct Broker(Framed<DuplexStream, KafkaCodec>);

impl Broker {
    /// The next request: correlation id and number. Negotiates by the way.
    async fn next(&mut self) -> Option<(i32, u32)> {
        loop {
            let mut frame = self.0.next().await?.ok()?;
            let first = frame.get_i32();
            if first != (18 << 16) | 5 {
                return Some((first, frame.get_u32()));
            }
            let id = CorrelationId(frame.get_i32());
            let produce = ApiVersion { api_key: ApiKey::PRODUCE, min_version: 0, max_version: 13 };
            let response = ApiVersionsResponse { api_keys: vec![produce], ..ApiVersionsResponse::default() };
            self.0.send(encode_response(&response, 5, id).expect("encodes")).await.ok()?;
        }
    }

    async fn answer(&mut self, (id, number): (i32, u32)) {
        let mut buf = FrameBuf::new();
        let start = buf.begin_frame();
        buf.put_i32(id);
        buf.put_u32(number);
        buf.finish_frame(start).expect("a short frame");
        self.0.send(buf).await.expect("the pump still reads");
    }
}

fn start(feed: &TestFeed, buffer: usize) -> (tokio::task::JoinHandle<Ended>, Broker) {
    let (ours, theirs) = tokio::io::duplex(buffer);
    start_over(ours, theirs, feed)
}

fn start_over<S>(ours: S, theirs: DuplexStream, feed: &TestFeed) -> (tokio::task::JoinHandle<Ended>, Broker)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut feed = feed.clone();
    let now = time::Instant::now().into_std();
    let config = Arc::new(NetConfig::default());
    let connection = Connection::new(NodeId(1), "broker:9092", config, Duration::from_secs(10), now);
    let pump = tokio::spawn(async move { pump(ours, connection, 1 << 20, &mut feed).await });
    (pump, Broker(Framed::new(theirs, KafkaCodec::new(1 << 20))))
}

/// Three requests for a broker that has negotiated and reads no more: 4096 bytes were taken, the first and a part of the
/// second.
async fn half_written(feed: &TestFeed) -> (tokio::task::JoinHandle<Ended>, Broker) {
    let (pump, mut broker) = start(feed, 4096);
    assert!(broker.next().now_or_never().is_none());
    while !feed.book(|book| book.is_ready) {
        time::sleep(Duration::from_millis(1)).await;
        let _ = broker.next().now_or_never();
    }
    for number in 1..=3 {
        feed.add(number, 3000, true);
    }
    feed.wake();
    time::sleep(Duration::from_millis(1)).await;
    (pump, broker)
}

#[tokio::test(start_paused = true)]
async fn five_are_in_flight_and_each_is_answered() {
    let feed = TestFeed::default();
    for number in 0..12 {
        feed.add(number, 1000, true);
    }
    let (pump, mut broker) = start(&feed, 4096);
    let mut asked = VecDeque::new();
    for _ in 0..5 {
        asked.push_back(broker.next().await.expect("a request"));
    }
    let sixth = time::timeout(Duration::from_secs(9), broker.next()).await;
    assert!(sixth.is_err(), "{sixth:?} beyond the bound");
    while let Some(request) = asked.pop_front() {
        broker.answer(request).await;
        if asked.len() < 4 {
            let more = time::timeout(Duration::from_secs(1), broker.next()).await;
            asked.extend(more.into_iter().flatten());
        }
    }
    let (_, numbers): (Vec<_>, Vec<u32>) =
        feed.book(|book| book.told.iter().map(|(number, _)| ((), *number)).unzip());
    assert_eq!(numbers, (0..12).collect::<Vec<_>>());
    feed.book(|book| book.must_finish = true);
    feed.wake();
    let ended = pump.await.expect("no panic");
    assert!(ended.error.is_aborted() && ended.was_ready, "{ended:?}");
    assert_eq!(ended.stats.replies, 13);
    assert!(broker.next().await.is_none(), "the other end sees the end");
}

/// A stream that takes everything at once and passes it on when it is flushed, as one with encryption does.
struct Buffered {
    stream: DuplexStream,
    buffer: BytesMut,
}

impl AsyncRead for Buffered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Buffered {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.buffer.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, buffer } = &mut *self;
        while !buffer.is_empty() {
            let count = ready!(Pin::new(&mut *stream).poll_write(cx, buffer))?;
            buffer.advance(count);
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_stream_keeps_back_is_flushed_although_it_took_everything() {
    let feed = TestFeed::default();
    feed.add(1, 10_000, true);
    let (stream, theirs) = tokio::io::duplex(100);
    let (_pump, mut broker) = start_over(Buffered { stream, buffer: BytesMut::new() }, theirs, &feed);
    // In no time: nothing but the end of a time-out would come of it otherwise.
    let request = time::timeout(Duration::from_secs(1), broker.next()).await.expect("all of it");
    broker.answer(request.expect("a request")).await;
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(feed.told(), "1");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_connection_at_its_minute() {
    let feed = TestFeed::default();
    let (pump, mut broker) = start(&feed, 1 << 16);
    time::sleep(Duration::from_secs(1)).await;
    assert!(broker.next().now_or_never().is_none());
    feed.add(1, 10, true);
    feed.add(2, 10, true);
    feed.wake();
    broker.next().await.expect("a request");
    let asked = time::Instant::now();
    let ended = pump.await.expect("no panic");
    assert_eq!(asked.elapsed(), Duration::from_secs(30));
    assert!(ended.error.is_request_timeout());
    assert_eq!(feed.told(), "1! 2!");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_written_is_told_so() {
    let feed = TestFeed::default();
    let (pump, broker) = half_written(&feed).await;
    drop(broker);
    let ended = pump.await.expect("no panic");
    assert!(!ended.error.is_aborted() && !ended.error.is_timeout(), "{ended:?}");
    assert_eq!(feed.told(), "1! 2! 3?");
}

/// What was told to be unwritten stays so, although the connection is closed in good order.
#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_an_abort() {
    let feed = TestFeed::default();
    let (pump, mut broker) = half_written(&feed).await;
    feed.book(|book| book.must_abort = true);
    feed.wake();
    time::sleep(Duration::from_millis(1)).await;
    assert_eq!(feed.told(), "1! 2! 3?");
    assert_eq!(broker.next().await.map(|(_, number)| number), Some(1));
    assert!(broker.next().await.is_none(), "the second was cut, the third never began");
    assert!(pump.await.expect("no panic").error.is_aborted());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_pump_gives_its_calls_back() {
    let feed = TestFeed::default();
    feed.add(1, 100, true);
    feed.add(2, 100, true);
    let (pump, mut broker) = start(&feed, 1 << 16);
    broker.next().await.expect("a request");
    pump.abort();
    assert!(pump.await.expect_err("aborted").is_cancelled());
    assert_eq!(feed.told(), "1! 2!");
    assert!(
        feed.book(|book| book
            .told
            .iter()
            .all(|(_, result)| result.as_ref().is_err_and(NetError::is_aborted)))
    );
}

/// Opens one connection.
struct Once(Mutex<Option<DuplexStream>>);

impl Connect for Once {
    fn connect<'a>(&'a self, _: Target<'a>) -> BoxFuture<'a, io::Result<BoxStream>> {
        let stream = self.0.lock().expect("no panic").take().expect("it is dialled once");
        async move { Ok(Box::new(stream) as BoxStream) }.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_is_dropped_gives_its_calls_back_and_says_no_more() {
    let feed = TestFeed::default();
    feed.add(1, 100, true);
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let mut broker = Broker(Framed::new(theirs, KafkaCodec::new(1 << 20)));
    let mut config = NetConfig::default();
    config.connector = Connector::new(Once(Mutex::new(Some(ours))));
    let endpoint = Endpoint::new("broker", 9092);
    let rng = fastrand::Rng::with_seed(1);
    let kept = tokio::spawn(keep_connected(NodeId(1), endpoint, Arc::new(config), rng, feed.clone()));
    broker.next().await.expect("a request");
    kept.abort();
    assert!(kept.await.expect_err("aborted").is_cancelled());
    assert_eq!(feed.told(), "1!");
    assert!(broker.next().await.is_none(), "its stream is closed");
    assert_eq!(feed.book(|book| (book.is_ready, book.is_down)), (true, false));
}

/// In a fork of the process: whoever the stream belongs to goes on with it. Whether the pump is woken there, or dropped first.
#[tokio::test(start_paused = true)]
async fn the_stream_of_another_process_is_neither_written_nor_closed() {
    for is_dropped in [false, true] {
        let feed = TestFeed::default();
        feed.add(1, 100, true);
        let (pump, mut broker) = start(&feed, 1 << 16);
        let request = broker.next().await.expect("a request");
        assert_eq!(request.1, 1);
        feed.add(2, 100, true);
        feed.book(|book| book.is_foreign = true);
        if is_dropped {
            pump.abort();
            assert!(pump.await.expect_err("aborted").is_cancelled());
        } else {
            feed.wake();
            assert!(pump.await.expect("no panic").error.is_aborted());
        }
        assert_eq!(feed.told(), "1!");
        let more = time::timeout(Duration::from_secs(60), broker.next()).await;
        assert!(more.is_err(), "neither a request nor the end: {more:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_panics_gets_its_calls_back() {
    let feed = TestFeed::default();
    feed.add(1, 100, true);
    feed.book(|book| book.must_panic = true);
    let (pump, mut broker) = start(&feed, 1 << 16);
    assert!(AssertUnwindSafe(broker.next()).catch_unwind().await.expect("only the pump panics").is_none());
    assert!(pump.await.expect_err("it panicked").is_panic());
    assert_eq!(feed.told(), "1?");
}

#[tokio::test(start_paused = true)]
async fn calls_without_an_answer_flow_past_the_bound() {
    let feed = TestFeed::default();
    for number in 0..500 {
        feed.add(number, 100, false);
    }
    let (pump, mut broker) = start(&feed, 1000);
    for expected in 0..500 {
        assert_eq!(broker.next().await.map(|(_, number)| number), Some(expected));
    }
    assert_eq!(feed.told().split(' ').count(), 500);
    pump.abort();
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_asks_for_a_time_is_asked_then_and_not_before() {
    let feed = TestFeed::default();
    let (_pump, mut broker) = start(&feed, 1 << 16);
    let begin = time::Instant::now();
    feed.book(|book| book.wait = Some((begin + Duration::from_secs(3)).into_std()));
    assert!(time::timeout(Duration::from_secs(1), broker.next()).await.is_err());
    feed.add(7, 10, true);
    let polls = feed.book(|book| book.polls);
    assert_eq!(broker.next().await.map(|(_, number)| number), Some(7));
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    assert_eq!(feed.book(|book| book.polls) - polls, 2, "the call, and that there is no other");
}

#[tokio::test(start_paused = true)]
async fn an_idle_pump_sleeps_until_it_closes() {
    let feed = TestFeed::default();
    let (pump, mut broker) = start(&feed, 1 << 16);
    let begin = time::Instant::now();
    assert!(time::timeout(Duration::from_secs(600), broker.next()).await.expect("closed before").is_none());
    assert_eq!(begin.elapsed(), Duration::from_secs(540));
    assert!(pump.await.expect("no panic").error.is_idle());
    let polls = feed.book(|book| book.polls);
    assert!(polls <= 4, "asked {polls} times in nine minutes without anything to do");
}

#[tokio::test(start_paused = true)]
async fn answers_may_come_in_any_pieces() {
    let feed = TestFeed::default();
    for number in 0..40 {
        feed.add(number, 600, true);
    }
    // A byte at a time, both ways.
    let (pump, mut broker) = start(&feed, 1);
    for _ in 0..40 {
        let request = broker.next().await.expect("a request");
        broker.answer(request).await;
    }
    feed.book(|book| book.must_finish = true);
    feed.wake();
    pump.await.expect("no panic");
    assert_eq!(feed.told().split(' ').count(), 40);
    assert!(!feed.told().contains(['!', '?']));
}

mod sink {
    use std::{
        io::{self, IoSlice},
        pin::Pin,
        task::Poll,
    };

    use tokio::io::{AsyncReadExt, AsyncWrite};

    use super::*;

    /// Takes so many bytes a write, and remembers which.
    #[derive(Debug, Default)]
    struct Writer {
        limit: usize,
        is_vectored: bool,
        bytes: Vec<u8>,
        /// Addresses and sizes of what it was offered.
        offered: Vec<Vec<(usize, usize)>>,
        has_failed: bool,
    }

    impl AsyncWrite for Writer {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let slices = [IoSlice::new(buf)];
            self.as_mut().poll_write_vectored(cx, &slices)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            if self.has_failed {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            self.offered.push(slices.iter().map(|slice| (slice.as_ptr() as usize, slice.len())).collect());
            let mut room = self.limit;
            for slice in slices {
                let step = room.min(slice.len());
                self.bytes.extend_from_slice(&slice[..step]);
                room -= step;
            }
            Poll::Ready(Ok(self.limit - room))
        }

        fn is_write_vectored(&self) -> bool {
            self.is_vectored
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn frame(number: u8, payload: &Bytes) -> FrameBuf {
        let mut buf = FrameBuf::new();
        let start = buf.begin_frame();
        buf.put_u8(number);
        buf.put_shared(payload.clone());
        buf.put_u8(number);
        buf.finish_frame(start).expect("a short frame");
        buf
    }

    fn write(limit: usize, is_vectored: bool) -> (Writer, Vec<u8>, Vec<Bytes>) {
        let mut sink = FrameSink::new(Writer { limit, is_vectored, ..Writer::default() });
        let mut expected = Vec::new();
        let payloads: Vec<_> = (0..9).map(|number| Bytes::from(vec![number; 1000])).collect();
        for (number, payload) in (0..).zip(&payloads) {
            expected.extend_from_slice(&frame(number, payload).into_bytes());
            sink.feed(frame(number, payload)).now_or_never().expect("no waiting").expect("room");
        }
        sink.flush().now_or_never().expect("no waiting").expect("written");
        assert_eq!((sink.written(), sink.held()), (expected.len() as u64, 0));
        (sink.into_inner(), expected, payloads)
    }

    #[test]
    fn every_byte_arrives_whatever_a_write_takes() {
        for limit in [1, 3, 999, 1000, 1001, 1006, 5000, 100_000] {
            for is_vectored in [true, false] {
                let (writer, expected, _) = write(limit, is_vectored);
                assert!(writer.bytes == expected, "{limit} bytes a write, vectored: {is_vectored}");
            }
        }
    }

    #[test]
    fn frames_go_out_together_and_payloads_are_not_copied() {
        let (writer, _, payloads) = write(100_000, true);
        assert_eq!(writer.offered.len(), 1, "nine frames in one write");
        let offered: Vec<_> = writer.offered[0].iter().filter(|(_, size)| *size == 1000).collect();
        let own: Vec<_> = payloads.iter().map(|payload| (payload.as_ptr() as usize, 1000)).collect();
        assert_eq!(offered, own.iter().collect::<Vec<_>>());
    }

    /// The stream takes a part, and then nothing for a while: the future over the sink is dropped there.
    #[test]
    fn a_future_that_is_dropped_loses_no_byte() {
        let payload = Bytes::from(vec![7; 1000]);
        let expected = [frame(1, &payload).into_bytes(), frame(2, &payload).into_bytes()].concat();
        let (near, mut far) = tokio::io::duplex(300);
        let mut sink = FrameSink::new(near);
        assert!(sink.send(frame(1, &payload)).now_or_never().is_none());
        assert_eq!((sink.written(), sink.held()), (300, 706));
        sink.feed(frame(2, &payload)).now_or_never().expect("no waiting").expect("room");
        let mut read = Vec::new();
        while read.len() < expected.len() {
            let mut piece = [0; 100];
            let count = far.read(&mut piece).now_or_never().expect("there is some").expect("open");
            read.extend_from_slice(&piece[..count]);
            // Each of them is dropped before it is done, but for the last one.
            drop(sink.flush().now_or_never());
        }
        assert!(read == expected);
        assert_eq!((sink.written(), sink.held()), (expected.len() as u64, 0));
    }

    #[test]
    fn a_failure_keeps_the_count_true() {
        let mut sink = FrameSink::new(Writer { limit: 10, is_vectored: true, ..Writer::default() });
        let payload = Bytes::from(vec![1; 1000]);
        sink.feed(frame(1, &payload)).now_or_never().expect("no waiting").expect("room");
        sink.stream_mut().has_failed = true;
        let error = sink.flush().now_or_never().expect("no waiting").expect_err("broken");
        assert!(error.is_retriable());
        assert_eq!((sink.written(), sink.held()), (0, 1006));
    }

    #[test]
    fn a_full_sink_writes_before_it_takes_more() {
        let mut sink = FrameSink::new(Writer { limit: 100_000, is_vectored: true, ..Writer::default() });
        let payload = Bytes::from(vec![1; 100_000]);
        for number in 0..20 {
            sink.feed(frame(number, &payload)).now_or_never().expect("no waiting").expect("room");
            assert!(sink.held() <= FrameSink::<Writer>::HIGH_WATER + 100_006);
        }
        assert!(sink.written() > 0);
    }
}
