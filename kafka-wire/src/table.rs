//! `messages!`: one table per API, from which come the structures, their codecs, their sizes and their schema.
//!
//! Its second line says which broker a request is for, on whose listeners Kafka has it, and whether it is answered:
//! `reply [always]`, or `reply [unless field = value]`. From which version on an API is throttled stands with its key.
//!
//! A row is `[versions] name: Type = default`. In the bracket stands a pattern over the version, then `tag N` for a
//! tagged field, or `null VERSIONS` where the field may be null in some of its versions only. Tagged rows go by
//! ascending tag.

use bytes::Bytes;
use nom::IResult;

use crate::error::{WireError, WireErrorKind};
use crate::frame::FrameBuf;
use crate::input::Input;
use crate::text::not_null;
use crate::wire::{Cx, Nullable, Wire};

/// The messages of an API, and the groups of fields inside them; or groups alone.
macro_rules! messages {
    (
        $(#[$doc:meta])*
        api $api:ident = $key:literal, versions $min:literal..=$max:literal, flexible $since:tt;
        to $destination:ident, listeners [$($listener:ident)+], reply [$($reply:tt)+];

        $(#[$request_doc:meta])*
        request $request:ident { $($request_rows:tt)* }
        $(#[$response_doc:meta])*
        response $response:ident { $($response_rows:tt)* }
        $($groups:tt)*
    ) => {
        $crate::table::group! {
            $(#[$doc])*
            #[doc = ""]
            #[doc = concat!("Answered with [`", stringify!($response), "`]. Versions ", $min, " to ", $max, ".")]
            #[doc = ""]
            $(#[$request_doc])*
            $request { $($request_rows)* }
        }
        $crate::table::group! {
            #[doc = concat!("The answer to [`", stringify!($request), "`].")]
            #[doc = ""]
            $(#[$response_doc])*
            $response { $($response_rows)* }
        }
        impl $crate::message::Request for $request {
            type Response = $response;
            const DESTINATION: $crate::message::Destination = $crate::message::Destination::$destination;
            const LISTENERS: &'static [$crate::message::Listener] = &[$($crate::message::Listener::$listener),+];

            fn expects_reply(&self) -> bool {
                $crate::table::reply!(self $($reply)+)
            }
        }
        impl $crate::message::Response for $response {
            type Request = $request;

            fn throttle_time(&self) -> core::time::Duration {
                $crate::table::throttle_time!(self $($response_rows)*)
            }
        }
        const _: () = assert!(
            $crate::registry::is_registered($crate::api::ApiKey($key)),
            "kafka_wire::ALL has no line for this table"
        );
        $crate::table::body! { $request, $api = $key, $min..=$max, $since }
        $crate::table::body! { $response, $api = $key, $min..=$max, $since }
        $crate::table::messages! { $($groups)* }
    };
    ($($(#[$doc:meta])* group $group:ident { $($rows:tt)* })*) => {
        $($crate::table::group! { $(#[$doc])* $group { $($rows)* } })*
    };
}
pub(crate) use messages;

/// What makes a group a message.
macro_rules! body {
    ($name:ident, $api:ident = $key:literal, $min:literal..=$max:literal, $since:tt) => {
        impl $crate::message::Message for $name {
            const API: $crate::api::ApiKey = {
                let key = $crate::api::ApiKey($key);
                assert!($crate::table::same_text(key.name(), stringify!($api)), "the name of another key");
                key
            };
            const NAME: &'static str = stringify!($name);
            const VERSIONS: $crate::versions::VersionRange = $crate::versions::VersionRange::new($min, $max);
            const FLEXIBLE_SINCE: Option<i16> = $crate::table::since!($since);
        }
    };
}
pub(crate) use body;

/// Whether a request expects a reply: `always`, or `unless FIELD = VALUE`.
macro_rules! reply {
    ($self:ident always) => {
        true
    };
    ($self:ident unless $field:ident = $value:expr) => {
        $self.$field != $value
    };
}
pub(crate) use reply;

/// The throttle time among the rows of a response; zero where no row has it.
macro_rules! throttle_time {
    ($self:ident $($(#[$doc:meta])* [$($spec:tt)*] $field:ident: $ty:ty $(= $default:expr)?,)*) => {{
        let milliseconds = 0_i32 $(+ $crate::table::row!(throttle $self $field))*;
        core::time::Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
    }};
}
pub(crate) use throttle_time;

/// The first flexible version, or `never`.
macro_rules! since {
    (never) => {
        None
    };
    ($since:literal) => {
        Some($since)
    };
}
pub(crate) use since;

/// A structure with its default, its codec and its schema.
macro_rules! group {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$field_doc:meta])* [$($spec:tt)*] $field:ident: $ty:ty $(= $default:expr)?,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {$(
            $(#[$field_doc])*
            #[doc = ""]
            #[doc = $crate::table::row!(doc [$($spec)*])]
            pub $field: $ty,
        )*}

        impl $name {
            /// The rows of the table, as data.
            pub const FIELDS: &'static [$crate::schema::Field] =
                &[$($crate::table::row!(schema [$($spec)*] $field: $ty $(= $default)?)),*];

            /// The table, as data.
            pub const SCHEMA: &'static $crate::schema::Struct =
                &$crate::schema::Struct::new(stringify!($name), Self::FIELDS);
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::table::default!($($default)?)),* }
            }
        }

        impl $crate::wire::Wire for $name {
            const TYPE: $crate::schema::Type = $crate::schema::Type::Struct(Self::SCHEMA);

            fn decode<'a>(
                input: $crate::input::Input<'a>,
                cx: $crate::wire::Cx,
            ) -> nom::IResult<$crate::input::Input<'a>, Self, $crate::error::WireError> {
                $($crate::table::row!(decode input cx [$($spec)*] $field: $ty, $crate::table::default!($($default)?));)*
                let (input, ()) = if cx.flexible {
                    $crate::tagged::take_tagged(input, |tag, value| {
                        $($crate::table::row!(tagged tag value cx [$($spec)*] $field);)*
                        let _ = (tag, value);
                        Ok(())
                    })?
                } else {
                    (input, ())
                };
                Ok((input, Self { $($field),* }))
            }

            fn encode(&self, buf: &mut $crate::frame::FrameBuf, cx: $crate::wire::Cx) {
                $($crate::table::row!(encode self buf cx [$($spec)*] $field);)*
                if cx.flexible {
                    let count = 0 $(+ $crate::table::row!(
                        count self cx [$($spec)*] $field, $crate::table::default!($($default)?)
                    ))*;
                    buf.put_uvarint(count);
                    $($crate::table::row!(
                        put self buf cx [$($spec)*] $field, $crate::table::default!($($default)?)
                    );)*
                }
            }

            fn size(&self, cx: $crate::wire::Cx) -> usize {
                let fields = 0 $(+ $crate::table::row!(size self cx [$($spec)*] $field))*;
                if !cx.flexible {
                    return fields;
                }
                let count = 0 $(+ $crate::table::row!(
                    count self cx [$($spec)*] $field, $crate::table::default!($($default)?)
                ))*;
                let tagged = 0 $(+ $crate::table::row!(
                    put_size self cx [$($spec)*] $field, $crate::table::default!($($default)?)
                ))*;
                fields + $crate::varint::size_u32(count) + tagged
            }

            fn min_size(cx: $crate::wire::Cx) -> usize {
                usize::from(cx.flexible) $(+ $crate::table::row!(min_size cx [$($spec)*] $ty))*
            }
        }
    };
}
pub(crate) use group;

/// What a row is to each of the functions above. The arms of a function go by the kind of row: tagged, null in some
/// versions, plain.
macro_rules! row {
    (doc [$versions:pat, tag $tag:literal]) => {
        concat!("Versions `", stringify!($versions), "`, tag ", $tag, ".")
    };
    (doc [$versions:pat, null $nulls:pat]) => {
        concat!("Versions `", stringify!($versions), "`, may be null in `", stringify!($nulls), "`.")
    };
    (doc [_]) => {
        "Every version."
    };
    (doc [$versions:pat]) => {
        concat!("Versions `", stringify!($versions), "`.")
    };

    (schema [$versions:pat, tag $tag:literal] $field:ident: $ty:ty $(= $default:expr)?) => {
        $crate::table::row!(schema $versions, None, Some($tag), $field: $ty $(= $default)?)
    };
    (schema [$versions:pat, null $nulls:pat] $field:ident: $ty:ty $(= $default:expr)?) => {
        $crate::table::row!(schema $versions, Some($crate::table::range!($nulls)), None, $field: $ty $(= $default)?)
    };
    (schema [$versions:pat] $field:ident: $ty:ty $(= $default:expr)?) => {
        $crate::table::row!(schema $versions, None, None, $field: $ty $(= $default)?)
    };
    (schema $versions:pat, $nulls:expr, $tag:expr, $field:ident: $ty:ty $(= $default:expr)?) => {
        $crate::schema::Field::new(
            stringify!($field),
            <$ty as $crate::wire::Wire>::TYPE,
            $crate::table::range!($versions),
            $nulls,
            $tag,
            $crate::table::default_bytes!($ty $(, $default)?),
        )
    };

    // A tagged field keeps its default until the section at the end brings another value.
    (decode $input:ident $cx:ident [$versions:pat, tag $tag:literal] $field:ident: $ty:ty, $default:expr) => {
        let mut $field: $ty = $default;
    };
    (decode $input:ident $cx:ident [$versions:pat, null $nulls:pat] $field:ident: $ty:ty, $default:expr) => {
        let ($input, $field): (_, $ty) = if matches!($cx.version, $versions) {
            $crate::table::take_partly_null($input, $cx, matches!($cx.version, $nulls), stringify!($field))?
        } else {
            ($input, $default)
        };
    };
    (decode $input:ident $cx:ident [$versions:pat] $field:ident: $ty:ty, $default:expr) => {
        let ($input, $field): (_, $ty) = if matches!($cx.version, $versions) {
            $crate::table::take($input, $cx, stringify!($field))?
        } else {
            ($input, $default)
        };
    };

    (tagged $tag:ident $value:ident $cx:ident [$versions:pat, tag $number:literal] $field:ident) => {
        if $tag == $number && matches!($cx.version, $versions) {
            $field = $crate::table::take_tag($value, $cx, stringify!($field))?;
        }
    };
    (tagged $tag:ident $value:ident $cx:ident [$($spec:tt)*] $field:ident) => {};

    (encode $self:ident $buf:ident $cx:ident [$versions:pat, tag $tag:literal] $field:ident) => {};
    (encode $self:ident $buf:ident $cx:ident [$versions:pat, null $nulls:pat] $field:ident) => {
        if matches!($cx.version, $versions) {
            let may_be_null = matches!($cx.version, $nulls);
            $crate::table::put_partly_null(&$self.$field, $buf, $cx, may_be_null, stringify!($field));
        }
    };
    (encode $self:ident $buf:ident $cx:ident [$versions:pat] $field:ident) => {
        if matches!($cx.version, $versions) {
            $crate::table::put(&$self.$field, $buf, $cx, stringify!($field));
        }
    };

    // Whether a tagged field is written: not if it has its default.
    (count $self:ident $cx:ident [$versions:pat, tag $tag:literal] $field:ident, $default:expr) => {
        u32::from(matches!($cx.version, $versions) && $crate::table::differs(&$self.$field, &$default))
    };
    (count $self:ident $cx:ident [$($spec:tt)*] $field:ident, $default:expr) => {
        0
    };
    (put $self:ident $buf:ident $cx:ident [$versions:pat, tag $tag:literal] $field:ident, $default:expr) => {
        if matches!($cx.version, $versions) && $crate::table::differs(&$self.$field, &$default) {
            $crate::tagged::put_tagged($buf, $tag, &$self.$field, $cx);
            $buf.fail_in(stringify!($field));
        }
    };
    (put $self:ident $buf:ident $cx:ident [$($spec:tt)*] $field:ident, $default:expr) => {};
    (put_size $self:ident $cx:ident [$versions:pat, tag $tag:literal] $field:ident, $default:expr) => {
        if matches!($cx.version, $versions) && $crate::table::differs(&$self.$field, &$default) {
            $crate::tagged::size_tagged($tag, &$self.$field, $cx)
        } else {
            0
        }
    };
    (put_size $self:ident $cx:ident [$($spec:tt)*] $field:ident, $default:expr) => {
        0
    };

    (size $self:ident $cx:ident [$versions:pat, tag $tag:literal] $field:ident) => {
        0
    };
    (size $self:ident $cx:ident [$versions:pat $(, null $nulls:pat)?] $field:ident) => {
        if matches!($cx.version, $versions) { $crate::wire::Wire::size(&$self.$field, $cx) } else { 0 }
    };
    (throttle $self:ident throttle_time_ms) => {
        $self.throttle_time_ms
    };
    (throttle $self:ident $field:ident) => {
        0
    };
    (min_size $cx:ident [$versions:pat, tag $tag:literal] $ty:ty) => {
        0
    };
    (min_size $cx:ident [$versions:pat $(, null $nulls:pat)?] $ty:ty) => {
        if matches!($cx.version, $versions) { <$ty as $crate::wire::Wire>::min_size($cx) } else { 0 }
    };
}
pub(crate) use row;

/// The default of a row.
macro_rules! default {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}
pub(crate) use default;

/// The default of a row, as the schema has it.
macro_rules! default_bytes {
    ($ty:ty) => {
        None
    };
    ($ty:ty, $default:expr) => {
        Some(|| {
            let default: $ty = $default;
            $crate::table::bytes_of(&default)
        })
    };
}
pub(crate) use default_bytes;

/// The range of the versions a pattern matches.
macro_rules! range {
    ($versions:pat) => {{
        let mut bits = 0_u128;
        let mut version = 0_i16;
        while version < $crate::versions::VersionRange::PATTERN_BITS {
            if matches!(version, $versions) {
                bits |= 1 << version;
            }
            version += 1;
        }
        $crate::versions::VersionRange::of_bits(bits)
    }};
}
pub(crate) use range;

/// A field that the version has.
#[inline]
pub(crate) fn take<'a, T: Wire>(
    input: Input<'a>,
    cx: Cx,
    field: &'static str,
) -> IResult<Input<'a>, T, WireError> {
    T::decode(input, cx).map_err(|error| in_field(error, field))
}

/// A field that is null in some versions only.
#[inline]
pub(crate) fn take_partly_null<'a, T: Nullable>(
    input: Input<'a>,
    cx: Cx,
    may_be_null: bool,
    field: &'static str,
) -> IResult<Input<'a>, Option<T>, WireError> {
    if may_be_null {
        take(input, cx, field)
    } else {
        let (input, value) = not_null(input, cx).map_err(|error| in_field(error, field))?;
        Ok((input, Some(value)))
    }
}

/// The value of a tagged field, which fills its bytes.
#[inline]
pub(crate) fn take_tag<T: Wire>(
    value: Input<'_>,
    cx: Cx,
    field: &'static str,
) -> Result<T, nom::Err<WireError>> {
    crate::tagged::take_whole(value, cx).map_err(|error| in_field(error, field))
}

/// Appends a field that the version has.
#[inline]
pub(crate) fn put<T: Wire>(value: &T, buf: &mut FrameBuf, cx: Cx, field: &'static str) {
    value.encode(buf, cx);
    buf.fail_in(field);
}

/// Appends a field that is null in some versions only.
#[inline]
pub(crate) fn put_partly_null<T: Nullable>(
    value: &Option<T>,
    buf: &mut FrameBuf,
    cx: Cx,
    may_be_null: bool,
    field: &'static str,
) {
    if value.is_none() && !may_be_null {
        buf.fail(WireErrorKind::UnexpectedNull);
        buf.fail_in(field);
    } else {
        put(value, buf, cx, field);
    }
}

/// `!=`, with the type of the default taken from the field.
#[inline]
pub(crate) fn differs<T: PartialEq>(value: &T, default: &T) -> bool {
    value != default
}

/// The bytes of a default.
pub(crate) fn bytes_of<T: Wire>(default: &T) -> Bytes {
    let mut buf = FrameBuf::new();
    default.encode(&mut buf, Cx { version: 0, flexible: false });
    buf.into_bytes()
}

/// `==` of strings, at compile time.
pub(crate) const fn same_text(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let ([x, a_rest @ ..], [y, b_rest @ ..]) = (a, b) {
        if *x != *y {
            return false;
        }
        (a, b) = (a_rest, b_rest);
    }
    a.is_empty() && b.is_empty()
}

#[cold]
fn in_field(error: nom::Err<WireError>, field: &'static str) -> nom::Err<WireError> {
    error.map(|error| error.in_field(field))
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec;

    use bytes::Bytes;

    use crate::error::WireErrorKind;
    use crate::frame::FrameBuf;
    use crate::header::{decode_body, encode_body};
    use crate::messages::{
        ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataRequestTopic, SupportedFeatureKey,
    };

    #[test]
    fn a_field_is_not_written_in_a_version_without_it() {
        let request = MetadataRequest { allow_auto_topic_creation: false, ..Default::default() };
        let mut buf = FrameBuf::new();
        assert_eq!(encode_body(&request, 3, &mut buf), Ok(4));
        assert_eq!(buf.into_bytes(), [0; 4][..]);
    }

    #[test]
    fn null_has_no_bytes_in_a_version_without_it() {
        let request = MetadataRequest { topics: None, ..Default::default() };
        let error = encode_body(&request, 0, &mut FrameBuf::new()).expect_err("version 0 has no null");
        assert_eq!((error.kind(), error.field()), (WireErrorKind::UnexpectedNull, Some("topics")));
        assert_eq!(encode_body(&request, 1, &mut FrameBuf::new()), Ok(4));

        let topic = MetadataRequestTopic { name: None, ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
        let error = encode_body(&request, 9, &mut FrameBuf::new()).expect_err("version 9 has no null");
        assert_eq!((error.kind(), error.field()), (WireErrorKind::UnexpectedNull, Some("name")));
        let null_name = Bytes::from_static(&[0, 0, 0, 1, 0xff, 0xff]);
        let error = decode_body::<MetadataRequest>(&null_name, 1).expect_err("version 1 has no null");
        assert_eq!(
            (error.kind(), error.field(), error.offset()),
            (WireErrorKind::UnexpectedNull, Some("name"), 4)
        );
    }

    #[test]
    fn a_string_beyond_the_limit_has_no_bytes() {
        let name = |len| ApiVersionsRequest { client_software_name: "x".repeat(len), ..Default::default() };
        assert_eq!(encode_body(&name(0x7fff), 3, &mut FrameBuf::new()), Ok(3 + 0x7fff + 1 + 1));
        let error = encode_body(&name(0x8000), 3, &mut FrameBuf::new()).expect_err("it is too long");
        assert_eq!(error.to_string(), "too long in client_software_name at byte 0");
    }

    #[test]
    fn errors_name_the_innermost_field() {
        let decode = |bytes: &'static [u8]| {
            let error =
                decode_body::<ApiVersionsRequest>(&Bytes::from_static(bytes), 3).expect_err("no request");
            error.to_string()
        };
        assert_eq!(decode(&[2, b'a', 3, b'b']), "bad length in client_software_version at byte 3");
        assert_eq!(decode(&[2, 0xff, 1, 0]), "not UTF-8 in client_software_name at byte 0");
        assert_eq!(decode(&[0, 1, 0]), "unexpected null in client_software_name at byte 0");
        assert_eq!(decode(&[1, 1]), "truncated at byte 2");
        assert_eq!(decode(&[1, 1, 0, 9]), "trailing bytes at byte 3");
        assert_eq!(decode(&[1, 1, 9]), "bad length at byte 2");
    }

    #[test]
    fn tagged_fields_are_found_in_any_order_and_must_fill_their_bytes() {
        // No error, no keys, no throttling; then tags 1, 9 (unknown) and 0: a feature `f`, levels 1 to 2.
        let body = |epoch_size: u8, epoch: &[u8]| {
            let start = [&[0, 0, 1, 0, 0, 0, 0, 3, 1, epoch_size][..], epoch].concat();
            Bytes::from([&start[..], &[9, 1, 42], &[0, 8, 2, 2, b'f', 0, 1, 0, 2, 0]].concat())
        };
        let response: ApiVersionsResponse =
            decode_body(&body(8, &[0, 0, 0, 0, 0, 0, 0, 5]), 3).expect("a response");
        assert_eq!(response.finalized_features_epoch, 5);
        let feature = SupportedFeatureKey { name: String::from("f"), min_version: 1, max_version: 2 };
        assert_eq!(response.supported_features, [feature]);

        let long = decode_body::<ApiVersionsResponse>(&body(9, &[0; 9]), 3).expect_err("a byte too many");
        assert_eq!(
            (long.kind(), long.field()),
            (WireErrorKind::TrailingBytes, Some("finalized_features_epoch"))
        );
        let short = decode_body::<ApiVersionsResponse>(&body(7, &[0; 7]), 3).expect_err("a byte too few");
        assert_eq!(
            (short.kind(), short.field()),
            (WireErrorKind::Truncated, Some("finalized_features_epoch"))
        );
    }
}
