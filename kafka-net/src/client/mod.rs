//! [`Client`]: brokers called by name, for users of this crate alone.

mod feed;
mod request;
mod state;

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use kafka_wire::{ErrorCode, NodeId, PartitionId, Request, TopicName};

use self::request::{ReplyReceiver, Typed};
pub(crate) use self::{
    feed::ClientFeed,
    state::{Effects, Start, State, guarded},
};
use crate::{
    config::{ConfigError, Endpoint, NetConfig},
    enquiry::Pick,
    error::{Kind, NetError, topic_error_may_pass},
    io,
    metadata::{ClusterView, Metadata, MetadataConfig, TopicView},
    shown::MAX_TOPIC,
};

/// Settings of a [`Client`]. Start from the default and assign what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Settings of its connections.
    pub net: NetConfig,
    /// Settings of its metadata. Unlike a producer's, they do not create topics by asking for them.
    pub metadata: MetadataConfig,
    /// `max.block.ms`: 60 s. The longest wait for a broker, a topic or a leader.
    pub max_block: Duration,
    /// The seed of the jitter in its backoffs; `None` takes one from the system.
    pub seed: Option<u64>,
}

impl ClientConfig {
    /// Checks every value that has limits.
    ///
    /// # Errors
    /// Names the first setting out of its limits.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.net.validate()?;
        self.metadata.validate()
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        let metadata = MetadataConfig { allow_auto_topic_creation: false, ..MetadataConfig::default() };
        Self { net: NetConfig::default(), metadata, max_block: Duration::from_secs(60), seed: None }
    }
}

/// A cluster to call: a connection to each broker that is needed, found through the bootstrap list, kept up and
/// dialled again in the background.
///
/// Cheap to clone; clones share everything. When the last one is dropped, the connections close after the answers
/// still due.
///
/// ```no_run
/// use kafka_net::{Client, ClientConfig};
/// use kafka_wire::{PartitionId, messages::MetadataRequest};
///
/// # async fn example() -> Result<(), kafka_net::NetError> {
/// let client = Client::connect("localhost:9092", ClientConfig::default()).await?;
/// let leader = client.leader("orders", PartitionId(0)).await?;
/// let response = client.call(leader, MetadataRequest::default()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    owner: Arc<Owner>,
}

/// Closes everything when the last client is gone.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    max_block: Duration,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let now = io::now();
        self.shared.with(|state| state.close(now)).settle();
    }
}

