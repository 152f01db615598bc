use std::collections::BTreeSet;

use kafka_net::Endpoint;
use proptest::prelude::*;

use super::table::SETTINGS;
use super::value::Kind;
use super::*;

fn base() -> ProducerConfig {
    ProducerConfig::new(["localhost:9092"])
}

/// A configuration from `name=value` words.
fn with(settings: &str) -> ProducerConfig {
    let mut config = base();
    for setting in settings.split_whitespace() {
        let (name, value) = setting.split_once('=').unwrap();
        config.set(name, value).unwrap_or_else(|error| panic!("{setting}: {error}"));
    }
    config
}

fn refused(settings: &str) -> ConfigError {
    match with(settings).settle() {
        Ok(_) => panic!("{settings} was accepted"),
        Err(error) => error,
    }
}

/// The table against what Kafka's own `ProducerConfig` says of itself.
#[test]
fn has_every_setting_of_kafka_with_its_default_and_range() {
    let mut theirs = BTreeSet::new();
    for line in include_str!("../../tests/golden/producer-settings.tsv").lines().skip(1) {
        let [name, kind, default, range] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        theirs.insert(name);
        let setting = table::find(name).unwrap_or_else(|| panic!("{name} is missing"));
        let default = if ["(null)", "(required)"].contains(&default) { "" } else { default };
        assert_eq!(setting.default, default, "{name}");
        if let Role::Core { kind: ours, .. } = &setting.role {
            let ours = match ours {
                Kind::Int { min, max, .. } => {
                    let limits =
                        if kind == "INT" { (i32::MIN.into(), i32::MAX.into()) } else { (i64::MIN, i64::MAX) };
                    let their_range = theirs_range(range, limits);
                    // A negative time or a number past the protocol's 32 bits means nothing, and Kafka does not check it.
                    if range.is_empty() && name.starts_with("socket.") {
                        (*min, *max) == (0, i64::MAX)
                    } else {
                        (*min, *max) == their_range
                    }
                }
                Kind::Bool => kind == "BOOLEAN",
                Kind::Text => kind == "STRING" && range.is_empty(),
                Kind::List => kind == "LIST",
                Kind::Choice(words) if name == "compression.gzip.level" => {
                    range == "[1,...,9] or -1" && words.len() == 10
                }
                Kind::Choice(words) => range == format!("[{}]", words.join(", ")),
                Kind::ChoiceAnyCase(words) => {
                    range.to_lowercase() == format!("(case insensitive) [{}]", words.join(", "))
                }
            };
            assert!(ours, "{name}: {kind} {range}");
        }
        let secret = matches!(setting.role, Role::Later { secret: true, .. });
        assert_eq!(secret, kind == "PASSWORD" || name == "config.providers", "{name}");
    }
    let ours: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(ours.len(), SETTINGS.len(), "a name stands twice");
    assert_eq!(ours, theirs);
}

/// `[0,...]` or `[0,...,9]`.
fn theirs_range(range: &str, (lowest, highest): (i64, i64)) -> (i64, i64) {
    let mut ends =
        range.trim_matches(['[', ']']).split(",...").map(|end| end.trim_start_matches(',').parse());
    let mut end = |otherwise| ends.next().and_then(Result::ok).unwrap_or(otherwise);
    (end(lowest), end(highest))
}

/// Each row takes the values its kind reads (else a debug assertion fails), and the default is the default.
#[test]
fn a_default_by_name_changes_nothing() {
    let before = base().settle().unwrap();
    for setting in SETTINGS.iter().filter(|setting| setting.name != "bootstrap.servers") {
        let mut config = base();
        let remark = config.set(setting.name, setting.default).unwrap();
        assert_eq!(remark.is_some(), matches!(setting.role, Role::NoEffect(_)), "{}", setting.name);
        let (mut after, warnings) = config.settle().unwrap();
        assert_eq!(config.is_set(setting.name), matches!(setting.role, Role::Core { .. }));
        after.batch_size_is_set = false;
        after.linger_is_set = false;
        if setting.name == "reconnect.backoff.ms" {
            // Alone it makes the wait constant.
            after.reconnect_backoff_max = before.0.reconnect_backoff_max;
        }
        assert_eq!((after, warnings), before, "{}", setting.name);
    }
}

