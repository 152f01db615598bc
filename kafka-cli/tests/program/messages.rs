//! What the program says of settings, addresses, topics and offsets: what is wrong and what to do, and nothing where
//! nothing is wrong.

use std::net::TcpListener;
use std::process::Output;

use kafka_mock::MockCluster;
use kafka_mock::Rule;
use kafka_wire::Message;
use kafka_wire::messages::ProduceRequest;

use crate::common::{Cluster, errors, linger, run, succeeds, three_brokers};

fn complains(output: &Output, words: &[&str]) {
    let said = errors(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    words.iter().for_each(|word| assert!(said.contains(word), "no {word:?} in: {said}"));
}

fn warns(output: &Output, words: &[&str]) {
    succeeds(output);
    let said = errors(output);
    assert_eq!(said.matches("linger: warning: ").count(), usize::from(!words.is_empty()), "{said}");
    words.iter().for_each(|word| assert!(said.contains(word), "no {word:?} in: {said}"));
}

#[test]
fn lists_of_brokers_that_are_written_otherwise() {
    let produce = |servers: &str| run(&["produce", "-b", servers, "--topic", "one"], b"x\n");
    for servers in ["a:1;b:2", "a:1; b:2", "a:1 b:2", "a:1\tb:2"] {
        complains(&produce(servers), &["between brokers stands a comma", "a:1,b:2"]);
    }
    let output = produce("user:hunter2@a:1");
    complains(&output, &["an address has no user or password"]);
    assert!(!errors(&output).contains("hunter2"), "{}", errors(&output));
    for servers in ["::1:9092", "2001:db8::1:9092", "fe80::1%eth0:9092", "::1"] {
        complains(&produce(servers), &["an IPv6 address needs brackets"]);
    }
    let output = produce("a:1:2");
    complains(&output, &["more than one colon"]);
    assert!(!errors(&output).contains("IPv6"), "{}", errors(&output));
}

#[test]
fn a_comma_too_many_among_brokers() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("bootstrap.servers={servers},\n")).unwrap();
    let name = file.path().to_str().unwrap();
    let word = &["bootstrap.servers", "comma"][..];
    warns(&run(&["produce", "-b", &format!("{servers},"), "--topic", "one"], b"x\n"), word);
    warns(&run(&["produce", "--config", name, "--topic", "one"], b"x\n"), word);
    warns(&run(&["consume", "-b", &format!(" {servers} , "), "--topic", "one"], b""), word);
    warns(&run(&["produce", "-b", &servers, "--topic", "one"], b"x\n"), &[]);
    for wrong in [",", "a:1,,b:2", ",a:1"] {
        complains(&run(&["produce", "-b", wrong, "--topic", "one"], b"x\n"), &["bootstrap.servers"]);
    }
    cluster.stop();
}

#[test]
fn settings_that_are_as_one_wants_them_are_not_remarked_on() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    for setting in ["retries=0", "enable.metrics.push=false"] {
        warns(&run(&["produce", "-b", &servers, "--topic", "one", "-X", setting], b"x\n"), &[]);
    }
    for (setting, word) in
        [("acks=1", "switches enable.idempotence off"), ("enable.metrics.push=true", "no effect")]
    {
        warns(
            &run(&["produce", "-b", &servers, "--topic", "one", "-X", setting], b"x\n"),
            &[setting.split('=').next().unwrap(), word],
        );
    }
    let arguments =
        ["verifiable-producer", "--broker-list", &servers, "--topic", "one", "--max-messages", "1"];
    warns(&run(&arguments, b""), &[]);
    cluster.stop();
}

#[test]
fn memory_is_told_by_the_number_that_was_set() {
    let cluster = three_brokers();
    let arguments = ["produce", "-b", &cluster.servers(), "--topic", "one", "-X", "buffer.memory=40000"];
    let output = run(&arguments, &[b'x'; 35_000]);
    complains(&output, &["buffer.memory=40000", "in chunks of 16384 bytes", "32829"]);
    cluster.stop();
}

#[test]
fn a_broker_that_answers_nothing_is_named_where_memory_is_full() {
    let cluster = Cluster::start(MockCluster::builder().brokers(1).topic("one", 1));
    cluster.mock.add_rule(Rule::on(ProduceRequest::API).silence());
    let servers = cluster.servers();
    let arguments = ["produce", "-b", &servers, "--topic", "one", "-X", "buffer.memory=32768"];
    let settings =
        ["-X", "max.block.ms=2000", "-X", "delivery.timeout.ms=4000", "-X", "request.timeout.ms=3900"];
    let input = "a line of some length\n".repeat(20_000);
    let output = run(&[&arguments[..], &settings].concat(), input.as_bytes());
    complains(
        &output,
        &["no room in buffer.memory=32768", "broker 1 (", &servers, "has answered nothing for"],
    );
    cluster.stop();
}

