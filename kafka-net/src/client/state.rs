//! What a [`Client`](super::Client), its driver and its pumps share. No I/O: they lock it, and wake after unlocking.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    task::Waker,
    time::Instant,
};

use kafka_wire::NodeId;

use super::request::{ClientCall, ClientReply, UserCall};
use crate::{
    call::{Answer, CallResult},
    cluster::{Cluster, Duty},
    config::Endpoint,
    enquiry::{Pick, Ticket},
    error::{Kind, NetError, Place},
    feed::{Demand, Next, Status},
    metadata::{ClusterChange, Metadata},
};

/// Behind the one lock of a client.
#[derive(Debug)]
pub(crate) struct State {
    /// The brokers and what waits for them: one call for each caller, and one for metadata at most.
    cluster: Cluster<ClientCall>,
    /// The pumps of brokers that are in the view. Where something waits for a broker, it has one.
    links: BTreeMap<NodeId, Link>,
    next_link: u64,
    /// Links before this one hang up at once.
    abort_before: u64,
    /// Links that hang up at once, one by one; no more than there are pumps.
    aborted: BTreeSet<u64>,
    /// Tasks that wait for a change of the metadata.
    waiting: Vec<Waker>,
    driver: Option<Waker>,
    pub(crate) is_closed: bool,
}

#[derive(Debug)]
struct Link {
    id: u64,
    endpoint: Endpoint,
    pump: Option<Waker>,
}

/// Which link a pump serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkId {
    pub(crate) node: NodeId,
    pub(crate) id: u64,
}

/// Wakers to wake, calls to tell, and calls to forget, once the lock is gone.
#[derive(Debug, Default)]
#[must_use = "to be settled after unlocking"]
pub(crate) struct Effects {
    wakers: Vec<Waker>,
    failed: Vec<(Box<dyn UserCall>, NetError)>,
    /// Nobody waits for these any more. What they carry is the user's, and so is what happens when it is dropped.
    abandoned: Vec<ClientCall>,
    hung_up: bool,
    /// A broker is of another cluster.
    other: Option<NetError>,
    /// Another cluster has taken the place of the one that was known.
    change: Option<ClusterChange>,
}

impl Effects {
    /// Does what could not be done under the lock. Wakers and subscribers are foreign: one that panics harms nobody else.
    pub(crate) fn settle(self) {
        if self.hung_up {
            guarded(|| tracing::info!("no known broker answers: returning to the bootstrap list"));
        }
        if let Some(error) = self.other {
            guarded(|| tell_other(&error));
        }
        if let Some(ClusterChange { from, to }) = self.change {
            guarded(
                || tracing::warn!(%from, %to, "another cluster has taken the place of the one that was known"),
            );
        }
        for call in self.abandoned {
            guarded(|| drop(call));
        }
        for (call, error) in self.failed {
            guarded(|| call.finish(Err(error)));
        }
        for waker in self.wakers {
            guarded(|| waker.wake());
        }
    }
}

/// Runs foreign code that does its own business: a panic of it must not end ours.
pub(crate) fn guarded(foreign: impl FnOnce()) {
    // The panic hook has said what there is to say.
    let _ = panic::catch_unwind(AssertUnwindSafe(foreign));
}

/// Tells that a broker is not the one that is meant.
pub(super) fn tell_other(error: &NetError) {
    let node = error.node().map_or(-1, |node| node.0);
    let (expected, found) = error.clusters().unwrap_or_default();
    let address = error.address().unwrap_or_default();
    tracing::warn!(node, address, expected, found, "{error}");
}

/// A pump for the driver to start.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) link: LinkId,
    pub(crate) endpoint: Endpoint,
}

impl State {
    pub(crate) fn new(metadata: Metadata) -> Self {
        Self {
            // Brokers may take their time for an answer: some calls ask them to.
            cluster: Cluster::new(metadata, None),
            links: BTreeMap::new(),
            next_link: 0,
            abort_before: 0,
            aborted: BTreeSet::new(),
            waiting: Vec::new(),
            driver: None,
            is_closed: false,
        }
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        self.cluster.metadata()
    }

