//! The send reasons in plain words.

use kafka_producer::SendReason;

/// The reason's name and what it means, for somebody who has not heard of it.
pub(crate) fn explanation(reason: SendReason) -> (&'static str, &'static str) {
    match reason {
        SendReason::Full => ("full", "the next record did not fit within batch.size"),
        SendReason::Linger => ("linger", "not full, but its first record had waited for linger.ms"),
        SendReason::Piggyback => ("piggyback", "a request to its broker left anyway and had room"),
        SendReason::Pressure => ("pressure", "buffer.memory ran out, so nothing could linger"),
        SendReason::Flush => ("flush", "the program called flush()"),
        SendReason::Close => ("close", "the program closed the producer"),
        SendReason::TxnEnd => ("txn end", "its transaction was about to end"),
        SendReason::IdlePath => ("idle path", "nothing was in flight to its broker"),
        SendReason::WindowOpened => {
            ("window opened", "its broker answered, and there was room for a request")
        }
        SendReason::Split => ("split", "it was part of a batch that the broker found too large"),
        SendReason::Retry => ("retry", "it was sent again"),
    }
}
