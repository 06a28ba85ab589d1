//! XML as far as statements need it: elements, attributes, text. No document types, no entities but the five of XML 1.0 §4.6,
//! nothing that a statement does not have; depth and size have limits.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};

use crate::error::Breach;

/// Levels of nesting that are read. camt has fourteen.
const DEPTH_MAX: usize = 32;
/// Elements of one part of a document (an entry, an account) that are read: a batch of some thousand payments.
const ELEMENTS_MAX: usize = 100_000;

/// What comes next in a document.
pub(super) enum Piece {
    /// An element begins: its name without prefix.
    Start(String),
    /// The element that began last and has not ended ends.
    End,
    /// The document ends, with every element closed.
    Eof,
}

/// A document under reading.
pub(super) struct Document<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// An empty element has begun and ends with the next piece.
    ends: bool,
    depth: usize,
    /// Elements of the part under reading.
    elements: usize,
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_comments = true;
        Self { text, reader, ends: false, depth: 0, elements: 0 }
    }

    /// The next start or end of an element. Text between elements says nothing here and is passed over.
    pub(super) fn next(&mut self) -> Result<Piece, Breach> {
        if std::mem::take(&mut self.ends) {
            return Ok(Piece::End);
        }
        loop {
            match self.event()? {
                Event::Start(start) => {
                    self.depth += 1;
                    return Ok(Piece::Start(name(&start)));
                }
                Event::Empty(start) => {
                    self.ends = true;
                    return Ok(Piece::Start(name(&start)));
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Piece::End);
                }
                Event::Eof if self.depth == 0 => return Ok(Piece::Eof),
                Event::Eof | Event::DocType(_) | Event::GeneralRef(_) => return Err(self.damaged()),
                Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    /// The element that has just begun, whole, as JSON: a text where it has nothing else, else its members by name, attributes
    /// as `@name`, text beside them as `#text`. What stands there several times is a list.
    pub(super) fn element(&mut self) -> Result<Value, Breach> {
        if std::mem::take(&mut self.ends) {
            return Ok(Value::String(String::new()));
        }
        let mut open = vec![Element::default()];
        self.elements = 0;
        loop {
            match self.event()? {
                Event::Start(start) => {
                    open.push(self.begun(&start, open.len())?);
                }
                Event::Empty(start) => {
                    let child = self.begun(&start, open.len())?;
                    if let Some(parent) = open.last_mut() {
                        parent.add(child);
                    }
                }
                Event::End(_) => match (open.pop(), open.last_mut()) {
                    (Some(child), Some(parent)) => parent.add(child),
                    (child, _) => {
                        self.depth = self.depth.saturating_sub(1);
                        return Ok(child.unwrap_or_default().value());
                    }
                },
                Event::Text(text) => write(&mut open, &text.xml10_content()),
                Event::CData(text) => write(&mut open, &text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let character = character(&reference).ok_or_else(|| self.damaged())?;
                    write(&mut open, character.encode_utf8(&mut [0; 4]));
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof | Event::DocType(_) | Event::Decl(_) => return Err(self.damaged()),
            }
        }
    }

    fn event(&mut self) -> Result<Event<'a>, Breach> {
        self.reader.read_event().map_err(|_| self.damaged())
    }

    fn begun(&mut self, start: &BytesStart<'_>, inside: usize) -> Result<Element, Breach> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX || inside + self.depth > DEPTH_MAX {
            return Err(Breach::TooLong("Ntry"));
        }
        let mut element = Element { name: name(start), ..Element::default() };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| self.damaged())?;
            let key = attribute.key.as_ref();
            if key != "xmlns" && !key.starts_with("xmlns:") {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| self.damaged())?;
                element.members.insert(format!("@{key}"), Value::from(value.trim()));
            }
        }
        Ok(element)
    }

    /// Where the reader stands, for whoever has to look.
    fn damaged(&self) -> Breach {
        let at = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Breach::Damaged { line, column }
    }
}

/// An element under reading.
#[derive(Default)]
struct Element {
    name: String,
    members: Map<String, Value>,
    text: String,
}

impl Element {
    fn add(&mut self, child: Self) {
        let name = child.name.clone();
        let value = child.value();
        match self.members.get_mut(&name) {
            None => {
                self.members.insert(name, value);
            }
            Some(Value::Array(several)) => several.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }

    fn value(mut self) -> Value {
        let text = self.text.trim();
        if self.members.is_empty() {
            return Value::from(text);
        }
        if !text.is_empty() {
            self.members.insert("#text".to_owned(), Value::from(text));
        }
        Value::Object(self.members)
    }
}

fn name(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

fn write(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// A character by its number or by one of the five names that XML itself has.
fn character(reference: &BytesRef<'_>) -> Option<char> {
    match reference.resolve_char_ref().ok()? {
        Some(character) => Some(character),
        None => match reference.as_ref() {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "apos" => Some('\''),
            "quot" => Some('"'),
            _ => None,
        },
    }
}