#[test]
fn names_of_topics_of_any_length() {
    let cluster = three_brokers();
    let long = "x".repeat(100_000);
    for command in ["produce", "consume", "perf"] {
        let output = run(&[command, "-b", &cluster.servers(), "--topic", &long], b"x\n");
        complains(&output, &["cannot be the name of a topic", "100000 characters"]);
        assert!(errors(&output).len() < 1000, "{}", errors(&output).len());
        let output = run(&[command, "-b", &cluster.servers(), "--topic", "two words\n"], b"x\n");
        complains(&output, &[r#""two words\n""#, "cannot be the name of a topic"]);
    }
    let arguments = ["verifiable-producer", "--broker-list", &cluster.servers(), "--max-messages", "1"];
    let output = run(&[&arguments[..], &["--topic", &long]].concat(), b"");
    let message = String::from_utf8(output.stdout).unwrap();
    let message: serde_json::Value =
        serde_json::from_str(message.lines().find(|line| line.contains("producer_send_error")).unwrap())
            .unwrap();
    assert!(message["message"].as_str().unwrap().len() < 1000, "{message}");
    cluster.stop();
}

#[test]
fn what_a_broker_finds_too_large_is_told_with_its_size() {
    let cluster = three_brokers();
    cluster.mock.set_topic_config("one", "max.message.bytes", "1000").unwrap();
    let output = run(&["produce", "-b", &cluster.servers(), "--topic", "one"], &[b'z'; 2000]);
    complains(
        &output,
        &[
            "MESSAGE_TOO_LARGE",
            "its batch has 2070 bytes",
            "max.message.bytes of the topic",
            "message.max.bytes",
        ],
    );
    cluster.stop();
}

#[test]
fn offsets_beyond_the_end() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    succeeds(&run(&["produce", "-b", &servers, "--topic", "one"], b"a\nb\n"));
    let consume =
        |arguments: &[&str]| run(&[&["consume", "-b", &servers, "--topic", "one"], arguments].concat(), b"");
    warns(&consume(&["--from", "5"]), &["one-0 ends at offset 2", "--from 5"]);
    warns(&consume(&["--from", "2"]), &[]);
    warns(&consume(&["--from", "1"]), &[]);
    warns(&consume(&["--to", "7"]), &["one-0 ends at offset 2", "--to 7"]);
    warns(&consume(&["--from", "1", "--to", "1"]), &[]);
    complains(&consume(&["--from", "5", "--follow"]), &["one-0 ends at offset 2", "--from 5"]);
    cluster.stop();
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    let input: String = (0..100_000).map(|number| format!("record {number}\n")).collect();
    succeeds(&run(&["produce", "-b", &servers, "--topic", "one"], input.as_bytes()));
    for arguments in [&[][..], &["--follow"]] {
        let mut child =
            linger(&["consume", "-b", &servers, "--topic", "one"]).args(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        succeeds(&output);
        assert_eq!(errors(&output), "");
    }
    cluster.stop();
}

#[test]
fn a_topic_that_has_other_partitions_than_asked_for() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    let perf = |partitions: &str| {
        run(&["perf", "-b", &servers, "--topic", "orders", "-n", "10", "--partitions", partitions], b"")
    };
    warns(&perf("5"), &["topic orders has 3 partitions", "--partitions 5"]);
    warns(&perf("3"), &[]);
    cluster.stop();
}

/// Reads what it says until it is up, and ends it.
fn up(arguments: &[&str]) -> (String, String) {
    use std::io::{BufRead, BufReader};

    let mut child = linger(arguments).spawn().unwrap();
    let mut said = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    while !said.contains("bootstrap servers") && stdout.read_line(&mut said).unwrap() > 0 {}
    let servers = said.lines().last().unwrap_or_default().trim().to_owned();
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    (servers, errors(&output))
}

#[test]
fn a_proxy_is_known_by_an_address_with_or_without_brackets() {
    let cluster = three_brokers();
    for host in ["[::1]", "::1"] {
        let arguments =
            ["proxy", "-b", &cluster.servers(), "--listen", "127.0.0.1:0", "--advertised-host", host];
        let (servers, said) = up(&arguments);
        assert!(servers.contains(" [::1]:") && !servers.contains("[["), "{host}: {servers}");
        assert!(!said.contains("warning"), "{said}");
    }
    let arguments =
        ["proxy", "-b", &cluster.servers(), "--listen", "127.0.0.1:0", "--advertised-host", "a:1"];
    let output = run(&arguments, b"");
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    assert!(errors(&output).contains("without a port"), "{}", errors(&output));
    cluster.stop();
}

#[test]
fn a_proxy_looks_at_its_target() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (servers, said) = up(&["proxy", "-b", &free, "--listen", "127.0.0.1:0"]);
    assert!(servers.contains("bootstrap servers"), "a target may come later: {servers}");
    for words in ["linger: warning: ", "no broker answers", &free] {
        assert!(said.contains(words), "no {words:?} in: {said}");
    }
    let http = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = http.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in http.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ =
                stream.read(&mut [0; 64]).and_then(|_| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    complains(&run(&["proxy", "-b", &address, "--listen", "127.0.0.1:0"], b""), &["speaks HTTP", &address]);
}

#[test]
fn mock_clusters_have_the_id_that_is_asked_for() {
    let id = "kDJr5hgSQ2GXZ0fYmGVhtg";
    let (_, said) = up(&["mock", "--port", "0", "--cluster-id", id]);
    assert_eq!(said, "");
    let output = run(&["mock", "--port", "0", "--cluster-id", ""], b"");
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
}

/// The one kind of text that was read otherwise than by Java.
#[test]
fn a_line_of_a_properties_file_that_holds_only_a_backslash() {
    let cluster = three_brokers();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "linger.ms=1\n\\\n# acks=7\n\\\n\nacks=all\n").unwrap();
    let name = file.path().to_str().unwrap();
    warns(&run(&["produce", "-b", &cluster.servers(), "--topic", "one", "--config", name], b"x\n"), &[]);
    cluster.stop();
}

