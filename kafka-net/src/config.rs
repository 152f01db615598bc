//! Addresses and the settings of connections.

use std::{fmt, str::FromStr, time::Duration};

use crate::{backoff::Backoff, io::Connector};

/// Where a broker listens: a host name or address, and a port.
///
/// ```
/// use kafka_net::Endpoint;
///
/// let endpoint: Endpoint = "[::1]:9092".parse()?;
/// assert_eq!((endpoint.host(), endpoint.port()), ("::1", 9092));
/// assert_eq!(endpoint.to_string(), "[::1]:9092");
/// # Ok::<(), kafka_net::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// An endpoint from its parts; the host without brackets.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// The host name or address, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Parses a bootstrap list: "host:port" entries with commas between, as in `bootstrap.servers`. One comma too many at the
    /// end is passed over.
    ///
    /// # Errors
    /// Names the first entry that is wrong, and what is wrong with it. An empty list is an error.
    pub fn parse_list(list: &str) -> Result<Vec<Self>, ConfigError> {
        let list = list.trim();
        let entries = list.strip_suffix(',').unwrap_or(list);
        if entries.trim().is_empty() {
            return Err(ConfigError::bootstrap(list, "the list is empty"));
        }
        entries.split(',').map(|entry| entry.trim().parse()).collect()
    }

    /// What people write who mean something else than "host:port".
    fn habit(entry: &str) -> Option<&'static str> {
        if entry.contains(|c: char| c == ';' || c.is_whitespace()) && entry.matches(':').count() > 1 {
            return Some("between brokers stands a comma, as in a:1,b:2");
        }
        if entry.starts_with(['"', '\'']) {
            return Some("leave the quotes out; write host:port");
        }
        let is_list = entry.starts_with('[') && !entry.contains(']') && entry.matches(':').count() < 2;
        if is_list || entry.starts_with("['") || entry.starts_with("[\"") {
            return Some("leave the brackets out, which only an IPv6 address has; write a:1,b:2");
        }
        if entry.contains('@') {
            return Some("an address has no user or password; write host:port");
        }
        None
    }

    /// Whether it looks like an IPv6 address that lacks its brackets.
    fn is_bare_ipv6(entry: &str) -> bool {
        let address = entry.split('%').next().unwrap_or(entry);
        let shorter = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let is_address = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok();
        is_address(address) || is_address(shorter)
    }
}

impl FromStr for Endpoint {
    type Err = ConfigError;

