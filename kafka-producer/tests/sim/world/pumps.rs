//! The client's pumps: they dial, read, write, and end.

use super::*;

impl World {
    /// A pump for each broker of the view.
    pub(super) fn see_to_pumps(&mut self) {
        let view = self.client.view();
        if self.client.has_ended() {
            return;
        }
        for broker in view.brokers.values() {
            let gate = self.client.gate(broker.node);
            let old = self.pumps.iter().position(|pump| pump.gate == gate);
            match old {
                Some(at) if matches!(self.pumps[at].stage, Stage::Ended) => {
                    self.client.reopen(gate);
                    self.pumps[at].stage = Stage::Rest;
                    self.pumps[at].endpoint = broker.endpoint.clone();
                }
                Some(at) if self.pumps[at].endpoint != broker.endpoint => {
                    self.client.end(gate);
                }
                Some(_) => {}
                None => {
                    let rng = fastrand::Rng::with_seed(self.client.plane.draw_seed());
                    self.pumps.push(Pump {
                        gate,
                        node: broker.node,
                        endpoint: broker.endpoint.clone(),
                        reconnect: Reconnect::new(&self.net, rng),
                        stage: Stage::Rest,
                        timer: None,
                        attempts: 0,
                        dialled: self.now,
                        setup_by: self.now,
                        is_ready: false,
                    });
                }
            }
        }
    }

    pub(super) fn woken_pump(&self) -> Option<usize> {
        self.pumps
            .iter()
            .position(|pump| !matches!(pump.stage, Stage::Ended) && self.client.is_woken(pump.gate))
    }

    pub(super) fn poll_pump(&mut self, at: usize) {
        let gate = self.pumps[at].gate;
        self.client.set_woken(gate, false);
        let end = self.client.end_of(gate);
        match std::mem::replace(&mut self.pumps[at].stage, Stage::Ended) {
            Stage::Ended => {}
            Stage::Rest if end != End::Open => self.ended(at),
            Stage::Rest => {
                self.pumps[at].stage = Stage::Rest;
                match self.client.demand(gate, self.now) {
                    Demand::Connect => self.dial(at),
                    Demand::Later(time) => self.set_timer(at, time),
                    _ => {}
                }
            }
            Stage::Dialling if end != End::Open => self.down(at, Life::default(), NetError::aborted(false)),
            Stage::Dialling => {
                self.pumps[at].stage = Stage::Dialling;
                let _ = self.client.demand(gate, self.now);
            }
            Stage::Backoff(_) if end != End::Open => self.ended(at),
            Stage::Backoff(until) if until <= self.now => {
                self.pumps[at].stage = Stage::Rest;
                self.client.set_woken(gate, true);
            }
            Stage::Backoff(until) => {
                self.pumps[at].stage = Stage::Backoff(until);
                let _ = self.client.demand(gate, self.now);
            }
            Stage::Up(link) => self.poll_link(at, link),
        }
    }

    pub(super) fn ended(&mut self, at: usize) {
        self.pumps[at].stage = Stage::Ended;
        self.client.signal = true;
    }

    pub(super) fn dial(&mut self, at: usize) {
        let now = self.now;
        self.pumps[at].stage = Stage::Dialling;
        self.client.status(self.pumps[at].gate, &Status::Connecting, now);
        let timeout = self.pumps[at].reconnect.setup_timeout();
        self.pumps[at].attempts += 1;
        (self.pumps[at].dialled, self.pumps[at].setup_by) = (now, now + timeout);
        let attempt = self.pumps[at].attempts;
        let broker = self.broker_at(&self.pumps[at].endpoint);
        let second = (now - self.start).as_secs();
        let dials = self.dials.entry(broker).or_default();
        *dials = if dials.0 == second { (second, dials.1 + 1) } else { (second, 1) };
        if dials.1 > MAX_DIALS {
            let what = format!("{} dials to {broker} in a second", dials.1);
            self.checker.violated("I9", what);
        }
        say!(self, "dial {broker} as {} ({attempt})", self.pumps[at].node);
        let is_up = self.brokers.is_up(broker);
        let (after, result) = if !is_up && self.hangs.get(&broker) == Some(&true) {
            (timeout, Err(io::ErrorKind::TimedOut))
        } else {
            let latency = self.weathers[&(broker, Way::Up)].arrival(now, &mut self.rng) - now;
            let result = if is_up { Ok(()) } else { Err(io::ErrorKind::ConnectionRefused) };
            if latency > timeout { (timeout, Err(io::ErrorKind::TimedOut)) } else { (latency, result) }
        };
        self.schedule(now + after, Event::Dialled { pump: at, attempt, result });
    }

