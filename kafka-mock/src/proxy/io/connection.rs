//! One connection of a client and its counterpart to a broker.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_wire::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::shared::Shared;
use crate::io::host_and_port;
use crate::proxy::{Accept, Asked, Dissected, Head, InFlight, Lines, Verdict, Way, is_rewritten, rewrite};

/// Carries bytes both ways until an end, wanted or not.
pub(super) async fn serve(mut client: TcpStream, node: Option<NodeId>, shared: Arc<Shared>) {
    let line = shared.lines.borrow().of(node).clone();
    let mut resets = shared.resets.subscribe();
    let resets_before = resets.borrow_and_update().of(node);
    let lifetime =
        line.lifetime.map(|(shortest, longest)| shared.judge("lifetime").between(shortest, longest));
    let ended = async {
        let lived = async {
            match lifetime {
                Some(lifetime) => tokio::time::sleep(lifetime).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = lived => {}
            // An error says that the proxy is gone.
            _ = resets.wait_for(|resets| resets.of(node) != resets_before) => {}
        }
    };
    tokio::pin!(ended);
    match line.accept {
        Accept::Forward => {}
        Accept::Hold => {
            ended.await;
            reset(&client);
            return;
        }
        Accept::Refuse => return reset(&client),
    }
    let mut broker = tokio::select! {
        connected = connect(node, line.leads_to.as_deref(), &shared) => match connected {
            Ok(broker) => broker,
            Err(error) => {
                shared.log(&error.to_string());
                // As the client would have seen it.
                return reset(&client);
            }
        },
        () = &mut ended => return reset(&client),
    };
    // Best effort: without it small frames may come late.
    let _ = client.set_nodelay(true);
    let _ = broker.set_nodelay(true);
    let in_flight = Mutex::new(InFlight::default());
    let resets = {
        let (from_client, to_client) = client.split();
        let (from_broker, to_broker) = broker.split();
        let relay = |way, from, to| {
            let lines = shared.lines.subscribe();
            let allowed = line.bytes_before_cut(way);
            Relay {
                way,
                node,
                leads_elsewhere: line.leads_to.is_some(),
                shared: &shared,
                in_flight: &in_flight,
                from,
                to,
                lines,
                allowed,
                input: BytesMut::new(),
            }
        };
        let requests = relay(Way::Requests, from_client, to_broker);
        let responses = relay(Way::Responses, from_broker, to_client);
        tokio::select! {
            // Both have come to their end, or one was cut.
            cut = async { tokio::try_join!(requests.run(), responses.run()) } => cut.is_err_and(|end| end.resets()),
            () = &mut ended => true,
        }
    };
    if resets {
        reset(&client);
        reset(&broker);
    }
}

/// Opens a connection to a broker, or to the address given instead.
async fn connect(node: Option<NodeId>, elsewhere: Option<&str>, shared: &Shared) -> io::Result<TcpStream> {
    let address = match elsewhere {
        Some(address) => address.to_owned(),
        None => {
            let (host, port) = shared.ports("connect").upstream(node);
            host_and_port(&host, port)
        }
    };
    let stream = TcpStream::connect(&address).await;
    stream.map_err(|error| io::Error::new(error.kind(), format!("cannot connect to {address}: {error}")))
}

/// The connection ends with an RST when it is dropped.
fn reset(stream: &TcpStream) {
    // It fails where the connection has ended already.
    let _ = stream.set_zero_linger();
}

/// One direction.
struct Relay<'a> {
    way: Way,
    node: Option<NodeId>,
    /// To no broker that the proxy stands in for: its addresses are not replaced.
    leads_elsewhere: bool,
    shared: &'a Shared,
    in_flight: &'a Mutex<InFlight>,
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    lines: watch::Receiver<Lines>,
    /// Bytes that may still pass, if they are counted.
    allowed: Option<u64>,
    input: BytesMut,
}

/// Why a connection ends that nobody has closed.
#[derive(Debug)]
enum End {
    Cut { reset: bool },
    Io(io::Error),
}

