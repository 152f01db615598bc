//! [`Tamper`]: what is done to which frames.

use std::time::Duration;

use kafka_wire::{ApiKey, NodeId};

use crate::occasions::Occasions;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two")]
pub enum Way {
    /// From the client to the broker.
    Requests,
    /// From the broker to the client.
    Responses,
}

/// Frames, and what is done to them.
///
/// As with a [`Rule`](crate::Rule), conditions narrow the frames down, and each of them counts for itself which ones it has
/// seen. Of several that act on a frame all do what they say; of two cuts the first counts.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "nothing is done before a proxy has it"]
pub struct Tamper {
    pub(super) name: Option<String>,
    pub(super) way: Way,
    pub(super) api: Option<ApiKey>,
    pub(super) broker: Option<NodeId>,
    pub(super) client_id: Option<String>,
    pub(super) occasions: Occasions,
    pub(super) deeds: Vec<Deed>,
}

/// One thing that is done to a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Drop,
    Delay(Duration, Duration),
    Duplicate,
    Cut { after: usize, reset: bool },
    Stall,
}

/// Conditions.
impl Tamper {
    /// All frames in one direction.
    pub fn with(way: Way) -> Self {
        Self {
            name: None,
            way,
            api: None,
            broker: None,
            client_id: None,
            occasions: Occasions::default(),
            deeds: Vec::new(),
        }
    }

    /// Under this name it is asked how often it acted: [`Proxy::fired`](super::Proxy::fired).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only requests of this API, or answers to them.
    pub fn api(mut self, api: ApiKey) -> Self {
        self.api = Some(api);
        self
    }

    /// Only on connections to the port of this broker. Connections to the proxy's first port, where clients start, are to none.
    pub fn broker(mut self, node: NodeId) -> Self {
        self.broker = Some(node);
        self
    }

    /// Only of clients that call themselves so.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }
}

counts!(Tamper, "proxy");

/// What is done.
impl Tamper {
    /// The frame does not arrive.
    pub fn discard(self) -> Self {
        self.deed(Deed::Drop)
    }

    /// The frame, and with it all that come after it in this direction, is held back for so long.
    pub fn delay(self, delay: Duration) -> Self {
        self.deed(Deed::Delay(delay, delay))
    }

    /// Held back for a time between these two, by the proxy's seeded generator.
    pub fn delay_between(self, delay: std::ops::RangeInclusive<Duration>) -> Self {
        self.deed(Deed::Delay(*delay.start(), *delay.end()))
    }

    /// The frame arrives twice; one of more than 16 MiB only once.
    pub fn duplicate(self) -> Self {
        self.deed(Deed::Duplicate)
    }

    /// Only so many bytes of the frame arrive, its length counted in; then the connection is closed on both sides.
    pub fn close_after(self, bytes: usize) -> Self {
        self.deed(Deed::Cut { after: bytes, reset: false })
    }

    /// Only so many bytes of the frame arrive, its length counted in; then the connection is reset (RST) on both sides.
    pub fn reset_after(self, bytes: usize) -> Self {
        self.deed(Deed::Cut { after: bytes, reset: true })
    }

    /// Neither the frame nor anything after it is read in this direction; who sends finds its socket full at some time. The
    /// other direction goes on.
    pub fn stall(self) -> Self {
        self.deed(Deed::Stall)
    }

    fn deed(mut self, deed: Deed) -> Self {
        self.deeds.push(deed);
        self
    }
}