#[test]
fn reads_values_as_kafka_does() {
    let (settings, _) =
        with("acks=1 batch.size=0 linger.ms=7 connections.max.idle.ms=-1 send.buffer.bytes=-1")
            .settle()
            .unwrap();
    assert_eq!(settings.acks, Acks::LEADER);
    assert_eq!(settings.batch_size, 0);
    assert_eq!(settings.linger, Duration::from_millis(7));
    assert_eq!((settings.connections_max_idle, settings.send_buffer), (None, None));
    let mut config = base();
    config.set(" bootstrap.servers ", " a:1 , b:2,a:1 ").unwrap();
    config.set("enable.idempotence", " TRUE ").unwrap();
    config.set("metadata.recovery.strategy", "None").unwrap();
    let (settings, _) = config.settle().unwrap();
    assert_eq!(settings.bootstrap_servers, [Endpoint::new("a", 1), Endpoint::new("b", 2)]);
    assert_eq!(settings.metadata_recovery, MetadataRecovery::None);
    let (settings, _) = ProducerConfig::new(["a:1,b:2", "c:3"]).settle().unwrap();
    assert_eq!(settings.bootstrap_servers.len(), 3);
}

#[test]
fn says_what_a_value_should_have_been() {
    for (name, value, text) in [
        (
            "batch.size",
            "16k",
            "batch.size=16k: expected a whole number of bytes from 0 to 2147483647; write 16384",
        ),
        ("batch.size", "-1", "batch.size=-1: expected a whole number of bytes from 0 to 2147483647"),
        ("linger.ms", "5s", "linger.ms=5s: expected a whole number of milliseconds, 0 or more; write 5000"),
        ("linger.ms", "", "linger.ms=: expected a whole number of milliseconds, 0 or more"),
        ("acks", "ALL", "acks=ALL: expected all, -1, 0 or 1; write all"),
        ("acks", "2", "acks=2: expected all, -1, 0 or 1"),
        ("enable.idempotence", "yes", "enable.idempotence=yes: expected true or false"),
        ("compression.type", "brotli", "compression.type=brotli: expected none, gzip, snappy, lz4 or zstd"),
        ("compression.gzip.level", "0", "compression.gzip.level=0: expected -1, 1, 2, 3, 4, 5, 6, 7, 8 or 9"),
        (
            "bootstrap.servers",
            "a:1,,b:1",
            "bootstrap.servers=a:1,,b:1: expected entries parted by single commas, none of them empty",
        ),
    ] {
        let error = base().set(name, value).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert_eq!((error.kind(), error.setting()), (ConfigErrorKind::Value, Some(name)));
    }
}

#[test]
fn an_unknown_name_is_an_error_by_itself_and_a_warning_in_a_file() {
    for (name, tail) in [
        ("lingr.ms", "; did you mean linger.ms?"),
        ("queue.buffering.max.ms", "; librdkafka calls it so; here it is linger.ms"),
        ("group.id", "; it is a setting of consumers"),
        ("my.own", ""),
    ] {
        let error = base().set(name, "x").unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Unknown);
        assert_eq!(error.to_string(), format!("{name} is no setting of Kafka's producer{tail}"));
        let (_, warnings) = ProducerConfig::from_properties(&format!("acks=all\n{name}=x")).unwrap();
        assert_eq!(warnings.len(), 1);
        assert_eq!((warnings[0].kind(), warnings[0].line()), (ConfigWarningKind::Unknown, Some(2)));
        assert_eq!(
            warnings[0].to_string(),
            format!("line 2: {name} is no setting of Kafka's producer and was ignored{tail}")
        );
    }
}

