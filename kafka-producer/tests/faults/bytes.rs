//! Bytes that do not arrive, or are others: scenarios 13 to 19 and 39.

use std::time::Duration;

use kafka_mock::proxy::{Tamper, Way};
use kafka_mock::{Malformation, Rule};
use kafka_producer::{Persistence, Producer};
use kafka_wire::{ApiKey, ErrorCode};

use crate::{Run, config, connect, soon};

/// A record, and everything about it is over.
async fn one(run: &mut Run, producer: &Producer) {
    run.send(producer, 1).await;
    soon(producer.flush()).await.expect("open");
}

fn requests() -> Tamper {
    Tamper::with(Way::Requests).api(ApiKey::PRODUCE)
}

fn responses() -> Tamper {
    Tamper::with(Way::Responses).api(ApiKey::PRODUCE)
}

#[tokio::test]
async fn s13_a_reset_at_every_byte_of_the_request() {
    let mut run = Run::new(1).await;
    let proxy = run.behind(|proxy| proxy).await;
    let producer = connect(config(&proxy.bootstrap_servers())).await;
    one(&mut run, &producer).await;
    for bytes in 0..SWEEP {
        let name = format!("{bytes}");
        proxy.add_tamper(requests().times(1).reset_after(bytes).named(&name));
        let before = run.produced();
        one(&mut run, &producer).await;
        assert_eq!(proxy.fired(&name), 1);
        // Once where the broker never had all of it, or where its answer was faster than the reset.
        assert!((1..=2).contains(&(run.produced() - before)), "{bytes}: asked once more at most");
    }
    let batches: Vec<_> = run.cluster.recorded().into_iter().flat_map(|request| request.batches).collect();
    assert!(
        batches.iter().all(|batch| batch.size + REQUEST_AROUND_A_BATCH < SWEEP),
        "the sweep covers all requests"
    );
    run.finish_delivered(producer).await;
}

/// Bytes swept over, and those of a request that are not its one batch.
const SWEEP: usize = 200;
const REQUEST_AROUND_A_BATCH: usize = 80;

#[tokio::test]
async fn s14_the_answer_is_lost() {
    let mut run = Run::new(1).await;
    let proxy =
        run.behind(|proxy| proxy.tamper(responses().skip(3).times(5).reset_after(0).named("lost"))).await;
    let producer = connect(config(&proxy.bootstrap_servers())).await;
    while proxy.fired("lost") < 5 {
        run.send(&producer, 20).await;
        soon(producer.flush()).await.expect("open");
    }
    let settled = run.finish_delivered(producer).await;
    for (number, settled) in settled.iter().enumerate() {
        let offset = i64::try_from(number).expect("few");
        assert!(
            matches!(settled.result, Ok(Some(told)) if told == offset),
            "the offset of the first attempt"
        );
    }
}