/// The state behind its lock. Nothing foreign runs under it: wakers and users' calls are [`Effects`].
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self { state: Mutex::new(state) }
    }

    #[cfg(test)]
    pub(crate) fn is_locked(&self) -> bool {
        self.state.try_lock().is_err()
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.lock())
    }

    /// The same, for what may keep a waker: cloned before the lock is taken, and what is left or replaced is dropped after it.
    pub(crate) fn with_waker<T>(
        &self,
        cx: &Context<'_>,
        f: impl FnOnce(&mut State, &mut Option<Waker>) -> T,
    ) -> T {
        let mut waker = Some(cx.waker().clone());
        let mut state = self.lock();
        f(&mut state, &mut waker)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Connects to a cluster: returns when one broker of the list ("host:port" with commas between) has told which
    /// brokers there are. Starts tasks on the current runtime, which needs I/O and time enabled.
    ///
    /// *Cancel safety*: dropping the future closes what it opened.
    ///
    /// # Errors
    /// An entry or a setting is wrong; every broker of the list speaks something else than Kafka's protocol; or none
    /// has answered within `max_block`: then [`source`](std::error::Error::source) is the last failure.
    pub async fn connect(bootstrap: &str, config: ClientConfig) -> Result<Self, NetError> {
        let bootstrap =
            Endpoint::parse_list(bootstrap).map_err(|error| NetError::new(Kind::Config(error)))?;
        Self::connect_to(&bootstrap, config).await
    }

    /// As [`connect`](Self::connect), with addresses that are parsed already.
    ///
    /// *Cancel safety*: as [`connect`](Self::connect).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_to(bootstrap: &[Endpoint], config: ClientConfig) -> Result<Self, NetError> {
        config.validate().map_err(|error| NetError::new(Kind::Config(error)))?;
        if let Some(lack) = io::runtime_lack(&config.net.connector) {
            return Err(NetError::new(Kind::Runtime(lack)));
        }
        let mut rng = config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let metadata = Metadata::new(bootstrap, config.metadata, rng.fork());
        let shared = Arc::new(Shared::new(State::new(metadata)));
        io::start_driver(&shared, config.net, rng);
        let client = Self { owner: Arc::new(Owner { shared, max_block: config.max_block }) };
        let list = bootstrap.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(",");
        let goal = || format!("no broker of {list} could be reached");
        client
            .wait(goal, |state| (state.metadata().update_count() > 0).then_some(Ok(())).ok_or(None))
            .await?;
        Ok(client)
    }

    /// The cluster as last heard of. Has only the topics that were asked for, and not for longer than the
    /// metadata's `max_idle` after that.
    #[must_use]
    pub fn view(&self) -> Arc<ClusterView> {
        Arc::clone(self.shared().lock().metadata().view())
    }

    /// Asks the cluster again, and waits for the answer: for when a broker has said that it is not the leader.
    ///
    /// *Cancel safety*: safe; the update goes on.
    ///
    /// # Errors
    /// There was no answer within `max_block`.
    pub async fn refresh(&self) -> Result<(), NetError> {
        self.update(Metadata::request_update).await
    }

    async fn update(&self, request: impl FnOnce(&mut Metadata)) -> Result<(), NetError> {
        let before = self.shared().with(|state| {
            request(state.metadata_mut());
            state.metadata().update_count()
        });
        self.shared().with(State::wake_up_driver).settle();
        let goal = || "the cluster could not be asked for its metadata".to_owned();
        self.wait(goal, |state| (state.metadata().update_count() > before).then_some(Ok(())).ok_or(None))
            .await
    }

    /// A topic and its partitions, once the cluster has told about it.
    ///
    /// *Cancel safety*: safe; asking goes on in the background.
    ///
    /// # Errors
    /// The cluster refuses to tell, or does not know the topic within `max_block`.
    pub async fn topic(&self, topic: &str) -> Result<Arc<TopicView>, NetError> {
        let name = TopicName::from(topic);
        let goal = || format!("topic {topic} could not be found");
        self.wait_for_topic(&name, goal, |view| {
            if view.partitions.is_empty() { Err(None) } else { Ok(Ok(Arc::clone(view))) }
        })
        .await
    }

    /// The leader of a partition, once it is known.
    ///
    /// *Cancel safety*: safe; asking goes on in the background.
    ///
    /// # Errors
    /// The cluster refuses to tell, the topic has no such partition, or it has no leader within `max_block`. That there is no
    /// such partition is believed when it was asked for again, of another broker where there is one: the first may lag behind.
    pub async fn leader(&self, topic: &str, partition: PartitionId) -> Result<NodeId, NetError> {
        match self.leader_in_view(topic, partition).await {
            Err(error) if error.is_no_partition() => {
                self.update(Metadata::request_update_elsewhere).await?;
                self.leader_in_view(topic, partition).await
            }
            known => known,
        }
    }

    async fn leader_in_view(&self, topic: &str, partition: PartitionId) -> Result<NodeId, NetError> {
        let name = TopicName::from(topic);
        let goal = || format!("the leader of {topic}-{partition} could not be found");
        self.wait_for_topic(&name, goal, |view| {
            let reason = match view.partition(partition) {
                None if view.partitions.is_empty() => return Err(None),
                None => {
                    let (topic, count) = (topic.to_owned(), view.partitions.len());
                    return Ok(Err(NetError::new(Kind::NoPartition {
                        topic,
                        partition: partition.0,
                        count,
                    })));
                }
                Some(partition) => match partition.leader {
                    Some(leader) => return Ok(Ok(leader)),
                    None => partition.error,
                },
            };
            let topic = topic.to_owned();
            Err(Some(NetError::new(Kind::NoLeader { topic, partition: partition.0, code: reason })))
        })
        .await
    }

    /// Sends a request to a broker and waits for the answer; error codes inside it are for the caller to read. It is
    /// sent once, in the newest version both sides know. A Produce request with `acks=0`, which brokers do not answer, is
    /// done when it is written: its response is the default one.
    ///
    /// *Cancel safety*: dropping the future abandons the call. If it had not been sent it never is, otherwise the
    /// broker may act on it and the answer is dropped; nothing else is affected.
    ///
    /// # Errors
    /// There is no such broker or no connection to it, the connection broke, the answer was overdue, or no version
    /// fits. [`NetError::possibly_written`] tells whether the broker may have seen the request.
    pub async fn call<R>(&self, node: NodeId, request: R) -> Result<R::Response, NetError>
    where
        R: Request,
    {
        let (call, reply) = Typed::boxed(request);
        self.shared().with(|state| state.enqueue(node, call)).settle();
        received::<R>(reply).await
    }

    /// As [`call`](Self::call), to any broker: one that is connected, the least busy first.
    ///
    /// *Cancel safety*: as [`call`](Self::call).
    ///
    /// # Errors
    /// As [`call`](Self::call), and no broker could be reached within `max_block`.
    pub async fn call_any<R>(&self, request: R) -> Result<R::Response, NetError>
    where
        R: Request,
    {
        let goal = || "no broker could be reached".to_owned();
        let node = self
            .wait(goal, |state| match state.pick(io::now()) {
                Pick::Ready(node) => Ok(Ok(node)),
                Pick::Connect(_) | Pick::Wait | Pick::Nobody => Err(None),
            })
            .await?;
        self.call(node, request).await
    }

    /// Sends a request to the leader of a partition, as [`leader`](Self::leader) and [`call`](Self::call) after one
    /// another. If the broker answers that it is not the leader, [`refresh`](Self::refresh) and call again.
    ///
    /// *Cancel safety*: as [`call`](Self::call).
    ///
    /// # Errors
    /// As [`leader`](Self::leader) and [`call`](Self::call).
    pub async fn call_leader<R>(
        &self,
        topic: &str,
        partition: PartitionId,
        request: R,
    ) -> Result<R::Response, NetError>
    where
        R: Request,
    {
        let leader = self.leader(topic, partition).await?;
        self.call(leader, request).await
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }

    /// Waits until `look` finds something: `Err` means not yet, with the reason if it knows one.
    async fn wait<T>(
        &self,
        goal: impl Fn() -> String,
        mut look: impl FnMut(&mut State) -> Result<Result<T, NetError>, Option<NetError>>,
    ) -> Result<T, NetError> {
        let fatal_before = self.shared().with(|state| state.metadata().fatal_count());
        let mut reason = None;
        let found = poll_fn(|cx| {
            let (poll, effects) = self.shared().with_waker(cx, |state, waker| {
                if state.is_closed {
                    return (Poll::Ready(Err(NetError::new(Kind::Aborted))), Effects::default());
                }
                match look(state) {
                    Ok(found) => (Poll::Ready(found), Effects::default()),
                    Err(why) => {
                        if let Some(fatal) = state.metadata().fatal_since(fatal_before) {
                            return (Poll::Ready(Err(fatal.clone())), Effects::default());
                        }
                        reason = why.or_else(|| state.metadata().last_failure().cloned());
                        state.wait(waker);
                        // What was looked for may be new to the metadata.
                        (Poll::Pending, state.wake_up_driver())
                    }
                }
            });
            effects.settle();
            poll
        });
        match io::within(self.owner.max_block, found).await {
            Some(found) => found,
            None => {
                Err(NetError::new(Kind::Waited { goal: goal(), after: self.owner.max_block, last: reason }))
            }
        }
    }

    async fn wait_for_topic<T>(
        &self,
        name: &TopicName,
        goal: impl Fn() -> String,
        look: impl Fn(&Arc<TopicView>) -> Result<Result<T, NetError>, Option<NetError>>,
    ) -> Result<T, NetError> {
        if name.as_str().len() > MAX_TOPIC {
            // No request could carry some of these, nor what else it asks for.
            let code = ErrorCode::INVALID_TOPIC_EXCEPTION;
            return Err(NetError::new(Kind::Topic { topic: name.to_string(), code }));
        }
        self.wait(goal, |state| {
            state.metadata_mut().want(name, io::now());
            let Some(topic) = state.metadata().view().topic(name.as_str()) else { return Err(None) };
            if topic.error.is_err() {
                let error = NetError::new(Kind::Topic { topic: name.to_string(), code: topic.error });
                // A topic that was made just now is not known everywhere yet.
                let may_come = topic_error_may_pass(topic.error);
                return if may_come { Err(Some(error)) } else { Ok(Err(error)) };
            }
            look(topic)
        })
        .await
    }
}

async fn received<R: Request>(reply: ReplyReceiver<R>) -> Result<R::Response, NetError> {
    // The other end is dropped only with the runtime's tasks.
    reply.await.unwrap_or_else(|_| Err(NetError::new(Kind::Aborted)))
}
