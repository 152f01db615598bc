//! One pump's [`Feed`] of a [`Client`](super::Client).

use std::{sync::Arc, task::Context, time::Instant};

use super::{
    Shared, guarded,
    request::{ClientCall, ClientReply},
    state::{LinkId, tell_other},
};
use crate::{
    call::{Answer, CallResult},
    conn::Expectation,
    feed::{Demand, Feed, Next, Offer, Status},
    io,
};

#[derive(Debug)]
pub(crate) struct ClientFeed {
    pub(crate) shared: Arc<Shared>,
    pub(crate) link: LinkId,
}

impl Feed for ClientFeed {
    type Call = ClientCall;

    fn poll_demand(&mut self, cx: &mut Context<'_>, _: Instant) -> Demand {
        let (demand, effects) =
            self.shared.with_waker(cx, |state, waker| state.poll_demand(self.link, waker));
        effects.settle();
        demand
    }

    fn poll_call(&mut self, cx: &mut Context<'_>, offer: Offer<'_>) -> Next<ClientCall> {
        let (next, effects) =
            self.shared.with_waker(cx, |state, waker| state.poll_call(self.link, waker, offer.now));
        effects.settle();
        next
    }

    fn on_reply(&mut self, call: ClientCall, result: CallResult<ClientReply>, now: Instant) {
        self.shared.with(|state| state.count_back(self.link, now));
        match call {
            ClientCall::Metadata { ticket, .. } => {
                self.shared.with(|state| state.handle_metadata(ticket, result, now)).settle();
            }
            ClientCall::User(call) => {
                let result = match result {
                    Ok(Answer::Reply { body: ClientReply::User(body), version }) => {
                        Ok(Answer::Reply { body, version })
                    }
                    Ok(_) => Ok(Answer::Written),
                    Err(error) => Err(error),
                };
                // Whoever waits is woken: that must not end the connection.
                guarded(|| call.finish(result));
            }
        }
    }

    fn expectation(&mut self) -> Option<Expectation> {
        self.shared.with(|state| state.metadata().expectation())
    }

    fn on_proven(&mut self, _: Instant) {
        self.shared.with(|state| state.handle_proof(self.link));
    }

    fn on_status(&mut self, status: Status, now: Instant) {
        match &status {
            Status::Down { error, .. } if error.is_other_broker() => guarded(|| tell_other(error)),
            _ => {}
        }
        self.shared.with(|state| state.handle_status(self.link, &status, now)).settle();
    }
}

/// The pump's task is gone, however that came: nobody may wait for it.
impl Drop for ClientFeed {
    fn drop(&mut self) {
        let now = io::now();
        self.shared.with(|state| state.link_ended(self.link, now)).settle();
    }
}
