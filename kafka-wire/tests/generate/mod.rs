//! Bodies of messages, made from the schema alone: an encoder that shares no code with the library's.
//!
//! What it writes is canonical (tagged fields only where they differ from their default, in ascending order), so
//! that whoever decodes and encodes it must give back the same bytes.

use kafka_wire::schema::{Field, Struct, Type};

/// Makes bodies from a seed.
pub(crate) struct Generator {
    random: fastrand::Rng,
    version: i16,
    flexible: bool,
}

impl Generator {
    pub(crate) fn new(seed: u64, version: i16, flexible_since: Option<i16>) -> Self {
        let flexible = flexible_since.is_some_and(|since| version >= since);
        Self { random: fastrand::Rng::with_seed(seed), version, flexible }
    }

    /// A body of the message.
    pub(crate) fn body(&mut self, schema: &Struct) -> Vec<u8> {
        let mut out = Vec::new();
        self.structure(schema, false, &mut out);
        out
    }

    /// `distinct`: not the default, because a tagged field that has it is not written.
    fn structure(&mut self, schema: &Struct, distinct: bool, out: &mut Vec<u8>) {
        let version = self.version;
        let fields = || schema.fields.iter().filter(|field| field.versions.contains(version));
        for field in fields().filter(|field| field.tag.is_none()) {
            self.field(field, distinct, out);
        }
        if !self.flexible {
            return;
        }
        let mut tagged = Vec::new();
        for field in fields() {
            let Some(tag) = field.tag else { continue };
            if self.random.bool() {
                let mut value = Vec::new();
                self.field(field, true, &mut value);
                tagged.push((tag, value));
            }
        }
        tagged.sort();
        uvarint(tagged.len(), out);
        for (tag, value) in tagged {
            uvarint(tag as usize, out);
            uvarint(value.len(), out);
            out.extend(value);
        }
    }

    fn field(&mut self, field: &Field, distinct: bool, out: &mut Vec<u8>) {
        let (ty, nullable) = match field.ty {
            Type::Nullable(ty) => {
                (ty, field.nullable.is_some_and(|versions| versions.contains(self.version)))
            }
            _ => (&field.ty, false),
        };
        if nullable && !distinct && self.random.u8(..4) == 0 {
            self.null(ty, out);
        } else {
            self.value(ty, distinct, out);
        }
    }

    fn value(&mut self, ty: &Type, distinct: bool, out: &mut Vec<u8>) {
        match ty {
            Type::Plain { name: "string", .. } => {
                let text = self.text(distinct);
                self.len(text.len(), 2, out);
                out.extend(text.as_bytes());
            }
            Type::Plain { name: "bytes" | "records", .. } => {
                let len = if self.random.u8(..8) == 0 {
                    self.random.usize(..2000)
                } else {
                    self.random.usize(..90)
                };
                self.len(len, 4, out);
                out.extend((0..len).map(|_| self.random.u8(..)));
            }
            Type::Plain { name: "bool", .. } => out.push(u8::from(distinct || self.random.bool())),
            Type::Plain { name, .. } => self.number(name, distinct, out),
            Type::Array(ty) => {
                let len = if self.random.u8(..64) == 0 { 200 } else { self.random.usize(..4) };
                let len = len.max(usize::from(distinct));
                self.len(len, 4, out);
                for _ in 0..len {
                    self.value(ty, false, out);
                }
            }
            Type::Struct(schema) => self.structure(schema, distinct, out),
            other => panic!("no generator for {other:?}"),
        }
    }

    /// Big-endian; the edges of the type more often than chance would have them.
    fn number(&mut self, name: &str, distinct: bool, out: &mut Vec<u8>) {
        let width = match name {
            "int8" => 1,
            "int16" | "uint16" => 2,
            "int32" | "uint32" => 4,
            "int64" | "float64" => 8,
            "uuid" => 16,
            other => panic!("no generator for {other}"),
        };
        let start = out.len();
        match self.random.u8(..6) {
            // No default has the same bytes: zero, -1, the least and the greatest are the defaults there are.
            _ if distinct => out.extend((0..width).map(|_| self.random.u8(1..0x7f))),
            0 => out.resize(start + width, 0),
            1 => out.resize(start + width, 0xff),
            2 => out.extend((0..width).map(|index| if index == 0 { 0x7f } else { 0xff })),
            _ => out.extend((0..width).map(|_| self.random.u8(..))),
        }
    }

    fn text(&mut self, distinct: bool) -> String {
        // Beyond 126 bytes a compact length takes two.
        let len = if self.random.u8(..32) == 0 { 150 } else { self.random.usize(..12) };
        (0..len.max(usize::from(distinct))).map(|_| self.random.char(..)).collect()
    }

    fn null(&mut self, ty: &Type, out: &mut Vec<u8>) {
        match ty {
            _ if self.flexible => out.push(0),
            Type::Plain { name: "string", .. } => out.extend((-1_i16).to_be_bytes()),
            _ => out.extend((-1_i32).to_be_bytes()),
        }
    }

    fn len(&self, len: usize, width: usize, out: &mut Vec<u8>) {
        if self.flexible {
            uvarint(len + 1, out);
        } else {
            out.extend(&(len as u32).to_be_bytes()[4 - width..]);
        }
    }
}

fn uvarint(mut value: usize, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