    pub(crate) fn metadata_mut(&mut self) -> &mut Metadata {
        self.cluster.metadata_mut()
    }

    /// Wakes this one at the next change of the metadata. It is left where it is if it is known already.
    pub(crate) fn wait(&mut self, waker: &mut Option<Waker>) {
        let is_kept = |new: &Waker| self.waiting.iter().any(|kept| kept.will_wake(new));
        if !waker.as_ref().is_some_and(is_kept) {
            self.waiting.extend(waker.take());
        }
    }

    /// A user's call for a node. It comes back at once if there is no such node.
    pub(crate) fn enqueue(&mut self, node: NodeId, call: Box<dyn UserCall>) -> Effects {
        let mut effects = Effects::default();
        if self.is_closed {
            effects.failed.push((call, NetError::new(Kind::Aborted)));
            return effects;
        }
        match self.link(node) {
            Some(link) => {
                effects.wakers.extend(link.pump.take());
                self.cluster.enqueue(node, ClientCall::User(call));
                // It may have to start the pump.
                self.wake_driver(&mut effects);
            }
            None => {
                let place = Place { node, address: format!("node {node}").into() };
                effects.failed.push((call, NetError::at(Kind::UnknownNode, &place)));
            }
        }
        effects
    }

    /// A node for a call that any can answer.
    pub(crate) fn pick(&mut self, now: Instant) -> Pick {
        let pick = self.cluster.pick(now);
        if let Pick::Connect(node) = pick {
            self.link(node);
        }
        pick
    }

    /// The driver's turn: which pumps to start, and when it wants to be called again. None if it is over: looked at under the
    /// same lock as the rest, since who closes wakes only a driver that has registered.
    pub(crate) fn drive(
        &mut self,
        waker: &mut Option<Waker>,
        now: Instant,
    ) -> Option<(Vec<Start>, Option<Instant>, Effects)> {
        if self.is_closed {
            return None;
        }
        let mut effects = Effects::default();
        mem::swap(&mut self.driver, waker);
        let call = |ticket, request| ClientCall::Metadata { ticket, request };
        while let Some(duty) = self.cluster.poll_duty(now, call) {
            match duty {
                // Its pump is woken or started below.
                Duty::Wake(node) => {
                    self.link(node);
                }
                Duty::HangUp => {
                    self.abort_before = self.next_link;
                    effects.hung_up = true;
                }
                Duty::HangUpOn(node) => {
                    effects.other = self.metadata().last_failure().cloned();
                    if let Some(link) = self.links.get(&node) {
                        if link.id != UNSTARTED {
                            self.aborted.insert(link.id);
                        }
                        let why = effects.other.clone().unwrap_or_else(|| NetError::new(Kind::Aborted));
                        self.end_link(node, &why, now, &mut effects);
                    }
                }
            }
        }
        self.drop_lost_links(now, &mut effects);
        let mut starts = Vec::new();
        for (&node, link) in &mut self.links {
            if link.id == UNSTARTED {
                link.id = self.next_link;
                self.next_link += 1;
                starts.push(Start { link: LinkId { node, id: link.id }, endpoint: link.endpoint.clone() });
            } else if self.cluster.is_needed(node) {
                effects.wakers.extend(link.pump.take());
            }
        }
        Some((starts, self.metadata().poll_timeout(now), effects))
    }

    /// Something new may be due.
    pub(crate) fn wake_up_driver(&mut self) -> Effects {
        let mut effects = Effects::default();
        self.wake_driver(&mut effects);
        effects
    }

    /// No more calls: every pump finishes.
    pub(crate) fn close(&mut self, now: Instant) -> Effects {
        let mut effects = Effects::default();
        self.is_closed = true;
        self.end_links(|_, _| true, |_, _| NetError::new(Kind::Aborted), now, &mut effects);
        self.wake_all(&mut effects);
        effects
    }

