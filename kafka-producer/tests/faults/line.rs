//! Slow, silent and breaking connections: scenarios 20 to 25.

use std::time::Duration;

use kafka_mock::Rule;
use kafka_mock::proxy::{Line, Proxy, Way};
use kafka_producer::{ProducerConfig, Record};
use kafka_wire::{ApiKey, NodeId};

use crate::{Run, config, connect, soon};

#[tokio::test]
async fn s20_slow_answers_in_order() {
    let mut run = Run::new(2).await;
    let slow = Duration::from_millis(20)..=Duration::from_millis(150);
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).delay_between(slow));
    let producer = connect(run.config().batch_size(200)).await;
    run.send(&producer, 200).await;
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s21_a_slow_broker_does_not_starve_the_others() {
    let mut run = Run::new(3).await;
    let proxy = run.behind(|proxy| proxy).await;
    let producer = connect(config(&proxy.bootstrap_servers()).request_timeout(Duration::from_secs(30))).await;
    run.send(&producer, 30).await;
    soon(producer.flush()).await.expect("open");
    let silent = Line::new().pause(Way::Requests).pause(Way::Responses);
    proxy.set_line_of(NodeId(1), silent);
    run.send_to(&producer, 0, 10).await;
    run.send(&producer, 300).await;
    soon(async {
        while !(run.all_answered(1) && run.all_answered(2)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!run.all_answered(0), "the slow one is not through");
    proxy.set_line(Line::new());
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s22_a_black_hole() {
    let mut run = Run::new(3).await;
    let proxy = run.behind(|proxy| proxy).await;
    let settings = config(&proxy.bootstrap_servers()).request_timeout(Duration::from_millis(300));
    let producer = connect(settings.socket_connection_setup_timeout(Duration::from_millis(200))).await;
    run.send(&producer, 30).await;
    soon(producer.flush()).await.expect("open");
    proxy.set_line(Line::new().pause(Way::Requests).pause(Way::Responses));
    let before = proxy.connections();
    run.send(&producer, 30).await;
    // Connections are given up and tried again, without an end to anything.
    soon(proxy.until(|proxy| proxy.connections() >= before + 4)).await;
    run.send(&producer, 30).await;
    assert!(!run.all_answered(0));
    proxy.set_line(Line::new());
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s22_answers_alone_are_lost_in_the_hole() {
    let mut run = Run::new(3).await;
    let proxy = run.behind(|proxy| proxy).await;
    let producer =
        connect(config(&proxy.bootstrap_servers()).request_timeout(Duration::from_millis(300))).await;
    run.send(&producer, 30).await;
    soon(producer.flush()).await.expect("open");
    proxy.set_line(Line::new().pause(Way::Responses));
    let (connections, end) = (proxy.connections(), run.cluster.offsets("orders", 0).expect("exists").1);
    run.send(&producer, 30).await;
    soon(run.cluster.until(|cluster| cluster.offsets("orders", 0).expect("exists").1 > end)).await;
    soon(proxy.until(|proxy| proxy.connections() >= connections + 3)).await;
    proxy.set_line(Line::new());
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s23_less_bandwidth_than_is_offered() {
    let mut run = Run::new(3).await;
    let proxy = run.behind(|proxy| proxy.line(Line::new().rate(500_000))).await;
    let memory = 512 << 10;
    let producer = connect(config(&proxy.bootstrap_servers()).buffer_memory(memory)).await;
    let mut refused = 0;
    for index in 0..150 {
        run.send_to(&producer, index % 3, 10_000).await;
        let stats = producer.stats();
        assert!(stats.buffer_used <= memory as u64, "memory is what it may be");
        let full = stats.buffer_used + 40_000 > memory as u64;
        refused += usize::from(full);
    }
    assert!(refused > 50, "{refused}: the producer was held back by the line");
    proxy.set_line(Line::new());
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s24_connections_killed_at_random() {
    let mut run = Run::new(3).await;
    let lifetime = Duration::from_millis(30)..=Duration::from_millis(120);
    let seed = 24;
    let proxy = run.behind(|proxy| proxy.line(Line::new().lifetime(lifetime)).seed(seed)).await;
    let producer = connect(config(&proxy.bootstrap_servers())).await;
    while proxy.connections() < 60 {
        run.send(&producer, 10).await;
        // As fast as answers come, so that there are always some on their way, and never very many.
        while producer.stats().buffer_used > 200_000 {
            tokio::task::yield_now().await;
        }
    }
    proxy.set_line(Line::new());
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s25_an_address_that_accepts_and_says_nothing() {
    let mut run = Run::new(3).await;
    let silent = Proxy::builder("127.0.0.1:1").line(Line::new().hold()).start().await.expect("starts");
    let servers = format!("{},{}", silent.bootstrap_servers(), run.cluster.bootstrap_servers());
    // Nothing but the time of a set-up would end the wait for it.
    let settings = patient(config(&servers)).socket_connection_setup_timeout(Duration::from_millis(200));
    // Which address comes first is the producer's choice: some time it is the silent one.
    while silent.connections() == 0 {
        let producer = connect(settings.clone()).await;
        let delivery = soon(producer.send(Record::to("orders").partition(0).value("elsewhere:")))
            .await
            .expect("accepted");
        soon(delivery).await.expect("delivered");
        crate::close(producer).await;
    }
    run.cluster.delete_topic("orders").expect("exists");
    run.cluster.create_topic("orders", 3).expect("is gone");
    let producer = connect(settings).await;
    run.send(&producer, 30).await;
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s25_a_leader_that_accepts_and_says_nothing_for_a_while() {
    let mut run = Run::new(3).await;
    let proxy = run.behind(|proxy| proxy).await;
    // Who is asked at first answers, and names leaders that do not.
    for node in 1..=3 {
        proxy.set_line_of(NodeId(node), Line::new().hold());
    }
    let settings = patient(config(&proxy.bootstrap_servers()));
    let producer = connect(settings.socket_connection_setup_timeout(Duration::from_millis(200))).await;
    run.send(&producer, 30).await;
    soon(proxy.until(|proxy| proxy.connections() >= 10)).await;
    assert_eq!(run.produced(), 0, "nothing is sent on a connection that is not set up");
    // Those that were accepted stay silent: they are given up.
    proxy.set_line(Line::new());
    let settled = run.settle().await;
    run.compare(&settled, &std::collections::BTreeSet::new());
    for settled in settled {
        settled.result.expect("delivered");
    }
    assert_eq!(
        producer.stats().retries,
        0,
        "what was never written is not in doubt, and its attempts do not count"
    );
    crate::close(producer).await;
}

/// Requests have so much time that no test would see its end.
fn patient(config: ProducerConfig) -> ProducerConfig {
    let patient = Duration::from_secs(600);
    config.request_timeout(patient).delivery_timeout(2 * patient)
}