#[tokio::test]
async fn s15_a_reset_at_every_byte_of_the_answer() {
    let mut run = Run::new(1).await;
    let proxy = run.behind(|proxy| proxy).await;
    let producer = connect(config(&proxy.bootstrap_servers())).await;
    one(&mut run, &producer).await;
    let mut whole = None;
    for bytes in 0..200 {
        proxy.add_tamper(responses().times(1).reset_after(bytes));
        let before = run.produced();
        one(&mut run, &producer).await;
        // From some byte on the client has the answer, though it may see the reset first.
        if run.produced() - before == 1 {
            whole = whole.or(Some(bytes));
        } else {
            assert_eq!(run.produced() - before, 2, "asked once more");
        }
        if whole.is_some_and(|whole| whole + 3 < bytes) {
            break;
        }
    }
    assert!(whole.is_some_and(|whole| whole > 30), "{whole:?}: the sweep covered the answer");
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s16_a_request_of_which_half_is_written() {
    let mut run = Run::new(1).await;
    let proxy = run.behind(|proxy| proxy).await;
    let settings = config(&proxy.bootstrap_servers()).request_timeout(Duration::from_secs(1));
    let producer = connect(settings.send_buffer(Some(8192))).await;
    one(&mut run, &producer).await;
    // More than the buffers on the way hold: the reader's window does not grow while nobody reads.
    proxy.add_tamper(requests().times(1).stall().named("stalled"));
    let (connections, before) = (proxy.connections(), run.produced());
    run.send_to(&producer, 0, 1_000_000).await;
    soon(proxy.until(|proxy| proxy.fired("stalled") == 1)).await;
    run.send(&producer, 5).await;
    let recorded = |run: &Run| {
        let recorded = run.cluster.recorded();
        recorded
            .iter()
            .filter(|request| request.api == ApiKey::PRODUCE)
            .map(|request| request.connection)
            .collect::<Vec<_>>()
    };
    soon(producer.flush()).await.expect("open");
    assert!(proxy.connections() > connections, "the connection was given up");
    let used = recorded(&run);
    let (old, new) = used.split_at(usize::try_from(before).expect("few"));
    assert!(new.iter().all(|connection| !old.contains(connection)), "and not used again");
    run.finish_delivered(producer).await;
}

/// Whatever a broker writes once instead of an answer, the record is delivered in the end. What it wrote instead of an answer to
/// Produce is told in these words, or in those.
async fn survives(how: Malformation, api: ApiKey, says: &[&str]) {
    let mut run = Run::new(1).await;
    let rule = Rule::on(api).times(1).named("malformed").malform(how.clone());
    run.cluster.add_rule(rule);
    let producer = connect(run.config().request_timeout(Duration::from_millis(500))).await;
    // The only broker there is does not even speak the protocol, so it seems: a record is not accepted, and may be sent again.
    while let Err(error) = soon(producer.topic("orders")).await {
        assert!(api == ApiKey::API_VERSIONS, "{how:?} on {api}: {error}");
    }
    run.send(&producer, 10).await;
    soon(producer.flush()).await.expect("open");
    run.send(&producer, 10).await;
    soon(producer.flush()).await.expect("open");
    assert_eq!(run.cluster.fired("malformed"), 1, "{how:?} on {api}");
    if api == ApiKey::PRODUCE {
        let last = producer.stats().brokers.into_iter().find_map(|broker| broker.last_failure).expect("one");
        let is_said = says.iter().any(|words| last.contains(words));
        assert!(is_said && last.contains("broker 1 (127.0.0.1:"), "{how:?}: {last}");
    }
    run.finish_delivered(producer).await;
}

const APIS: [ApiKey; 4] = [ApiKey::API_VERSIONS, ApiKey::METADATA, ApiKey::INIT_PRODUCER_ID, ApiKey::PRODUCE];

#[tokio::test]
async fn s17_answers_that_are_none() {
    for api in APIS {
        for (how, says) in [
            (Malformation::Truncated(3), "broke"),
            (Malformation::Truncated(9), "broke"),
            (Malformation::Length(-1), "announced a response of -1 bytes"),
            (Malformation::Length(0), "sent a response of 0 bytes, too short"),
            (Malformation::Length(i32::MAX), "announced a response of 2147483647 bytes"),
            (Malformation::Padded(1), "is not the protocol"),
            (Malformation::http(), "this is not the Kafka protocol"),
            (Malformation::tls_alert(), "this is not the Kafka protocol"),
        ] {
            survives(how, api, &[says]).await;
        }
    }
}

#[tokio::test]
async fn s17_a_length_that_never_comes_is_waited_for_until_the_time_out() {
    // 10 MB are plausible, and nothing is reserved for them.
    for api in [ApiKey::PRODUCE, ApiKey::METADATA] {
        survives(Malformation::Length(10_000_000), api, &["did not answer Produce (0) within 500ms"]).await;
    }
}

#[tokio::test]
async fn s18_correlation_ids_that_are_others() {
    for api in APIS {
        // It is the second request of its connection, or the third if the broker was asked for the producer id, too.
        for (how, says) in [
            (
                Malformation::CorrelationId(1),
                ["answered request 2 where 1 was due", "answered request 3 where 2 was due"],
            ),
            (
                Malformation::CorrelationId(-1),
                ["answered request 0 where 1 was due", "answered request 1 where 2 was due"],
            ),
            (
                Malformation::Twice,
                ["answered request 1 that nobody sent", "answered request 2 that nobody sent"],
            ),
        ] {
            survives(how, api, &says).await;
        }
    }
}

#[tokio::test]
async fn s18_an_answer_left_out() {
    let mut run = Run::new(1).await;
    let proxy = run.behind(|proxy| proxy.tamper(responses().nth(3).discard().named("left out"))).await;
    let producer =
        connect(config(&proxy.bootstrap_servers()).request_timeout(Duration::from_millis(500))).await;
    while proxy.fired("left out") == 0 {
        one(&mut run, &producer).await;
    }
    run.send(&producer, 50).await;
    run.finish_delivered(producer).await;
}

/// The answer to the second of several requests comes first, and none to the first one.
#[tokio::test]
async fn s18_answers_in_another_order() {
    let mut run = Run::new(1).await;
    // Nobody waits for a time-out here.
    let patient = Duration::from_secs(600);
    let proxy = run.behind(|proxy| proxy).await;
    let settings = config(&proxy.bootstrap_servers()).request_timeout(patient).delivery_timeout(2 * patient);
    let producer = connect(settings.batch_size(0)).await;
    one(&mut run, &producer).await;
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).times(5).delay(Duration::from_millis(50)));
    proxy.add_tamper(responses().times(1).discard().named("overtaken"));
    run.send(&producer, 20).await;
    soon(producer.flush()).await.expect("open");
    assert_eq!(proxy.fired("overtaken"), 1);
    let stats = producer.stats();
    let broker = stats.brokers.iter().find(|broker| broker.node == 1).expect("the leader");
    assert!(broker.max_in_flight > 1, "several were in flight");
    let last = broker.last_failure.as_deref().expect("one");
    assert!(last.contains("answered request") && last.contains("was due"), "{last}");
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s19_tagged_fields_that_nobody_knows() {
    let mut run = Run::new(3).await;
    run.cluster.add_rule(Rule::on_any().malform(Malformation::UnknownTags));
    let producer = run.connect().await;
    run.send(&producer, 100).await;
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s19_an_error_code_that_nobody_knows() {
    for applied in [false, true] {
        let mut run = Run::new(1).await;
        let rule = Rule::on(ApiKey::PRODUCE).nth(2);
        let code = ErrorCode(999);
        run.cluster.add_rule(if applied { rule.error_after_apply(code) } else { rule.error(code) });
        let producer = run.connect().await;
        for _ in 0..4 {
            one(&mut run, &producer).await;
        }
        let settled = run.finish(producer).await;
        let failed: Vec<_> = settled.iter().map(|settled| settled.result.is_err()).collect();
        assert_eq!(failed, [false, true, false, false]);
        let error = settled[1].result.as_ref().expect_err("refused");
        assert_eq!((error.code(), error.persistence()), (Some(code), Persistence::PossiblyPersisted));
    }
}

#[tokio::test]
async fn s19_throttling_without_an_error() {
    let mut run = Run::new(1).await;
    run.cluster.add_rule(Rule::on_any().times(4).throttle(Duration::from_millis(100)));
    let producer = run.connect().await;
    run.send(&producer, 50).await;
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s39_batches_sent_again_are_the_same_byte_for_byte() {
    let mut run = Run::new(2).await;
    let code = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;
    run.cluster
        .add_rule(Rule::on(ApiKey::PRODUCE).named("again").times(6).probability(0.5).error_after_apply(code));
    run.cluster.add_rule(
        Rule::on(ApiKey::PRODUCE).named("again").times(6).probability(0.5).disconnect_after_apply(),
    );
    let producer = run.connect().await;
    while run.cluster.fired("again") < 12 {
        run.send(&producer, 10).await;
        soon(producer.flush()).await.expect("open");
    }
    let mut attempts = std::collections::BTreeMap::<_, usize>::new();
    for batch in run.cluster.recorded().iter().flat_map(|request| &request.batches) {
        *attempts.entry((batch.partition, batch.base_sequence, batch.hash)).or_default() += 1;
    }
    assert!(attempts.values().any(|&count| count > 1), "some were sent again");
    // That they were the same is looked at here, as in each of these tests.
    run.finish_delivered(producer).await;
}