    pub(crate) fn poll_demand(&mut self, id: LinkId, waker: &mut Option<Waker>) -> (Demand, Effects) {
        let mut effects = Effects::default();
        let must_abort = self.must_abort(id);
        if self.current(id).is_none() {
            return (if must_abort { Demand::Abort } else { Demand::Finish }, effects);
        }
        effects.abandoned = self.cluster.withdraw(id.node, ClientCall::is_abandoned);
        if let Some(link) = self.current(id) {
            mem::swap(&mut link.pump, waker);
        }
        let demand = if self.cluster.is_needed(id.node) { Demand::Connect } else { Demand::Rest };
        (demand, effects)
    }

    pub(crate) fn poll_call(
        &mut self,
        id: LinkId,
        waker: &mut Option<Waker>,
        now: Instant,
    ) -> (Next<ClientCall>, Effects) {
        let mut effects = Effects::default();
        let must_abort = self.must_abort(id);
        if self.current(id).is_none() {
            return (if must_abort { Next::Abort } else { Next::Finish }, effects);
        }
        while let Some(call) = self.cluster.poll_call(id.node) {
            if !call.is_abandoned() {
                self.cluster.handle_sent(id.node, now);
                return (Next::Call(call), effects);
            }
            effects.abandoned.push(call);
        }
        if let Some(link) = self.current(id) {
            mem::swap(&mut link.pump, waker);
        }
        (Next::Wait(None), effects)
    }

    /// An answer to Metadata.
    pub(crate) fn handle_metadata(
        &mut self,
        ticket: Ticket,
        result: CallResult<ClientReply>,
        now: Instant,
    ) -> Effects {
        let mut effects = Effects::default();
        match result.map(Answer::into_reply) {
            // What changed is found by whoever waits, in the view.
            Ok(Some(ClientReply::Metadata(response))) => {
                let update = self.metadata_mut().handle_response(ticket, response, now);
                effects.change = update.cluster;
                if effects.change.is_some() {
                    self.abort_before = self.next_link;
                    // Those as well whose pump was not started yet: what waits there was meant for the other cluster.
                    self.end_links(|_, _| true, is_gone, now, &mut effects);
                }
            }
            Ok(_) => {}
            Err(error) => self.metadata_mut().handle_failure(ticket, &error, now),
        }
        self.wake_all(&mut effects);
        effects
    }

    /// A call of this link came back.
    pub(crate) fn count_back(&mut self, id: LinkId, now: Instant) {
        if self.current(id).is_some() {
            self.cluster.handle_answered(id.node, now);
        }
    }

    pub(crate) fn handle_status(&mut self, id: LinkId, status: &Status, now: Instant) -> Effects {
        let mut effects = Effects::default();
        if self.current(id).is_none() {
            return effects;
        }
        if let Status::Down { error, .. } = status {
            // Closed without a fault, just when something came: that will dial again. The metadata asks anew.
            let stays = error.is_idle() || error.is_aborted();
            let goes = |call: &ClientCall| !(stays && matches!(call, ClientCall::User(_)));
            let calls = self.cluster.withdraw(id.node, goes);
            if !stays {
                self.fail_calls(calls, error, now, &mut effects);
            }
        }
        self.cluster.handle_status(id.node, status, now);
        self.wake_all(&mut effects);
        effects
    }

    /// The broker behind a new connection is as expected.
    pub(crate) fn handle_proof(&mut self, id: LinkId) {
        if self.current(id).is_some() {
            self.metadata_mut().handle_proof(id.node);
        }
    }

    /// A pump's task is gone.
    pub(crate) fn link_ended(&mut self, id: LinkId, now: Instant) -> Effects {
        let mut effects = Effects::default();
        self.aborted.remove(&id.id);
        if self.current(id).is_some() {
            self.end_link(id.node, &NetError::new(Kind::Aborted), now, &mut effects);
            self.wake_driver(&mut effects);
        }
        effects
    }

    /// Whether a link that is no more is to hang up at once.
    fn must_abort(&self, id: LinkId) -> bool {
        id.id < self.abort_before || self.aborted.contains(&id.id)
    }

