//! Why a batch is refused.

use kafka_wire::ErrorCode;

/// Why a batch is refused: what its partition's answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    /// Index and sentence for each record that is to blame, where it is single records (KIP-467).
    pub(crate) records: Vec<(i32, String)>,
    /// Whether the answer tells where the log starts: it does not where a broker never came to the log, and for some codes.
    pub(crate) tells_log_start: bool,
}

impl Fault {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let tells_log_start = !matches!(code, ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::CORRUPT_MESSAGE);
        Self { code, message: message.into(), records: Vec::new(), tells_log_start }
    }

    /// The same, found before a broker looks for the log.
    pub(crate) fn before_log(self) -> Self {
        Self { tells_log_start: false, ..self }
    }
}