    fn from_str(entry: &str) -> Result<Self, ConfigError> {
        let bad = |reason| Err(ConfigError::bootstrap(entry, reason));
        if let Some(habit) = Self::habit(entry) {
            return bad(habit);
        }
        let rest = match entry.split_once("://") {
            None => entry,
            // Kafka's own parser takes a listener's name before the address; only one of them is harmless.
            Some((protocol, rest)) if protocol.eq_ignore_ascii_case("plaintext") => rest,
            Some(_) => {
                return bad(
                    "only plaintext listeners are supported; write host:port without the part before ://",
                );
            }
        };
        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let Some((host, port)) = bracketed.split_once(']') else {
                return bad("the bracket of the IPv6 address is not closed");
            };
            if host.parse::<std::net::Ipv6Addr>().is_err() && !host.contains('%') {
                return bad("what is inside the brackets is not an IPv6 address");
            }
            let Some(port) = port.strip_prefix(':') else {
                return bad("the port is missing; write [address]:port");
            };
            (host, port)
        } else {
            if Self::is_bare_ipv6(rest) {
                return bad("an IPv6 address needs brackets; write [address]:port");
            }
            let Some((host, port)) = rest.rsplit_once(':') else {
                return bad("the port is missing; write host:port");
            };
            if host.contains(':') {
                return bad("it has more than one colon; write host:port");
            }
            (host, port)
        };
        if host.is_empty() {
            return bad("the host is missing; write host:port");
        }
        if let Some(odd) = host.chars().find(|&c| !(c.is_alphanumeric() || "-._:%".contains(c))) {
            return Err(ConfigError::bootstrap(entry, &format!("{odd:?} cannot be part of a host name")));
        }
        match port.parse() {
            Ok(port) if port != 0 => Ok(Self::new(host, port)),
            _ => bad("the port must be a number from 1 to 65535"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A setting has a value it cannot have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    setting: &'static str,
    value: String,
    reason: String,
}

impl ConfigError {
    pub(crate) fn new(setting: &'static str, value: impl fmt::Display, reason: &str) -> Self {
        Self { setting, value: value.to_string(), reason: reason.to_owned() }
    }

    fn bootstrap(entry: &str, reason: &str) -> Self {
        // A password may stand before an @, and is repeated nowhere.
        let (hidden, rest) = entry.rsplit_once('@').map_or(("", entry), |(_, rest)| ("...@", rest));
        let shown = crate::shown::shown(rest);
        Self::new("bootstrap.servers", format_args!("\"{hidden}{shown}\""), reason)
    }

    /// The setting's name, in Kafka's spelling.
    #[must_use]
    pub fn setting(&self) -> &str {
        self.setting
    }

    /// What is wrong with the value, and what to write instead.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.setting, self.value, self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// Settings of every connection. Start from [`NetConfig::default`] and assign what differs; each field names
/// Kafka's setting and has its default.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetConfig {
    /// `client.id`: the name brokers show in their logs, metrics and quotas. Empty by default.
    pub client_id: String,
    /// The name this software gives itself when a connection begins (KIP-511): letters, digits, `-` and `.`.
    pub software_name: String,
    /// The version beside it.
    pub software_version: String,
    /// `max.in.flight.requests.per.connection`: 5. Requests that wait for their answer on one connection.
    pub max_in_flight: usize,
    /// `request.timeout.ms`: 30 s. A request without an answer for so long ends its connection.
    pub request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`: 10 s, from dialling to the answer that names the broker's versions, after
    /// which calls begin. One that accepts and says nothing is given up within it, whatever `request_timeout` is; Kafka's
    /// own client has the latter bound that answer. Doubles with each failure.
    pub setup_timeout: Duration,
    /// `socket.connection.setup.timeout.max.ms`: 30 s, the ceiling of the doubling.
    pub setup_timeout_max: Duration,
    /// `reconnect.backoff.ms`: 50 ms, the wait after a first failure. Doubles with each further one. From the third in a row
    /// on it is 10 ms at least, also with zero.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`: 1 s, the ceiling of the doubling.
    pub reconnect_backoff_max: Duration,
    /// `connections.max.idle.ms`: 9 min. A connection unused for so long is closed; `None` keeps it.
    pub max_idle: Option<Duration>,
    /// `send.buffer.bytes`: 128 KiB of SO_SNDBUF; `None` leaves it to the system (−1 in Kafka).
    pub send_buffer: Option<u32>,
    /// `receive.buffer.bytes`: 32 KiB of SO_RCVBUF; `None` leaves it to the system.
    pub receive_buffer: Option<u32>,
    /// The largest response accepted, 100 MiB. A broker that announces more is hung up on.
    pub max_response_size: usize,
    /// How connections are opened: over TCP unless told otherwise.
    pub connector: Connector,
}

impl NetConfig {
    /// Checks every value that has limits.
    ///
    /// # Errors
    /// Names the first setting out of its limits.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_IN_FLIGHT_LIMIT).contains(&self.max_in_flight) {
            return Err(ConfigError::new(
                "max.in.flight.requests.per.connection",
                self.max_in_flight,
                &format!("must be from 1 to {MAX_IN_FLIGHT_LIMIT}"),
            ));
        }
        for (setting, value) in [
            ("request.timeout.ms", self.request_timeout),
            ("socket.connection.setup.timeout.ms", self.setup_timeout),
        ] {
            if value.is_zero() {
                return Err(ConfigError::new(setting, 0, "must be more than zero, or nothing ever succeeds"));
            }
        }
        for (setting, value) in
            [("software name", &self.software_name), ("software version", &self.software_version)]
        {
            // A broker answers INVALID_REQUEST to anything else, on every connection.
            let inner = value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
            let ends = value.chars().next().zip(value.chars().last());
            if !inner || !ends.is_some_and(|(a, b)| a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric()) {
                return Err(ConfigError::new(
                    setting,
                    value,
                    "may hold letters and digits, with - and . between",
                ));
            }
        }
        if self.client_id.len() > MAX_CLIENT_ID {
            return Err(ConfigError::new("client.id", "(too long)", "must be at most 32767 bytes"));
        }
        Ok(())
    }

    pub(crate) fn reconnect(&self) -> Backoff {
        Backoff::new(self.reconnect_backoff, self.reconnect_backoff_max)
    }