    pub(super) fn broker_at(&self, endpoint: &Endpoint) -> NodeId {
        let found = (0..self.plan.setup.nodes()).find(|&broker| address(broker).0 == endpoint.host());
        found.map_or(NodeId::NONE, node)
    }

    pub(super) fn dialled(&mut self, at: usize, attempt: u64, result: Result<(), io::ErrorKind>) {
        let now = self.now;
        if self.pumps[at].attempts != attempt || !matches!(self.pumps[at].stage, Stage::Dialling) {
            return;
        }
        let broker = self.broker_at(&self.pumps[at].endpoint);
        let result = result.and_then(|()| {
            if self.brokers.is_up(broker) { Ok(()) } else { Err(io::ErrorKind::ConnectionReset) }
        });
        if let Err(kind) = result {
            self.checker.tally.add("dials failed", 1);
            return self.down(at, Life::default(), io::Error::from(kind).into());
        }
        let pump = &mut self.pumps[at];
        let rest = pump.setup_by.saturating_duration_since(now);
        let opening = pump.reconnect.opening(self.client.expectation(pump.gate));
        let address = pump.endpoint.to_string();
        let conn = self.next_conn;
        self.next_conn += 1;
        pump.stage = Stage::Up(Box::new(Link {
            conn,
            connection: Connection::open(pump.node, &address, Arc::clone(&self.net), rest, opening, now),
            sink: FrameSink::new(Socket::default()),
            codec: KafkaCodec::new(self.net.max_response_size),
            read: BytesMut::new(),
            taken: BytesMut::new(),
            broken: None,
            was_ready: false,
            failures: 0,
            end: None,
        }));
        let gate = pump.gate;
        self.conns.insert(conn, Conn::new(broker, gate, now));
        self.client.set_woken(gate, true);
        say!(self, "c{conn} connected to {broker}");
    }

    /// A connection, or the attempt at one, is over.
    pub(super) fn down(&mut self, at: usize, life: Life, error: NetError) {
        let now = self.now;
        let retry_after = self.pumps[at].reconnect.ended(life, &error);
        say!(self, "{} is down: {error}, again after {retry_after:?}", self.pumps[at].node);
        self.pumps[at].is_ready = false;
        self.pumps[at].stage = Stage::Backoff(now + retry_after);
        self.client.status(self.pumps[at].gate, &Status::Down { error, retry_after }, now);
        self.client.set_woken(self.pumps[at].gate, true);
        self.set_timer(at, now + retry_after);
    }

    pub(super) fn set_timer(&mut self, at: usize, time: Instant) {
        // Most turns of a pump end with the deadline that they began with.
        if self.pumps[at].timer.replace(time) != Some(time) {
            self.schedule(time, Event::Pump(at));
        }
    }

    /// A pump with a connection: reads, asks for calls, writes, keeps the time.
    pub(super) fn poll_link(&mut self, at: usize, mut link: Box<Link>) {
        let now = self.now;
        for _ in 0..16 {
            let mut again = self.read(at, &mut link);
            let wait = self.feed(at, &mut link, &mut again);
            again |= self.write(at, &mut link);
            if link.connection.is_closed() {
                return self.closed(at, *link);
            }
            let deadline = [link.connection.poll_timeout(), wait].into_iter().flatten().min();
            if let Some(deadline) = deadline {
                if deadline <= now {
                    link.connection.handle_timeout(now);
                    self.drain_events(at, &mut link);
                    again = true;
                } else if !again {
                    self.set_timer(at, deadline);
                }
            }
            if link.connection.is_closed() {
                return self.closed(at, *link);
            }
            if !again {
                self.pumps[at].stage = Stage::Up(link);
                return;
            }
        }
        self.client.set_woken(self.pumps[at].gate, true);
        self.pumps[at].stage = Stage::Up(link);
    }

    pub(super) fn read(&mut self, at: usize, link: &mut Link) -> bool {
        let now = self.now;
        let mut any = false;
        while !link.connection.is_closed() {
            match link.codec.decode(&mut link.read) {
                Ok(Some(frame)) => link.connection.handle_frame(frame, now),
                Ok(None) => break,
                Err(error) => link.connection.handle_broken(error, now),
            }
            any |= self.drain_events(at, link);
        }
        if let Some(kind) = link.broken.take() {
            if !link.connection.is_closed() {
                link.connection.handle_broken(io::Error::from(kind).into(), now);
                any |= self.drain_events(at, link);
            }
        }
        any
    }

