//! [`Enquiry`]: when to ask a cluster something, which node, and which other node.
//!
//! Whatever a client asks besides Produce and Fetch is an enquiry: metadata, a producer id, which broker coordinates a
//! transaction, the end of that transaction. All of them take turns in the same way: a node is asked; while it is silent,
//! a second one is asked as well; after a failure nobody is asked until a back-off is over; and a node that cannot answer
//! is passed over. That way is here, once. What is asked, and what an answer means, is not.
//!
//! # Who owns which state
//!
//! | state | owner |
//! |---|---|
//! | questions without an answer, failures and the back-off after them, nodes that refuse | `Enquiry` |
//! | which brokers there are, which of them are connected, which may be dialled | [`Metadata`](crate::Metadata) |
//! | calls that wait for a connection, how much each broker has to do | [`Cluster`](crate::Cluster) |
//! | what is asked and since when, and what an answer means | the owner of the `Enquiry` |
//!
//! # Invariants
//!
//! 1. A node has at most one question of an enquiry, and there are at most [`max_asked`](EnquiryRules::max_asked).
//! 2. The next node is asked [`patience`](EnquiryRules::patience) after the last one was, not earlier.
//! 3. After a failure, the first node is asked when the back-off is over, not earlier.
//! 4. An answer counts once, and only while its question is not given up.
//! 5. A question for the controller or for one node goes to that node, and to one node at a time.
//! 6. A node that was [passed over](Enquiry::pass_over) is asked again over another connection only.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use kafka_wire::NodeId;

use crate::backoff::Backoff;

/// The schedule of one kind of question: when to ask which broker, and which other one. What is asked, and what an answer
/// means, is its owner's; `A` is what the owner has to remember of each question.
///
/// - questions: [`due`](Self::due), [`questions`](Self::questions), ...
/// - inputs: [`handle_down`](Self::handle_down);
/// - commands: [`ask`](Self::ask), [`give_up`](Self::give_up), [`succeed`](Self::succeed), ...
/// - outputs: [`poll`](Self::poll), after any input or command, and at the times that [`due`](Self::due) and
///   [`elsewhere_until`](Self::elsewhere_until) give. What was polled in vain is not due again by itself: a broker was
///   missing, whose [`Status`](crate::Status) leads to the next poll.
///
/// Some methods take `wanted`: from when on the owner wants an answer, `None` if it wants none.
#[derive(Debug)]
pub struct Enquiry<A = ()> {
    to: To,
    rules: EnquiryRules,
    /// Oldest first.
    questions: Vec<Question<A>>,
    next_ticket: u64,
    /// The end of the back-off.
    not_before: Option<Instant>,
    /// Failures in a row.
    failures: u32,
    /// Nodes that cannot answer.
    unable: BTreeSet<NodeId>,
    /// Nodes that are asked last.
    odd: BTreeSet<NodeId>,
    /// Until then, a broker that is being connected to is preferred to those that are asked last.
    elsewhere_until: Option<Instant>,
}

/// Which node a question is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum To {
    /// Any broker: the one with the least to do.
    Any,
    /// The controller, as far as it is known.
    Controller,
    /// This broker, such as the coordinator of a transaction, as the answer to another question has named it.
    Node(NodeId),
}

/// The numbers an [`Enquiry`] goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "each enquiry has to say them all")]
pub struct EnquiryRules {
    /// How long a node may be silent before another one is asked as well. Only where any broker can be asked.
    pub patience: Duration,
    /// How many nodes may have the question at a time, at least one.
    pub max_asked: usize,
    /// The pauses after failures.
    pub backoff: Backoff,
}

/// A question without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question<A = ()> {
    /// What its answer is known by.
    pub ticket: Ticket,
    /// The node that was asked.
    pub node: NodeId,
    /// When it was asked.
    pub since: Instant,
    /// What the owner has to remember.
    pub about: A,
}

/// Pairs an answer with its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub(crate) u64);

/// Which broker to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pick {
    /// This one has a connection.
    Ready(NodeId),
    /// None has; connect to this one.
    Connect(NodeId),
    /// A connection is being set up: wait for it.
    Wait,
    /// Every broker has failed, and none may be dialled before a back-off is over.
    Nobody,
}

/// The brokers an [`Enquiry`] chooses from.
pub trait Brokers {
    /// The best broker to ask, among those that `may_ask` allows; where one has to be connected to first, it does not matter
    /// what `may_ask` says of it.
    fn pick(&mut self, to: To, may_ask: &dyn Fn(NodeId) -> bool, now: Instant) -> Pick;

    /// Whether any broker is being connected to.
    fn is_connecting(&self) -> bool;
}

impl<A> Enquiry<A> {
    /// No node has been asked yet.
    #[must_use]
    pub fn new(to: To, rules: EnquiryRules) -> Self {
        Self {
            to,
            rules,
            questions: Vec::new(),
            next_ticket: 0,
            not_before: None,
            failures: 0,
            unable: BTreeSet::new(),
            odd: BTreeSet::new(),
            elsewhere_until: None,
        }
    }

    /// Which node its questions are for.
    #[must_use]
    pub fn to(&self) -> To {
        self.to
    }

    /// The questions without an answer, oldest first.
    #[must_use]
    pub fn questions(&self) -> &[Question<A>] {
        &self.questions
    }