    pub(crate) fn setup(&self) -> Backoff {
        Backoff::new(self.setup_timeout, self.setup_timeout_max)
    }
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            software_name: "linger-rs".to_owned(),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            max_in_flight: 5,
            request_timeout: Duration::from_secs(30),
            setup_timeout: Duration::from_secs(10),
            setup_timeout_max: Duration::from_secs(30),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            max_idle: Some(Duration::from_secs(540)),
            send_buffer: Some(128 * 1024),
            receive_buffer: Some(32 * 1024),
            max_response_size: 100 * 1024 * 1024,
            connector: Connector::tcp(),
        }
    }
}

/// Bounds the queue of a connection; Kafka's setting has no upper limit, memory has.
const MAX_IN_FLIGHT_LIMIT: usize = 10_000;
/// A nullable string of the request header has an i16 length.
const MAX_CLIENT_ID: usize = i16::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_names_addresses_and_brackets() {
        for (entry, host, port) in [
            ("localhost:9092", "localhost", 9092),
            ("10.0.0.1:1", "10.0.0.1", 1),
            ("[2001:db8::1]:65535", "2001:db8::1", 65535),
            ("[fe80::1%eth0]:9092", "fe80::1%eth0", 9092),
            ("PLAINTEXT://broker_1.local:9092", "broker_1.local", 9092),
        ] {
            assert_eq!(entry.parse(), Ok(Endpoint::new(host, port)), "{entry}");
        }
        for list in ["a:1, b:2", "a:1,b:2,", " a:1 , b:2 , "] {
            let list = Endpoint::parse_list(list).expect("a good list");
            assert_eq!(list, [Endpoint::new("a", 1), Endpoint::new("b", 2)]);
        }
    }

    #[test]
    fn a_bad_entry_is_named_with_what_is_wrong() {
        for (entry, reason) in [
            ("localhost", "port is missing"),
            ("localhost:", "number from 1"),
            ("localhost:0", "number from 1"),
            ("localhost:65536", "number from 1"),
            ("localhost:kafka", "number from 1"),
            (":9092", "host is missing"),
            ("::1:9092", "needs brackets"),
            ("2001:db8::1", "needs brackets"),
            ("fe80::1%eth0:9092", "needs brackets"),
            ("a:1:2", "more than one colon"),
            ("\'a:1\'", "leave the quotes out"),
            ("[a:1", "leave the brackets out"),
            ("['a:1'", "leave the brackets out"),
            ("a:1;b:2", "stands a comma"),
            ("a:1 b:2", "stands a comma"),
            ("[::1:9092", "not closed"),
            ("[::1]", "port is missing"),
            ("[localhost]:9092", "not an IPv6"),
            ("http://localhost:9092", "without the part before"),
            ("SASL_SSL://localhost:9092", "without the part before"),
            ("a b:9092", "' ' cannot be part"),
            ("a/b:9092", "'/' cannot be part"),
        ] {
            let error = entry.parse::<Endpoint>().expect_err(entry).to_string();
            assert!(error.contains(reason) && error.contains(entry), "{entry}: {error}");
        }
        let error = "user:hunter2@a:1".parse::<Endpoint>().expect_err("no user").to_string();
        assert!(error.contains("...@a:1") && !error.contains("hunter2"), "{error}");
        for (list, part) in [
            ("", "empty"),
            (" ", "empty"),
            (",", "empty"),
            ("a:1,,", "\"\""),
            ("a:1,,b:2", "\"\""),
            ("a:1,b", "\"b\""),
        ] {
            let error = Endpoint::parse_list(list).expect_err(list).to_string();
            assert!(error.contains(part) && error.starts_with("bootstrap.servers"), "{list}: {error}");
        }
    }

    #[test]
    fn the_defaults_are_valid_and_limits_are_checked() {
        assert_eq!(NetConfig::default().validate(), Ok(()));
        let bad = |change: fn(&mut NetConfig)| {
            let mut config = NetConfig::default();
            change(&mut config);
            config.validate().expect_err("out of limits").setting().to_owned()
        };
        assert_eq!(bad(|config| config.max_in_flight = 0), "max.in.flight.requests.per.connection");
        assert_eq!(bad(|config| config.request_timeout = Duration::ZERO), "request.timeout.ms");
        assert_eq!(bad(|config| config.software_name = "-a".to_owned()), "software name");
        assert_eq!(bad(|config| config.software_version = String::new()), "software version");
        assert_eq!(bad(|config| config.client_id = "x".repeat(40_000)), "client.id");
    }
}
