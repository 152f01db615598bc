//! The bodies of the fuzz targets without a fuzzer: over the committed corpora, and over what proptest makes up.

mod corpus;
mod model;