/// As other tools and other formats have them.
#[test]
fn values_that_are_nearly_right() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let name = file.path().to_str().unwrap();
    for (line, word) in [
        ("linger.ms=\"5\"", "leave the quotes out"),
        ("acks='all'", "leave the quotes out"),
        ("bootstrap.servers=\"a:1\"", "leave the quotes out"),
        ("bootstrap.servers=['a:1', 'b:2']", "leave the brackets out"),
        ("bootstrap.servers=[a:1, b:2]", "leave the brackets out"),
        ("linger.ms=5 # a while", "a # begins a comment only where a line begins"),
        ("compression.type=GZIP", "write gzip"),
        ("acks=ALL", "write all"),
    ] {
        std::fs::write(file.path(), format!("bootstrap.servers=127.0.0.1:1\n{line}\n")).unwrap();
        complains(&run(&["produce", "--config", name, "--topic", "one"], b"x\n"), &[word]);
    }
    let memory = |setting| {
        let output = run(&["produce", "-b", "127.0.0.1:1", "--topic", "one", "-X", setting], b"x\n");
        complains(&output, &["set buffer.memory to 33554432 or more"]);
        errors(&output)
    };
    let output = run(
        &[
            "produce",
            "-b",
            "127.0.0.1:1",
            "--topic",
            "one",
            "-X",
            "buffer.memory=20000",
            "-X",
            "batch.size=30000",
        ],
        b"x\n",
    );
    complains(&output, &["or batch.size to 20000 or less"]);
    for setting in ["buffer.memory=0", "buffer.memory=10000"] {
        assert!(!memory(setting).contains("or less"), "no batch.size helps: {}", memory(setting));
    }
}

#[test]
fn ranges_that_hold_nothing_and_partitions_named_twice() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    succeeds(&run(&["produce", "-b", &servers, "--topic", "one"], b"a\nb\n"));
    let consume =
        |arguments: &[&str]| run(&[&["consume", "-b", &servers, "--topic", "one"], arguments].concat(), b"");
    let twice = consume(&["--partition", "0", "--partition", "0"]);
    succeeds(&twice);
    assert_eq!(twice.stdout, b"a\nb\n");
    complains(&consume(&["--from", "2", "--to", "1"]), &["--to 1 lies before --from 2"]);
    complains(&consume(&["--partition", "-1"]), &["topic one has only partition 0, not -1"]);
    let negative = consume(&["--from", "-2"]);
    assert_eq!(negative.status.code(), Some(2));
    assert!(errors(&negative).contains("expected beginning, end or an offset"), "{}", errors(&negative));
    let output = run(&["produce", "-b", &servers, "--topic", "one", "--partition", "-1"], b"x\n");
    complains(&output, &["topic one has only partition 0, not -1"]);
    cluster.stop();
}

#[test]
fn a_proxy_does_not_pass_on_to_itself() {
    for upstream in ["127.0.0.1:19877", "localhost:19877", "a:1,127.0.0.1:19877"] {
        let output = run(&["proxy", "-b", upstream, "--listen", "127.0.0.1:19877"], b"");
        complains(&output, &["to itself", "--listen 127.0.0.1:19877"]);
    }
    let output =
        run(&["proxy", "-b", "[::1]:19877", "--listen", "[::]:19877", "--advertised-host", "a"], b"");
    complains(&output, &["to itself"]);
}
