//! The tables of [`messages`](crate::messages) as data: what `cargo xtask schema` compares with Kafka's own
//! definitions, and what the tests make messages from.

use bytes::Bytes;

use crate::versions::VersionRange;

/// The type of a field, in the words of Kafka's definitions.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Type {
    /// A value without parts.
    Plain {
        /// `int32`, `string`, `uuid`, ...
        name: &'static str,
        /// What the value identifies, where Kafka says so: `topicName`, `brokerId`, ...
        entity: Option<&'static str>,
    },
    /// `[]T`
    Array(&'static Self),
    /// May be null, in the versions the field says.
    Nullable(&'static Self),
    /// A table of its own.
    Struct(&'static Struct),
}

/// A message, or a group of fields inside one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Struct {
    /// As in Kafka's definitions.
    pub name: &'static str,
    /// In the order of the wire.
    pub fields: &'static [Field],
}

/// A row of a table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Field {
    /// Kafka's name in snake case.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// The versions that have the field, by its own row: those of the group it is in restrict it further.
    pub versions: VersionRange,
    /// The versions in which it may be null.
    pub nullable: Option<VersionRange>,
    /// Its number in the tagged section.
    pub tag: Option<u32>,
    /// The bytes of its default, in a version that is not flexible; `None` for zero, empty, false and null.
    pub default: Option<fn() -> Bytes>,
}

impl Type {
    pub(crate) const fn plain(name: &'static str) -> Self {
        Self::Plain { name, entity: None }
    }

    pub(crate) const fn entity(name: &'static str, entity: &'static str) -> Self {
        Self::Plain { name, entity: Some(entity) }
    }

    pub(crate) const fn is_nullable(&self) -> bool {
        matches!(self, Self::Nullable(_))
    }
}

impl Struct {
    pub(crate) const fn new(name: &'static str, fields: &'static [Field]) -> Self {
        Self { name, fields }
    }
}

impl Field {
    /// A row. Nullable versions that it does not name are all of its versions, if its type is nullable.
    pub(crate) const fn new(
        name: &'static str,
        ty: Type,
        versions: VersionRange,
        nullable: Option<VersionRange>,
        tag: Option<u32>,
        default: Option<fn() -> Bytes>,
    ) -> Self {
        let nullable = if nullable.is_none() && ty.is_nullable() { Some(versions) } else { nullable };
        Self { name, ty, versions, nullable, tag, default }
    }
}
