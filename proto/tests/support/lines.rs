//! The encoding a second time, written for the eye: every field's bytes on a line of their own, with its path.
//!
//! It knows nothing of bincode, so that the golden files say what the encoding is, not what a library did.

use lanchat_proto::codec;
use serde::Serialize;
use serde::ser::{self, Serializer};
use std::fmt::Write as _;

/// Bytes with what they are.
pub struct Line {
    pub path: String,
    pub bytes: Vec<u8>,
}

/// The lines of a value; together they are its encoding.
pub fn of<T: Serialize>(path: &str, value: &T) -> Vec<Line> {
    let mut out = Lines { lines: Vec::new(), path: vec![path.to_owned()] };
    value.serialize(&mut out).unwrap();
    let bytes: Vec<u8> = out.lines.iter().flat_map(|line| line.bytes.clone()).collect();
    assert_eq!(bytes, codec::encode(value).unwrap(), "{path}: the two encoders differ");
    out.lines
}

/// Lines as text: hex, 32 bytes a row, and the path behind the first row.
pub fn text(lines: &[Line]) -> String {
    let mut out = String::new();
    for line in lines {
        let rows: Vec<&[u8]> =
            if line.bytes.is_empty() { vec![&[]] } else { line.bytes.chunks(32).collect() };
        for (at, row) in rows.into_iter().enumerate() {
            let comment = if at == 0 { line.path.as_str() } else { "…" };
            writeln!(out, "{:<64} # {comment}", data_encoding::HEXLOWER.encode(row)).unwrap();
        }
    }
    out
}

struct Lines {
    lines: Vec<Line>,
    path: Vec<String>,
}

type Never = std::fmt::Error;

impl Lines {
    fn leaf(&mut self, bytes: &[u8]) -> Result<(), Never> {
        self.lines.push(Line { path: self.path.join("."), bytes: bytes.to_vec() });
        Ok(())
    }

    fn noted(&mut self, note: &str, bytes: &[u8]) -> Result<(), Never> {
        self.lines.push(Line { path: format!("{} ({note})", self.path.join(".")), bytes: bytes.to_vec() });
        Ok(())
    }

    fn inside<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Never> {
        self.path.push(name.to_owned());
        value.serialize(&mut *self)?;
        self.path.pop();
        Ok(())
    }

    fn length(&mut self, len: usize) -> Result<(), Never> {
        self.noted("length", &u64::try_from(len).unwrap().to_le_bytes())
    }
}

/// A sequence or struct under way; `from` is its first line.
struct Part<'a> {
    out: &'a mut Lines,
    from: usize,
    index: usize,
}

impl Part<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        let index = self.index.to_string();
        self.index += 1;
        self.out.inside(&index, value)
    }

    /// Arrays of bytes become one line.
    fn merge(self) -> Result<(), Never> {
        let part = self.out.lines.split_off(self.from);
        if part.len() == self.index && self.index > 1 && part.iter().all(|line| line.bytes.len() == 1) {
            let bytes: Vec<u8> = part.into_iter().flat_map(|line| line.bytes).collect();
            return self.out.leaf(&bytes);
        }
        self.out.lines.extend(part);
        Ok(())
    }
}

macro_rules! number {
    ($($name:ident: $type:ty),*) => {
        $(fn $name(self, value: $type) -> Result<(), Never> {
            self.leaf(&value.to_le_bytes())
        })*
    };
}

macro_rules! never {
    ($($name:ident($($type:ty),*) -> $ok:ty),* $(,)?) => {
        $(fn $name(self, $(_: $type),*) -> Result<$ok, Never> {
            panic!(concat!(stringify!($name), " has no place on the wire"))
        })*
    };
}

impl<'a> Serializer for &'a mut Lines {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = Part<'a>;
    type SerializeTuple = Part<'a>;
    type SerializeTupleStruct = Part<'a>;
    type SerializeTupleVariant = Part<'a>;
    type SerializeMap = ser::Impossible<(), Never>;
    type SerializeStruct = Part<'a>;
    type SerializeStructVariant = Part<'a>;

    number!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_i64: i64);
    never!(
        serialize_i8(i8) -> (),
        serialize_i16(i16) -> (),
        serialize_i32(i32) -> (),
        serialize_f32(f32) -> (),
        serialize_f64(f64) -> (),
        serialize_char(char) -> (),
        serialize_unit() -> (),
        serialize_unit_struct(&'static str) -> (),
        serialize_map(Option<usize>) -> Self::SerializeMap,
    );

    fn serialize_bool(self, value: bool) -> Result<(), Never> {
        self.leaf(&[u8::from(value)])
    }

    fn serialize_str(self, value: &str) -> Result<(), Never> {
        self.length(value.len())?;
        self.leaf(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Never> {
        self.length(value.len())?;
        self.leaf(value)
    }

    fn serialize_none(self) -> Result<(), Never> {
        self.noted("none", &[0])
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Never> {
        self.noted("some", &[1])?;
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, variant: &'static str) -> Result<(), Never> {
        self.noted(variant, &index.to_le_bytes())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        self.noted(variant, &index.to_le_bytes())?;
        self.inside(variant, value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Part<'a>, Never> {
        self.length(len.unwrap())?;
        let from = self.lines.len();
        Ok(Part { out: self, from, index: 0 })
    }

    fn serialize_tuple(self, _: usize) -> Result<Part<'a>, Never> {
        let from = self.lines.len();
        Ok(Part { out: self, from, index: 0 })
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Part<'a>, Never> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Part<'a>, Never> {
        self.noted(variant, &index.to_le_bytes())?;
        self.serialize_tuple(len)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Part<'a>, Never> {
        self.serialize_tuple(len)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Part<'a>, Never> {
        self.noted(variant, &index.to_le_bytes())?;
        self.serialize_tuple(len)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl ser::SerializeSeq for Part<'_> {
    type Ok = ();
    type Error = Never;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.element(value)
    }

    fn end(self) -> Result<(), Never> {
        Ok(())
    }
}

impl ser::SerializeTuple for Part<'_> {
    type Ok = ();
    type Error = Never;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.element(value)
    }

    fn end(self) -> Result<(), Never> {
        self.merge()
    }
}

macro_rules! fields {
    ($($trait:ident::$method:ident),*) => {
        $(impl ser::$trait for Part<'_> {
            type Ok = ();
            type Error = Never;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
                self.element(value)
            }

            fn end(self) -> Result<(), Never> {
                Ok(())
            }
        })*
    };
}

fields!(SerializeTupleStruct::serialize_field, SerializeTupleVariant::serialize_field);

macro_rules! named {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Part<'_> {
            type Ok = ();
            type Error = Never;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Never> {
                self.out.inside(name, value)
            }

            fn end(self) -> Result<(), Never> {
                Ok(())
            }
        })*
    };
}

named!(SerializeStruct, SerializeStructVariant);