    fn current(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&id.node).filter(|link| link.id == id.id)
    }

    /// The link of a broker in the view, made if there is none yet.
    fn link(&mut self, node: NodeId) -> Option<&mut Link> {
        let broker = self.cluster.view().brokers.get(&node)?;
        let endpoint = || broker.endpoint.clone();
        Some(self.links.entry(node).or_insert_with(|| Link {
            id: UNSTARTED,
            endpoint: endpoint(),
            pump: None,
        }))
    }

    /// Ends the links of brokers that left the view or moved, or that are to be hung up on.
    fn drop_lost_links(&mut self, now: Instant, effects: &mut Effects) {
        let (view, abort_before) = (Arc::clone(self.cluster.view()), self.abort_before);
        let is_lost = |node: NodeId, link: &Link| {
            link.id < abort_before
                || view.brokers.get(&node).is_none_or(|broker| broker.endpoint != link.endpoint)
        };
        self.end_links(is_lost, is_gone, now, effects);
    }

    /// Ends links. What waits there is told why.
    fn end_links(
        &mut self,
        which: impl Fn(NodeId, &Link) -> bool,
        why: impl Fn(NodeId, &Link) -> NetError,
        now: Instant,
        effects: &mut Effects,
    ) {
        let links = self.links.iter().filter(|(node, link)| which(**node, link));
        let links: Vec<_> = links.map(|(&node, link)| (node, why(node, link))).collect();
        for (node, why) in links {
            self.end_link(node, &why, now, effects);
        }
    }

    /// Takes a link away. Its pump finds that out; what waits is told.
    fn end_link(&mut self, node: NodeId, why: &NetError, now: Instant, effects: &mut Effects) {
        effects.wakers.extend(self.links.remove(&node).and_then(|link| link.pump));
        let calls = self.cluster.forget(node);
        self.fail_calls(calls, why, now, effects);
    }

    fn fail_calls(
        &mut self,
        calls: impl IntoIterator<Item = ClientCall>,
        error: &NetError,
        now: Instant,
        effects: &mut Effects,
    ) {
        for call in calls {
            match call {
                ClientCall::User(call) => effects.failed.push((call, error.clone())),
                ClientCall::Metadata { ticket, .. } => {
                    self.metadata_mut().handle_failure(ticket, error, now);
                }
            }
        }
    }

    fn wake_driver(&mut self, effects: &mut Effects) {
        effects.wakers.extend(self.driver.take());
    }

    fn wake_all(&mut self, effects: &mut Effects) {
        effects.wakers.append(&mut self.waiting);
        self.wake_driver(effects);
    }
}

/// What is told to those that wait for a broker that is not there any more.
fn is_gone(node: NodeId, link: &Link) -> NetError {
    let place = Place { node, address: link.endpoint.to_string().into() };
    NetError::at(Kind::UnknownNode, &place)
}

