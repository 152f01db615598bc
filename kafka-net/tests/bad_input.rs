//! Wrong addresses and strangers' ports: each a clear sentence, within a bounded time.

#![expect(clippy::disallowed_methods, reason = "a test starts tasks where it likes")]

use std::{error::Error, net::SocketAddr, time::Duration};

use kafka_mock::MockCluster;
use kafka_net::{Client, ClientConfig, NetError};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Nothing here may hang: a test that takes longer has failed.
const SOON: Duration = Duration::from_secs(20);

fn config() -> ClientConfig {
    let mut config = ClientConfig::default();
    config.max_block = Duration::from_secs(3);
    config.net.setup_timeout = Duration::from_millis(300);
    config.net.setup_timeout_max = Duration::from_millis(300);
    config
}

async fn error_of(bootstrap: &str) -> NetError {
    tokio::time::timeout(SOON, Client::connect(bootstrap, config()))
        .await
        .expect("an end within a bounded time")
        .expect_err("nobody to connect to")
}

/// The error with its sources.
fn chain(error: &NetError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A port where each connection meets the given stranger.
async fn port<F>(stranger: fn(TcpStream) -> F) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(stranger(stream));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, bytes: &[u8]) {
    let mut read = [0; 1024];
    let _ = stream.read(&mut read).await;
    let _ = stream.write_all(bytes).await;
    // Let it be read before the connection is reset.
    let _ = stream.shutdown().await;
    while stream.read(&mut read).await.is_ok_and(|count| count > 0) {}
}

#[tokio::test]
async fn a_list_that_is_wrong() {
    for (list, part) in [
        ("", "the list is empty"),
        ("localhost", "\"localhost\": the port is missing"),
        ("a:9092,b:nine", "\"b:nine\": the port must be a number"),
        ("https://a:9092", "\"https://a:9092\": only plaintext"),
    ] {
        let error = error_of(list).await;
        assert!(error.to_string().contains(part) && !error.is_retriable(), "{list}: {error}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    let error = error_of("no-such-host.invalid:9092").await;
    let text = chain(&error);
    assert!(text.contains("no-such-host.invalid:9092") && text.contains("cannot find the address"), "{text}");
}

#[tokio::test]
async fn a_closed_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let text = chain(&error_of(&address.to_string()).await);
    assert!(text.starts_with(&format!("no broker of {address} could be reached within 3s")), "{text}");
    assert!(text.contains(&format!("cannot connect to {address}")), "{text}");
}

#[tokio::test]
async fn an_http_port() {
    let address =
        port(|stream| answer(stream, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")).await;
    let error = error_of(&address.to_string()).await;
    assert!(error.is_protocol() && !error.is_timeout(), "at once, since waiting will not help: {error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "{address} speaks HTTP, not the Kafka protocol: use the port of a Kafka listener, often 9092"
        )
    );
}

#[tokio::test]
async fn a_tls_port_that_sends_an_alert() {
    let address = port(|stream| answer(stream, b"\x15\x03\x03\0\x02\x02\x46")).await;
    let error = error_of(&address.to_string()).await;
    assert!(error.to_string().starts_with(&format!("{address} speaks TLS")), "{error}");
}

#[tokio::test]
async fn a_port_that_hangs_up() {
    let address = port(|stream| answer(stream, b"")).await;
    let text = chain(&error_of(&address.to_string()).await);
    assert!(text.contains("hung up") && text.contains("TLS or SASL"), "{text}");
}

#[tokio::test]
async fn a_port_that_greets() {
    let address = port(|stream| answer(stream, b"220 mail.example ESMTP\r\n")).await;
    let text = chain(&error_of(&address.to_string()).await);
    assert!(text.contains("\"220 mail.example ESMTP\""), "{text}");
}

#[tokio::test]
async fn a_port_that_is_silent() {
    let address = port(|mut stream| async move {
        let mut read = [0; 1024];
        while stream.read(&mut read).await.is_ok_and(|count| count > 0) {}
    })
    .await;
    let text = chain(&error_of(&address.to_string()).await);
    assert!(text.contains(&format!("{address} accepted the connection but said nothing within")), "{text}");
}

#[tokio::test]
async fn a_port_that_answers_something_of_its_own() {
    // A length of 5, and a correlation id that nobody used.
    let address = port(|stream| answer(stream, b"\0\0\0\x05\0\0\x03\xe7\0")).await;
    let text = chain(&error_of(&address.to_string()).await);
    assert!(text.contains("answered request 999 where 0 was due"), "{text}");
}

#[tokio::test]
async fn one_good_address_in_a_bad_list_is_enough() {
    let cluster = MockCluster::builder().brokers(1).start().await.expect("a cluster");
    let http = port(|stream| answer(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let silent = port(|mut stream| async move {
        let _ = stream.read_u8().await;
        std::future::pending::<()>().await;
    })
    .await;
    let good = cluster.bootstrap_servers();
    for seed in 0..4 {
        let list = format!("no-such-host.invalid:1,{http},{silent},{good}");
        let mut config = ClientConfig::default();
        config.seed = Some(seed);
        let client = tokio::time::timeout(SOON, Client::connect(&list, config)).await.expect("in time");
        client.expect("the good one is found");
    }
    cluster.shutdown().await;
}
