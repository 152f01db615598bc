//! What names and numbers identify: a type for each, so that none is taken for another.

use alloc::borrow::Borrow;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use nom::IResult;
use nom::Parser as _;
use nom::combinator::map;

use crate::error::WireError;
use crate::frame::FrameBuf;
use crate::input::Input;
use crate::schema::Type;
use crate::text::text;
use crate::wire::{Cx, Wire};

/// A number with a meaning.
macro_rules! number {
    ($($(#[$doc:meta])* $name:ident($number:ty), $schema:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(clippy::exhaustive_structs, reason = "a number, and never anything else")]
        pub struct $name(pub $number);

        impl $name {
            /// The number.
            #[inline]
            #[must_use]
            pub const fn get(self) -> $number {
                self.0
            }
        }

        impl From<$number> for $name {
            fn from(number: $number) -> Self {
                Self(number)
            }
        }

        impl From<$name> for $number {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        $crate::ids::transparent!($name, $number, $schema);
    )*};
}

/// `Wire` for a type around one that has it.
macro_rules! transparent {
    ($name:ident, $inner:ty, $schema:expr) => {
        impl Wire for $name {
            const TYPE: Type = $schema;

            #[inline]
            fn decode<'a>(input: Input<'a>, cx: Cx) -> IResult<Input<'a>, Self, WireError> {
                map(|input| <$inner>::decode(input, cx), Self).parse(input)
            }

            #[inline]
            fn encode(&self, buf: &mut FrameBuf, cx: Cx) {
                self.0.encode(buf, cx);
            }

            #[inline]
            fn size(&self, cx: Cx) -> usize {
                self.0.size(cx)
            }

            #[inline]
            fn min_size(cx: Cx) -> usize {
                <$inner>::min_size(cx)
            }
        }
    };
}
pub(crate) use transparent;

number! {
    /// A broker.
    NodeId(i32), Type::entity("int32", "brokerId");

    /// A partition of a topic, from zero.
    PartitionId(i32), Type::plain("int32");

    /// A producer, as the cluster numbers it. Negative: none.
    ProducerId(i64), Type::entity("int64", "producerId");

    /// The epoch of a producer id: a newer one fences an older. Negative: none.
    ProducerEpoch(i16), Type::plain("int16");

    /// How many replicas must have a batch before it is acknowledged.
    Acks(i16), Type::plain("int16");

    /// Pairs a response with its request.
    CorrelationId(i32), Type::plain("int32");
}

impl NodeId {
    /// No broker: where a leader is not known.
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// No producer id.
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    /// No epoch.
    pub const NONE: Self = Self(-1);
}

impl Acks {
    /// All replicas that are in sync.
    pub const ALL: Self = Self(-1);
    /// None: the broker does not even answer.
    pub const NONE: Self = Self(0);
    /// The leader.
    pub const LEADER: Self = Self(1);
}

/// A name whose clones share it.
macro_rules! name {
    ($($(#[$doc:meta])* $name:ident, $entity:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name.
            #[inline]
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(Arc::from(name))
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(Arc::from(name))
            }
        }

        impl From<Arc<str>> for $name {
            fn from(name: Arc<str>) -> Self {
                Self(name)
            }
        }

        /// Maps keyed by name are asked with a `&str`.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.as_str())
            }
        }

        text!($name, Type::entity("string", $entity), Self::from, $name::as_str);
    )*};
}

name! {
    /// The name of a topic.
    TopicName, "topicName";

    /// The name under which a producer has transactions, across its restarts.
    TransactionalId, "transactionalId";
}