impl End {
    /// Whether the other side is to see a reset: who has seen one passes it on.
    fn resets(&self) -> bool {
        match self {
            Self::Cut { reset } => *reset,
            Self::Io(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Relay<'_> {
    /// Passes frames on until the sender hangs up.
    async fn run(mut self) -> Result<(), End> {
        loop {
            match Head::read(self.way, &self.input) {
                Dissected::Frame(head) => self.frame(head).await?,
                Dissected::More => {
                    if !self.read().await? {
                        // The start of a frame that never came: it is passed on as well.
                        let rest = self.input.len();
                        self.pass(rest).await?;
                        break;
                    }
                }
                Dissected::Strange => {
                    self.pass(usize::MAX).await?;
                    break;
                }
            }
        }
        self.to.shutdown().await?;
        Ok(())
    }

    async fn frame(&mut self, mut head: Head) -> Result<(), End> {
        head.asked = self.recognise(head.asked);
        let Verdict { delay, discard, duplicate, stall, cut } =
            self.shared.verdict(self.way, self.node, &head);
        if stall {
            std::future::pending::<()>().await;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if discard {
            return self.discard(head.size).await;
        }
        let rewrites = self.way == Way::Responses && !self.leads_elsewhere && is_rewritten(&head.asked);
        if rewrites && head.size > MAX_HELD {
            self.passes_unread(&head.asked, "it is too large to be held");
        }
        if (rewrites || duplicate) && head.size <= MAX_HELD {
            let Some(mut frame) = self.whole(head.size).await? else { return Ok(()) };
            if rewrites {
                frame = self.rewrite(&head.asked, frame);
            }
            if let Some((after, reset)) = cut {
                self.write(frame.slice(..after.min(frame.len()))).await?;
                return self.cut(reset).await;
            }
            self.write(frame.clone()).await?;
            return if duplicate { self.write(frame).await } else { Ok(()) };
        }
        match cut {
            Some((after, reset)) => {
                self.pass(after.min(head.size)).await?;
                self.cut(reset).await
            }
            None => self.pass(head.size).await,
        }
    }

    /// Notes a request down, or finds the one that is answered.
    fn recognise(&self, asked: Asked) -> Asked {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        match self.way {
            Way::Requests => {
                in_flight.asked(asked.clone());
                asked
            }
            Way::Responses => in_flight.answered(asked.correlation_id).unwrap_or(asked),
        }
    }

    fn rewrite(&self, asked: &Asked, frame: Bytes) -> Bytes {
        let mut faults = Vec::new();
        let rewritten = rewrite(asked, &frame, &mut |node, host, port| match self
            .shared
            .ports("stand in")
            .stand_in(node, host, port)
        {
            Ok(told) => told,
            Err(error) => {
                faults.push(format!("no port for broker {node}: {error}"));
                None
            }
        });
        faults.iter().for_each(|fault| self.shared.log(fault));
        rewritten.unwrap_or_else(|| {
            self.passes_unread(asked, "it cannot be read");
            frame
        })
    }

    /// Says that clients may go past the proxy from now on.
    fn passes_unread(&self, asked: &Asked, why: &str) {
        let (api, version) = (asked.api, asked.version);
        self.shared
            .log(&format!("an answer to {api}, version {version}, keeps the brokers' own addresses: {why}"));
    }

    /// The whole frame; `None` where the sender hangs up within it, and what there is of it was passed on.
    async fn whole(&mut self, size: usize) -> Result<Option<Bytes>, End> {
        while self.input.len() < size {
            if !self.read().await? {
                let rest = self.input.len();
                self.pass(rest).await?;
                return Ok(None);
            }
        }
        Ok(Some(self.input.split_to(size).freeze()))
    }

    /// Passes so many bytes on, or fewer where the sender hangs up.
    async fn pass(&mut self, mut count: usize) -> Result<(), End> {
        while count > 0 {
            if self.input.is_empty() && !self.read().await? {
                return Ok(());
            }
            let piece = self.input.split_to(count.min(self.input.len())).freeze();
            count -= piece.len();
            self.write(piece).await?;
        }
        Ok(())
    }

    async fn discard(&mut self, mut count: usize) -> Result<(), End> {
        while count > 0 {
            if self.input.is_empty() && !self.read().await? {
                return Ok(());
            }
            let gone = count.min(self.input.len());
            self.input.advance(gone);
            count -= gone;
        }
        Ok(())
    }

    /// Ends the connection. What was written before has to leave first: a reset would overtake it.
    async fn cut(&mut self, reset: bool) -> Result<(), End> {
        self.to.flush().await?;
        if reset {
            tokio::time::sleep(BEFORE_RESET).await;
        }
        Err(End::Cut { reset })
    }

    /// Reads some more, if the line lets anything through; false if the sender has hung up.
    async fn read(&mut self) -> Result<bool, End> {
        self.open().await;
        self.input.reserve(READ_SIZE);
        Ok(self.from.read_buf(&mut self.input).await? > 0)
    }

    /// Writes as the line allows.
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), End> {
        while !bytes.is_empty() {
            self.open().await;
            let rate = self.lines.borrow().of(self.node).rate;
            // As much as a twentieth of a second carries, so that the rate is even.
            let most =
                rate.map_or(bytes.len(), |rate| usize::try_from(rate / 20).unwrap_or(usize::MAX).max(1));
            let mut piece = bytes.split_to(most.min(bytes.len()));
            if let Some(allowed) = &mut self.allowed {
                let fits = usize::try_from(*allowed).unwrap_or(usize::MAX).min(piece.len());
                *allowed -= fits as u64;
                let last = *allowed == 0;
                piece.truncate(fits);
                self.to.write_all(&piece).await?;
                if last {
                    return self.cut(true).await;
                }
            } else {
                self.to.write_all(&piece).await?;
            }
            if let Some(rate) = rate {
                tokio::time::sleep(Duration::from_secs_f64(piece.len() as f64 / rate as f64)).await;
            }
        }
        Ok(())
    }

    /// Waits until the line lets something through in this direction.
    async fn open(&mut self) {
        let (node, way) = (self.node, self.way);
        // An error says that the proxy is gone, and then this task is, too.
        let _ = self.lines.wait_for(|lines| !lines.of(node).is_paused(way)).await;
    }
}

/// Room for every read.
const READ_SIZE: usize = 64 << 10;

/// Frames that are rewritten or doubled are held whole up to this size; larger ones pass as they are.
const MAX_HELD: usize = 16 << 20;

/// A reset throws away what was written and has not left this machine's kernel: a moment for that.
const BEFORE_RESET: Duration = Duration::from_millis(5);