#[test]
fn what_is_not_built_is_refused_and_what_has_no_effect_is_listed() {
    let error = base().set("security.protocol", "SASL_SSL").unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::NotImplemented);
    assert!(
        error.to_string().starts_with("security.protocol=SASL_SSL is not supported: TLS and SASL are not in")
    );
    base().set("security.protocol", "plaintext").unwrap();
    base().set("ssl.enabled.protocols", "TLSv1.2, TLSv1.3").unwrap();
    for setting in SETTINGS {
        if let Role::Later { .. } = setting.role {
            let error = base().set(setting.name, "something").unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::NotImplemented, "{}", setting.name);
        }
    }

    let text = "key.serializer=org.apache.kafka.common.serialization.StringSerializer\nacks=1\nacks=all";
    let (config, warnings) = ProducerConfig::from_properties(text).unwrap();
    let kinds: Vec<_> =
        warnings.iter().map(|warning| (warning.line(), warning.setting(), warning.kind())).collect();
    assert_eq!(
        kinds,
        [
            (Some(1), "key.serializer", ConfigWarningKind::NoEffect),
            (Some(3), "acks", ConfigWarningKind::Repeated)
        ]
    );
    assert_eq!(config.bootstrap_servers(["a:1"]).settle().unwrap().0.acks, Acks::ALL);

    let error = ProducerConfig::from_properties("# ours\n\nacks = 3\n").unwrap_err();
    assert_eq!(error.to_string(), "line 3: acks=3: expected all, -1, 0 or 1");
}

#[test]
fn settings_that_contradict_each_other_are_both_named_with_a_value_that_works() {
    #[rustfmt::skip]
    let table = [
        ("retries=0 enable.idempotence=true", "retries", "enable.idempotence", "retries=2147483647"),
        ("acks=1 enable.idempotence=true", "acks", "enable.idempotence", "acks=all"),
        ("acks=0 enable.idempotence=true", "acks", "enable.idempotence", "acks=all"),
        ("max.in.flight.requests.per.connection=6", "max.in.flight.requests.per.connection", "enable.idempotence",
            "max.in.flight.requests.per.connection=5"),
        ("max.in.flight.requests.per.connection=6 acks=1", "max.in.flight.requests.per.connection",
            "enable.idempotence", "enable.idempotence=false"),
        ("delivery.timeout.ms=1000", "delivery.timeout.ms", "request.timeout.ms", "delivery.timeout.ms=30005"),
        ("delivery.timeout.ms=30000 linger.ms=1", "delivery.timeout.ms", "linger.ms", "delivery.timeout.ms=30001"),
        ("batch.size=65536 buffer.memory=32768", "batch.size", "buffer.memory", "batch.size=32768"),
        ("batch.size=65536 buffer.memory=32768", "batch.size", "buffer.memory", "buffer.memory=33554432"),
    ];
    for (settings, setting, other, works) in table {
        let error = refused(settings);
        assert_eq!(error.kind(), ConfigErrorKind::Contradiction, "{settings}: {error}");
        assert_eq!((error.setting(), error.other_setting()), (Some(setting), Some(other)), "{settings}");
        let text = error.to_string();
        let value = works.rsplit_once('=').map(|(_, value)| value).unwrap();
        assert!([setting, other, value].iter().all(|part| text.contains(part)), "{settings}: {text}");
        with(&format!("{settings} {works}")).settle().unwrap_or_else(|error| panic!("{works}: {error}"));
    }
}

#[test]
fn what_one_setting_does_to_another_is_a_warning() {
    let settled = |settings: &str| {
        let (settings, warnings) = with(settings).settle().unwrap();
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert_eq!(warning.kind(), ConfigWarningKind::Adjusted);
        (settings, warning.setting().to_owned())
    };
    let (settings, setting) = settled("acks=1");
    assert_eq!((settings.idempotence, setting.as_str()), (false, "enable.idempotence"));
    // Nothing is sent again, so that nothing is doubled or out of order.
    for settings in ["retries=0", "retries=0 acks=1"] {
        let (settings, warnings) = with(settings).settle().unwrap();
        assert_eq!((settings.idempotence, warnings), (false, vec![]));
    }
    let (settings, setting) = settled("linger.ms=100000");
    assert_eq!(
        (settings.delivery_timeout, setting.as_str()),
        (Duration::from_secs(130), "delivery.timeout.ms")
    );
    let (settings, setting) = settled("max.request.size=1000");
    assert_eq!((settings.batch_size, setting.as_str()), (1000, "batch.size"));
    let (settings, setting) = settled("retry.backoff.ms=5000");
    assert_eq!((settings.retry_backoff, setting.as_str()), (Duration::from_secs(1), "retry.backoff.ms"));

    let (settings, warnings) =
        with("enable.idempotence=false acks=0 retries=0 max.in.flight.requests.per.connection=100")
            .settle()
            .unwrap();
    assert!(warnings.is_empty() && !settings.idempotence);
    let (settings, _) = with("reconnect.backoff.ms=3000").settle().unwrap();
    assert_eq!(
        (settings.reconnect_backoff, settings.reconnect_backoff_max),
        (Duration::from_secs(3), Duration::from_secs(3))
    );
    let (settings, _) =
        with("linger.ms=9223372036854775807 max.block.ms=9223372036854775807").settle().unwrap();
    assert_eq!(settings.delivery_timeout, Duration::from_millis(i32::MAX.unsigned_abs().into()));
    assert!(settings.max_block > Duration::from_secs(1 << 28));
}