    pub(super) fn feed(&mut self, at: usize, link: &mut Link, again: &mut bool) -> Option<Instant> {
        let (now, gate) = (self.now, self.pumps[at].gate);
        for _ in 0..64 {
            if link.connection.is_closed() {
                return None;
            }
            if link.connection.room(now) == 0 {
                match self.client.end_of(gate) {
                    End::Open => _ = self.client.demand(gate, now),
                    End::Finish => link.connection.finish(now),
                    End::Abort => link.connection.abort(now),
                }
                self.drain_events(at, link);
                return None;
            }
            match self.client.poll_call(gate, now) {
                Next::Call(call) => {
                    say!(self, "c{} takes {call:?}", link.conn);
                    link.connection.call(call, now);
                }
                Next::Wait(until) => return until,
                Next::Finish => link.connection.finish(now),
                _ => link.connection.abort(now),
            }
            self.drain_events(at, link);
        }
        *again = true;
        None
    }

    pub(super) fn write(&mut self, at: usize, link: &mut Link) -> bool {
        let now = self.now;
        while let Some(frame) = link.connection.poll_transmit() {
            let sent = Pin::new(&mut link.sink).start_send(frame);
            assert!(sent.is_ok(), "a frame is only stored");
        }
        if link.connection.is_closed() {
            return false;
        }
        let held = self.conns.get(&link.conn).map_or(0, |conn| conn.up.held);
        link.sink.stream_mut().room = self.plan.setup.send_buffer.saturating_sub(held);
        let before = link.sink.written();
        let _ = Pin::new(&mut link.sink).poll_flush(&mut Context::from_waker(Waker::noop()));
        let written = (link.sink.written() - before) as usize;
        let mut out = std::mem::take(&mut link.sink.stream_mut().out);
        if link.sink.held() == 0 {
            link.failures = self.client.failures;
        } else if planted!(BufferReused) && link.failures < self.client.failures {
            out.iter_mut().rev().take(4).for_each(|byte| *byte = !*byte);
        }
        self.check_held(link);
        if !out.is_empty() {
            self.watch(link, &out);
            self.travel(link.conn, Way::Up, out.into());
        }
        link.connection.handle_written(written, now);
        self.drain_events(at, link)
    }

    /// What is still to be written is in memory that counts.
    pub(super) fn check_held(&mut self, link: &Link) {
        let (held, used) = (link.sink.held(), self.client.plane.pool.used());
        if used + HEADS < held {
            self.checker
                .violated("I7", format!("{held} bytes are still to be written, and {used} are counted"));
        }
    }

    /// Looks at what leaves.
    pub(super) fn watch(&mut self, link: &mut Link, out: &[u8]) {
        link.taken.extend_from_slice(out);
        while let Ok(Some(frame)) = kafka_wire::frame::split(&mut link.taken, usize::MAX) {
            if let Some(request) = produce_request(&frame) {
                self.checker.left(&request);
            }
        }
    }

    pub(super) fn drain_events(&mut self, at: usize, link: &mut Link) -> bool {
        let (now, gate) = (self.now, self.pumps[at].gate);
        let mut any = false;
        while let Some(event) = link.connection.poll_event() {
            match event {
                ConnectionEvent::Ready => {
                    link.was_ready = true;
                    self.pumps[at].is_ready = true;
                    if link.connection.is_proven() {
                        self.client.proven(gate, now);
                    }
                    self.client.status(gate, &Status::Ready, now);
                }
                ConnectionEvent::Done { call, result } => {
                    any = true;
                    self.client.reply(gate, &call, result, now);
                }
                ConnectionEvent::Closed(error) => link.end = Some(error),
                _ => {}
            }
        }
        any
    }

    pub(super) fn closed(&mut self, at: usize, link: Link) {
        let error = link.end.clone().unwrap_or_else(|| NetError::aborted(false));
        let lasted = self.now.saturating_duration_since(self.pumps[at].dialled);
        let calls = link.connection.stats().calls;
        self.pumps[at].reconnect.note_api_versions(link.connection.api_versions());
        let (conn, life) = (link.conn, Life { was_ready: link.was_ready, calls, lasted });
        drop(link);
        self.hang_up_client(conn);
        self.down(at, life, error);
    }

    /// The client's end is closed. What it wrote still arrives, or is lost.
    pub(super) fn hang_up_client(&mut self, id: u64) {
        let arrives = self.rng.bool();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.client = false;
        conn.down.pieces.clear();
        if arrives {
            conn.up.ends = true;
        } else {
            conn.up.pieces.clear();
            conn.up.held = 0;
            conn.broker = false;
        }
        self.bury(id);
    }
}
