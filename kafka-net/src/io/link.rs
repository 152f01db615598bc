//! [`keep_connected`]: one broker's connection, dialled again whenever it is wanted.

use std::{
    io,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use futures::future::{Either, FutureExt, poll_fn, select};
use kafka_wire::NodeId;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Sleep,
};

use super::{
    clock,
    connect::Target,
    dial::dial_within,
    pump::{Ended, pump},
};
use crate::{
    client::guarded,
    config::{Endpoint, NetConfig},
    conn::{Connection, Life, Reconnect},
    error::{Kind, NetError, Place},
    feed::{Demand, Feed, Status},
};

/// Keeps a connection to one broker for as long as the feed wants: waits until there is demand, dials, runs the
/// [`pump`](super::pump), backs off when that failed or panicked, and begins again. Ends when the feed says [`Demand::Finish`]
/// or [`Demand::Abort`]; one that answers a pump so has to go on saying it.
///
/// Start it on a runtime with I/O and time enabled, current-thread or multi-thread. `rng` gives the jitter.
///
/// *Cancel safety*: as of [`pump`](super::pump). The feed is not told of the end of a dropped task.
pub async fn keep_connected<F: Feed>(
    node: NodeId,
    endpoint: Endpoint,
    config: Arc<NetConfig>,
    rng: fastrand::Rng,
    mut feed: F,
) {
    let place = Place { node, address: endpoint.to_string().into() };
    let mut reconnect = Reconnect::new(&config, rng);
    while wait_for_demand(&mut feed).await {
        let began = clock::now();
        feed.on_status(Status::Connecting, began);
        let life = connect_once(&place, &endpoint, &config, &mut reconnect, &mut feed);
        // A connector and its streams are foreign: with a task that ends, whoever sees to it would dial again at once.
        let ended = AssertUnwindSafe(life).catch_unwind().await;
        let ended = ended.unwrap_or_else(|_| Ended::before_ready(NetError::at(panicked(), &place)));
        let now = clock::now();
        let lasted = now.saturating_duration_since(began);
        let life = Life { was_ready: ended.was_ready, calls: ended.stats.calls, lasted };
        reconnect.note_api_versions(ended.api_versions);
        let retry_after = reconnect.ended(life, &ended.error);
        let error = ended.error;
        guarded(
            || tracing::debug!(node = node.0, address = %endpoint, %error, ?retry_after, "connection ended"),
        );
        feed.on_status(Status::Down { error, retry_after }, now);
        if !wait_out(&mut feed, retry_after, now).await {
            break;
        }
    }
}

/// The life of one connection, from dialling to its end.
async fn connect_once<F: Feed>(
    place: &Place,
    endpoint: &Endpoint,
    config: &Arc<NetConfig>,
    reconnect: &mut Reconnect,
    feed: &mut F,
) -> Ended {
    let (timeout, skip) = (reconnect.setup_timeout(), reconnect.skip());
    let began = clock::now();
    let Some(custom) = config.connector.custom() else {
        let dialling = dial_within(endpoint, config, skip, timeout);
        let dialled = until_stopped(feed, dialling).await.unwrap_or(Err(Kind::Aborted));
        return run(dialled, place, config, began, timeout, reconnect, feed).await;
    };
    let opening = custom.connect(Target { endpoint, config, skip, timeout });
    let opening = async {
        match tokio::time::timeout(timeout, opening).await {
            Ok(opened) => opened.map_err(Kind::Connect),
            Err(_) => Err(Kind::SetupTimeout { after: timeout, connected: false }),
        }
    };
    let opened = until_stopped(feed, opening).await.unwrap_or(Err(Kind::Aborted));
    run(opened, place, config, began, timeout, reconnect, feed).await
}

/// The life of a connection from its stream on, if there is one.
async fn run<S, F>(
    stream: Result<S, Kind>,
    place: &Place,
    config: &Arc<NetConfig>,
    began: Instant,
    timeout: Duration,
    reconnect: &Reconnect,
    feed: &mut F,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Feed,
{
    let stream = match stream {
        Ok(stream) => stream,
        Err(kind) => return Ended::before_ready(NetError::at(kind, place)),
    };
    // The time-out covers all of the set-up: dialling and negotiation together.
    let now = clock::now();
    let rest = timeout.saturating_sub(now.saturating_duration_since(began));
    // People read it.
    let rest = Duration::from_millis(u64::try_from(rest.as_millis()).unwrap_or(u64::MAX));
    let opening = reconnect.opening(feed.expectation());
    let connection = Connection::open(place.node, &place.address, Arc::clone(config), rest, opening, now);
    pump(stream, connection, config.max_response_size, feed).await
}

/// The panic hook has said what there is to say.
fn panicked() -> Kind {
    Kind::Connect(io::Error::other("what opens or carries the connection panicked"))
}

/// Waits until the feed wants a connection; false if it wants none ever again.
async fn wait_for_demand<F: Feed>(feed: &mut F) -> bool {
    let mut timer = pin!(None::<Sleep>);
    poll_fn(|cx| {
        loop {
            let now = clock::now();
            match feed.poll_demand(cx, now) {
                Demand::Connect => return Poll::Ready(true),
                Demand::Rest => return Poll::Pending,
                Demand::Later(at) if at <= now => return Poll::Ready(true),
                Demand::Later(at) => {
                    timer.set(Some(tokio::time::sleep_until(at.into())));
                    let is_over = timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready());
                    // Asked again once its time has come; the clock may say that this is now.
                    if !is_over {
                        return Poll::Pending;
                    }
                }
                Demand::Finish | Demand::Abort => return Poll::Ready(false),
            }
        }
    })
    .await
}

/// Waits for the feed to stop.
async fn stopped<F: Feed>(feed: &mut F) {
    poll_fn(|cx| match feed.poll_demand(cx, clock::now()) {
        Demand::Connect | Demand::Rest | Demand::Later(_) => Poll::Pending,
        Demand::Finish | Demand::Abort => Poll::Ready(()),
    })
    .await;
}

/// Runs a future; `None` if the feed stops first.
async fn until_stopped<F: Feed, T>(feed: &mut F, future: impl Future<Output = T>) -> Option<T> {
    match select(pin!(future), pin!(stopped(feed))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

/// Waits out a backoff; false if the feed stops meanwhile.
async fn wait_out<F: Feed>(feed: &mut F, delay: Duration, now: Instant) -> bool {
    let Some(until) = now.checked_add(delay) else { return false };
    until_stopped(feed, tokio::time::sleep_until(until.into())).await.is_some()
}