/// What connecting would refuse is refused by whoever checks the settings alone.
#[test]
fn what_settles_connects() {
    for (config, setting) in [
        (base().client_id("x".repeat(40_000)), "client.id"),
        (base().socket_connection_setup_timeout(Duration::ZERO), "socket.connection.setup.timeout.ms"),
        (
            base().enable_idempotence(false).max_in_flight_requests_per_connection(1_000_000),
            "max.in.flight.requests.per.connection",
        ),
    ] {
        let error = config.settle().expect_err(setting);
        assert_eq!(error.setting(), Some(setting), "{error}");
    }
}

#[test]
fn a_bootstrap_of_its_own_needs_time() {
    let name = "metadata.recovery.rebootstrap.trigger.ms";
    let (settings, warnings) = with(&format!("{name}=0")).settle().unwrap();
    assert!(settings.metadata_recovery_rebootstrap_trigger > Duration::ZERO);
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    let text = warning.to_string();
    assert!(text.contains(&format!("{name}=0")) && text.contains("1000"), "{text}");
    let (_, warnings) = with(&format!("{name}=0 metadata.recovery.strategy=none")).settle().unwrap();
    assert_eq!(warnings, []);
}

#[test]
fn setters_are_held_to_the_same_ranges() {
    let over = 1_usize << 31;
    for (config, setting) in [
        (ProducerConfig::default(), "bootstrap.servers"),
        (ProducerConfig::new(["localhost"]), "bootstrap.servers"),
        (ProducerConfig::new(["http://localhost:9092"]), "bootstrap.servers"),
        (base().batch_size(0).buffer_memory(10), "buffer.memory"),
        (base().batch_size(over), "batch.size"),
        (base().max_request_size(over), "max.request.size"),
        (base().max_request_size(60), "max.request.size"),
        (base().retries(u32::MAX), "retries"),
        (base().acks(Acks(2)), "acks"),
        (base().max_in_flight_requests_per_connection(0), "max.in.flight.requests.per.connection"),
        (base().request_timeout(Duration::ZERO), "request.timeout.ms"),
        (base().delivery_timeout(Duration::MAX), "delivery.timeout.ms"),
        (base().metadata_max_idle(Duration::ZERO), "metadata.max.idle.ms"),
    ] {
        assert_eq!(config.settle().unwrap_err().setting(), Some(setting));
    }
    let (settings, _) = base()
        .linger(Duration::MAX)
        .max_block(Duration::MAX)
        .metadata_max_age(Duration::MAX)
        .settle()
        .unwrap();
    assert!(settings.metadata_max_age < Duration::from_secs(1 << 30));
}