/// A link whose pump the driver has not started yet.
const UNSTARTED: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Wake},
    };

    use std::time::Duration;

    use bytes::Bytes;
    use futures::FutureExt;
    use kafka_wire::{
        ApiKey, CorrelationId, FrameBuf, VersionRange, WireError,
        messages::{MetadataRequest, MetadataResponse, MetadataResponseBroker},
    };

    use super::*;
    use crate::{
        client::{
            ClientFeed, Shared,
            request::{AnyReply, Typed},
        },
        conn::{ConnectionStats, Versions},
        feed::{Feed, Offer},
        metadata::MetadataConfig,
    };

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a user's waker");
        }
    }

    #[derive(Default)]
    struct Counts(AtomicUsize);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn state() -> State {
        let bootstrap = [Endpoint::new("broker", 9092)];
        State::new(Metadata::new(&bootstrap, MetadataConfig::default(), fastrand::Rng::with_seed(1)))
    }

    /// Who closes comes between two turns of the driver, whose waker was taken for the second: it must not sleep then, nor
    /// start anything.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_driver_that_comes_after_the_end_does_nothing_any_more() {
        let (mut state, now) = (state(), Instant::now());
        let counts = Arc::new(Counts::default());
        let waker = Waker::from(Arc::clone(&counts));
        state.close(now).settle();
        assert!(state.drive(&mut Some(waker), now).is_none());
        assert!(state.driver.is_none() && state.links.is_empty());
    }

    /// A user's call that looks, when it is dropped, whether the lock is held.
    #[derive(Debug)]
    struct Looks(Arc<Shared>, Arc<AtomicUsize>);

    impl Drop for Looks {
        fn drop(&mut self) {
            if self.0.is_locked() {
                self.1.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    impl UserCall for Looks {
        fn api_key(&self) -> ApiKey {
            ApiKey::METADATA
        }

        fn versions(&self) -> VersionRange {
            VersionRange::new(0, 0)
        }

        fn encode(&self, _: i16, _: CorrelationId, _: &str) -> Result<FrameBuf, WireError> {
            Ok(FrameBuf::new())
        }

        fn decode(&self, _: i16, _: &Bytes) -> Result<AnyReply, WireError> {
            Ok(Box::new(()))
        }

        fn throttle(&self, _: &AnyReply) -> Duration {
            Duration::ZERO
        }

        fn expects_reply(&self) -> bool {
            true
        }

        fn finish(self: Box<Self>, _: CallResult<AnyReply>) {}

        fn is_abandoned(&self) -> bool {
            true
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn what_a_user_no_longer_waits_for_is_not_dropped_under_the_lock() {
        let now = Instant::now();
        let shared = Arc::new(Shared::new(state()));
        let locked = Arc::new(AtomicUsize::new(0));
        let node =
            shared.with(|state| *state.metadata().view().brokers.keys().next().expect("the bootstrap"));
        let add = || {
            let call = Box::new(Looks(Arc::clone(&shared), Arc::clone(&locked)));
            shared.with(|state| state.enqueue(node, call)).settle();
        };
        add();
        let (starts, _, effects) = shared.with(|state| state.drive(&mut None, now)).expect("it is open");
        effects.settle();
        let link = starts[0].link;
        let mut feed = ClientFeed { shared: Arc::clone(&shared), link };
        let mut cx = Context::from_waker(Waker::noop());
        let _ = feed.poll_demand(&mut cx, now);
        add();
        let (versions, stats) = (Versions::default(), ConnectionStats::default());
        let offer = Offer { now, versions: &versions, in_flight: 0, stats: &stats };
        let _ = feed.poll_call(&mut cx, offer);
        assert_eq!(Arc::strong_count(&locked), 1, "both were dropped");
        assert_eq!(locked.load(Ordering::Relaxed), 0);
    }

    /// Its pump was not even started, so that there is nothing to be hung up on; but its broker's name stays the same.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_call_that_waits_for_a_broker_does_not_go_to_the_one_of_another_cluster() {
        let now = Instant::now();
        let config = MetadataConfig { cluster_check: false, ..MetadataConfig::default() };
        let bootstrap = [Endpoint::new("broker", 9092)];
        let mut state = State::new(Metadata::new(&bootstrap, config, fastrand::Rng::with_seed(1)));
        let ask = |state: &mut State| {
            for _ in 0..2 {
                let (starts, _, effects) = state.drive(&mut None, now).expect("it is open");
                effects.settle();
                starts.iter().for_each(|start| state.handle_status(start.link, &Status::Ready, now).settle());
            }
            let nodes: Vec<NodeId> = state.links.keys().copied().collect();
            let calls = nodes.into_iter().filter_map(|node| state.cluster.poll_call(node));
            match calls.last() {
                Some(ClientCall::Metadata { ticket, .. }) => ticket,
                _ => panic!("somebody is asked"),
            }
        };
        let answer = |cluster: &str| {
            let broker = |id| MetadataResponseBroker {
                node_id: NodeId(id),
                host: "broker".to_owned(),
                port: 9092 + id,
                rack: None,
            };
            let response = MetadataResponse {
                cluster_id: Some(cluster.to_owned()),
                brokers: vec![broker(1), broker(2)],
                ..MetadataResponse::default()
            };
            Ok(Answer::Reply { body: ClientReply::Metadata(response), version: 12 })
        };
        let ticket = ask(&mut state);
        state.handle_metadata(ticket, answer("first"), now).settle();
        state.metadata_mut().request_update();
        let ticket = ask(&mut state);
        let calls: Vec<_> = [1, 2]
            .map(|node| {
                let (call, reply) = Typed::boxed(MetadataRequest::default());
                state.enqueue(NodeId(node), call).settle();
                reply
            })
            .into();
        state.handle_metadata(ticket, answer("second"), now).settle();
        for reply in calls {
            let result = reply.now_or_never().expect("told").expect("not forgotten");
            assert!(result.is_err_and(|error| !error.possibly_written()));
        }
    }

    /// A waker that looks, when the last of it is dropped, whether the lock is held.
    struct Leaves(Arc<Shared>, Arc<AtomicUsize>);

    impl Wake for Leaves {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Leaves {
        fn drop(&mut self) {
            let is_free = !self.0.is_locked();
            self.1.fetch_add(if is_free { 1 } else { 1_000 }, Ordering::Relaxed);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn wakers_are_not_dropped_under_the_lock() {
        let now = Instant::now();
        let shared = Arc::new(Shared::new(state()));
        let dropped = Arc::new(AtomicUsize::new(0));
        let node =
            shared.with(|state| *state.metadata().view().brokers.keys().next().expect("the bootstrap"));
        let (call, _reply) = Typed::boxed(MetadataRequest::default());
        shared.with(|state| state.enqueue(node, call)).settle();
        let (starts, _, effects) = shared.with(|state| state.drive(&mut None, now)).expect("it is open");
        effects.settle();
        let mut feed = ClientFeed { shared: Arc::clone(&shared), link: starts[0].link };
        let (versions, stats) = (Versions::default(), ConnectionStats::default());
        let offer = Offer { now, versions: &versions, in_flight: 0, stats: &stats };
        let waker = || Waker::from(Arc::new(Leaves(Arc::clone(&shared), Arc::clone(&dropped))));
        for round in 1..=2 {
            // Each takes the place of the one before it; in the first round one comes back unused, for there is a call.
            let _ = feed.poll_demand(&mut Context::from_waker(&waker()), now);
            let _ = feed.poll_call(&mut Context::from_waker(&waker()), offer);
            let _ = feed.poll_call(&mut Context::from_waker(&waker()), offer);
            let drive = |state: &mut State, waker: &mut Option<Waker>| state.drive(waker, now);
            let turn = shared.with_waker(&Context::from_waker(&waker()), drive);
            turn.expect("it is open").2.settle();
            let same = waker();
            for _ in 0..2 {
                shared.with_waker(&Context::from_waker(&same), State::wait);
            }
            assert!(dropped.load(Ordering::Relaxed) < 1_000, "round {round}");
        }
        shared.with(|state| state.close(now)).settle();
        drop(feed);
        assert_eq!(dropped.load(Ordering::Relaxed), 10, "each of them, and none under the lock");
    }

    #[test]
    fn a_waker_that_panics_keeps_nobody_else_asleep() {
        let counts = Arc::new(Counts::default());
        let good = Waker::from(Arc::clone(&counts));
        let bad = Waker::from(Arc::new(Panics));
        // Two that wait for the end of a call, and two that wait for news.
        let mut effects = Effects { wakers: vec![bad.clone(), good.clone()], ..Effects::default() };
        let mut waiting = Vec::new();
        for waker in [&bad, &good] {
            let (call, mut reply) = Typed::boxed(MetadataRequest::default());
            assert!(reply.poll_unpin(&mut Context::from_waker(waker)).is_pending());
            effects.failed.push((call, NetError::new(Kind::Aborted)));
            waiting.push(reply);
        }
        effects.settle();
        assert_eq!(counts.0.load(Ordering::Relaxed), 2);
        for reply in waiting {
            let result = reply.now_or_never().expect("told").expect("not forgotten");
            assert!(result.is_err_and(|error| error.is_aborted()));
        }
    }
}