    /// A question, unless it was answered or given up.
    #[must_use]
    pub fn question(&self, ticket: Ticket) -> Option<&Question<A>> {
        self.questions.iter().find(|question| question.ticket == ticket)
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether a node was asked and has been silent for as long as patience lasts.
    #[must_use]
    pub fn is_silent(&self, node: NodeId, now: Instant) -> bool {
        let silence = |question: &Question<A>| now.saturating_duration_since(question.since);
        self.questions.iter().any(|it| it.node == node && silence(it) >= self.rules.patience)
    }

    /// Whether a node was [passed over](Self::pass_over) and has had the same connection since.
    #[must_use]
    pub fn is_passed_over(&self, node: NodeId) -> bool {
        self.unable.contains(&node)
    }

    /// When the next node is to be asked: the first one because an answer is wanted, others because there is none.
    #[must_use]
    pub fn due(&self, wanted: Option<Instant>) -> Option<Instant> {
        match self.questions.last() {
            None => wanted.map(|wanted| self.not_before.map_or(wanted, |time| time.max(wanted))),
            Some(last) if self.questions.len() < self.max_asked() => {
                last.since.checked_add(self.rules.patience)
            }
            Some(_) => None,
        }
    }

    /// Until when a broker that is being connected to is waited for in the place of those that are [asked
    /// last](Self::ask_last). `None` while a node has the question.
    #[must_use]
    pub fn elsewhere_until(&self) -> Option<Instant> {
        self.elsewhere_until.filter(|_| self.questions.is_empty())
    }

    /// The back-off that a failure brings now.
    #[must_use]
    pub fn delay(&self, rng: &mut fastrand::Rng) -> Duration {
        self.rules.backoff.delay(self.failures, rng)
    }

    /// The connection of a node is gone, and its question with it, if it had one. Where no other node has the question, it is
    /// asked again at once: if it was sent, its call has come back before, and was told as a failure. The next connection may
    /// lead to another program.
    pub fn handle_down(&mut self, node: NodeId) {
        self.unable.remove(&node);
        self.forget(|question| question.node == node);
    }

    /// Asks a node, the one that [`poll`](Self::poll) has given.
    pub fn ask(&mut self, node: NodeId, about: A, now: Instant) -> Ticket {
        debug_assert!(self.questions.iter().all(|question| question.node != node), "asked twice");
        debug_assert!(self.questions.len() < self.max_asked(), "more than may be asked");
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.questions.push(Question { ticket, node, since: now, about });
        ticket
    }

    /// Forgets a question and all that were asked before it; their answers will not count.
    pub fn forget_until(&mut self, ticket: Ticket) {
        if let Some(at) = self.questions.iter().position(|question| question.ticket == ticket) {
            self.questions.drain(..=at);
        }
    }

    /// Forgets some questions; their answers will not count. How many there were.
    pub fn forget(&mut self, which: impl Fn(&Question<A>) -> bool) -> usize {
        let count = self.questions.len();
        self.questions.retain(|question| !which(question));
        count - self.questions.len()
    }

    /// Some questions were in vain. That is a failure, unless one `is_enough` of those that are left. Whether it is; if so, no
    /// node is asked first until the back-off is over.
    pub fn give_up(
        &mut self,
        which: impl Fn(&Question<A>) -> bool,
        is_enough: impl Fn(&Question<A>) -> bool,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> bool {
        let has_failed = self.forget(which) > 0 && !self.questions.iter().any(is_enough);
        if has_failed {
            let delay = self.delay(rng);
            self.fail(now.checked_add(delay));
        }
        has_failed
    }

    /// A failure, after which no node is asked first before `again`.
    pub fn fail(&mut self, again: Option<Instant>) {
        self.not_before = self.not_before.max(again);
        self.failures = self.failures.saturating_add(1);
    }

    /// There is an answer that counts. Failures and refusals are over; what else was asked stays asked.
    pub fn succeed(&mut self) {
        (self.not_before, self.failures) = (None, 0);
        self.unable.clear();
        self.odd.clear();
        self.elsewhere_until = None;
    }

    /// Starts over: all that was asked, failed or refused is forgotten, and what is wanted is due at once.
    pub fn start_over(&mut self) {
        self.questions.clear();
        self.succeed();
    }

    /// Starts over with another node, as when the coordinator has moved. Failures count on, and so does their back-off.
    pub fn redirect(&mut self, to: To) {
        self.to = to;
        self.questions.clear();
    }

    /// A node cannot answer: it is no broker, or too old. It is not asked again before it has another connection.
    pub fn pass_over(&mut self, node: NodeId) {
        self.unable.insert(node);
    }

    /// A node has answered nonsense: others are asked before it, and one that is being connected to is waited for, as long as
    /// patience lasts.
    pub fn ask_last(&mut self, node: NodeId, now: Instant) {
        self.odd.insert(node);
        self.elsewhere_until = now.checked_add(self.rules.patience);
    }

    /// Which node to ask, if one is to be asked now. A [`Pick::Ready`] is to be [asked](Self::ask).
    pub fn poll(
        &mut self,
        wanted: Option<Instant>,
        brokers: &mut impl Brokers,
        now: Instant,
    ) -> Option<Pick> {
        if self.due(wanted)? > now {
            return None;
        }
        let is_able = |node: NodeId| {
            !self.unable.contains(&node) && self.questions.iter().all(|question| question.node != node)
        };
        let pick = brokers.pick(self.to, &|node| is_able(node) && !self.odd.contains(&node), now);
        if matches!(pick, Pick::Ready(_) | Pick::Connect(_)) || self.odd.is_empty() {
            return Some(pick);
        }
        let is_another_coming =
            brokers.is_connecting() && self.elsewhere_until.is_some_and(|until| now < until);
        Some(if is_another_coming { pick } else { brokers.pick(self.to, &is_able, now) })
    }

    /// How many nodes may have the question at a time.
    fn max_asked(&self) -> usize {
        match self.to {
            To::Any => self.rules.max_asked,
            To::Controller | To::Node(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests;