#[test]
fn a_codec_has_its_level_and_must_be_compiled_in() {
    let compression = |settings: &str| with(settings).settle().map(|(settings, _)| settings.compression);
    assert_eq!(compression("compression.gzip.level=3 compression.lz4.level=4"), Ok(Compression::None));
    let gzip = base().compression(Compression::Gzip(2)).settle().map(|(settings, _)| settings.compression);
    assert_eq!(gzip.is_ok_and(|gzip| gzip == Compression::Gzip(2)), Compression::GZIP.check().is_ok());
    assert!(base().compression(Compression::Gzip(10)).settle().is_err());
    for (settings, codec, feature) in [
        ("compression.type=gzip compression.gzip.level=3", Compression::Gzip(3), "gzip"),
        ("compression.type=snappy", Compression::Snappy, "snappy"),
        ("compression.type=lz4", Compression::LZ4, "lz4"),
        ("compression.lz4.level=12 compression.type=lz4", Compression::Lz4(12), "lz4-hc"),
        ("compression.type=zstd compression.zstd.level=-5", Compression::Zstd(-5), "zstd"),
    ] {
        // What the feature of this crate turns on, another crate of the build may have turned on, too.
        let compiled = codec.check().is_ok();
        match compression(settings) {
            Ok(settled) => assert!(compiled && settled == codec, "{settings}"),
            Err(error) => {
                assert_eq!((compiled, error.kind()), (false, ConfigErrorKind::NotCompiledIn), "{settings}");
                assert!(error.to_string().contains(&format!("`{feature}`")), "{error}");
            }
        }
    }
}

#[test]
fn secrets_stand_in_no_message() {
    const SECRET: &str = "hunter2";
    let mut config = base();
    let mut said = String::new();
    for setting in SETTINGS.iter().filter(|setting| matches!(setting.role, Role::Later { secret: true, .. }))
    {
        said += &config.set(setting.name, SECRET).unwrap_err().to_string();
        said +=
            &ProducerConfig::from_properties(&format!("{}={SECRET}", setting.name)).unwrap_err().to_string();
    }
    // A name that is not known may hold anything, and so may the keys of providers.
    for name in ["sasl.password", "ssl.keystore.pasword", "config.providers.vault.param.token"] {
        said += &config.set(name, SECRET).unwrap_err().to_string();
        said += &format!("{:?}", ProducerConfig::from_properties(&format!("{name}={SECRET}")));
    }
    said += &format!("{config:?}");
    assert!(said.contains("sasl.jaas.config") && !said.contains(SECRET), "{said}");
}

proptest! {
    #[test]
    fn no_text_panics(text in ".*", lines in proptest::collection::vec((name(), "[ =:]", value()), 0..8)) {
        let _ = ProducerConfig::from_properties(&text);
        let text = lines.iter().map(|(name, between, value)| format!("{name}{between}{value}\n")).collect::<String>();
        if let Ok((config, _)) = ProducerConfig::from_properties(&text) {
            let _ = config.bootstrap_servers(["a:1"]).settle();
        }
    }

    /// What is in force obeys the relations that the rest of the crate relies on.
    #[test]
    fn what_is_in_force_is_consistent(words in proptest::collection::vec((name(), value()), 0..12)) {
        let mut config = base();
        for (name, value) in &words {
            let _ = config.set(name, value);
        }
        if let Ok((settings, _)) = config.settle() {
            prop_assert!(settings.batch_size <= settings.max_request_size);
            prop_assert!(settings.batch_size <= settings.buffer_memory);
            let least = settings.linger + settings.request_timeout;
            prop_assert!(settings.delivery_timeout >= least.min(Duration::from_millis(i32::MAX.unsigned_abs().into())));
            prop_assert!(!settings.idempotence || (settings.acks == Acks::ALL && settings.retries > 0 && settings.max_in_flight <= 5));
            prop_assert!(settings.retry_backoff <= settings.retry_backoff_max);
            prop_assert!(settings.reconnect_backoff <= settings.reconnect_backoff_max);
            prop_assert!(settings.max_in_flight > 0 && !settings.bootstrap_servers.is_empty());
            prop_assert!(net_config(&settings).is_ok());
            prop_assert!(metadata_config(&settings).is_ok());
        }
    }
}

/// Mostly a setting's name.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(SETTINGS.iter().map(|setting| setting.name.to_owned()).collect::<Vec<_>>()),
        1 => "[a-z.]{0,20}",
        1 => ".{0,120}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let words = [
        "",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "5",
        "all",
        "none",
        "lz4",
        "a:1",
        "10000",
        "65536",
        "4294967296",
        "9223372036854775807",
    ];
    prop_oneof![
        8 => proptest::sample::select(words.map(ToOwned::to_owned).to_vec()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => ".{0,80}",
        1 => "\\\\u[0-9a-f]{0,5}",
    ]
}
