//! Where the fields of a row came from: most of what is stored of it, and the same for all rows of one shape. So it is read
//! once for all of them, and made ready for a reader once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, RwLock};

use domain::records::Provenance;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Shapes that are kept; with more, all are forgotten and read again.
const SHAPES_MAX: usize = 1_024;
/// Bytes of the longest shape that is kept.
const SHAPE_BYTES_MAX: usize = 16 * 1_024;

/// Shapes that were read, by what is stored of them: names of fields, paths and rules, and nothing of anybody.
static SHAPES: LazyLock<RwLock<FxHashMap<Box<str>, Arc<Origins>>>> = LazyLock::new(RwLock::default);

/// Where the fields of a row came from.
#[derive(Debug, Default)]
pub struct Origins {
    list: Vec<Provenance>,
    shown: OnceLock<Box<RawValue>>,
}

impl Origins {
    /// Field by field, in the order in which they were found.
    pub fn list(&self) -> &[Provenance] {
        &self.list
    }

    /// The same as a reader shows it, who is one and the same everywhere: made by the first that asks.
    pub fn shown(&self, show: impl FnOnce(&[Provenance]) -> Box<RawValue>) -> &RawValue {
        self.shown.get_or_init(|| show(&self.list))
    }

    /// Reads what is stored; `None` when a word means nothing to this build.
    pub(crate) fn read(stored: &str) -> Option<Arc<Self>> {
        let known = |shapes: &FxHashMap<Box<str>, Arc<Self>>| shapes.get(stored).cloned();
        if let Some(shape) = known(&SHAPES.read().unwrap_or_else(PoisonError::into_inner)) {
            return Some(shape);
        }
        let triples: Vec<[Cow<'_, str>; 3]> = serde_json::from_str(stored).ok()?;
        let origin = |[field, path, rule]: [Cow<'_, str>; 3]| {
            Some(Provenance { field: word(&field)?, path: path.into_owned().into(), rule: word(&rule)? })
        };
        let list = triples.into_iter().map(origin).collect::<Option<_>>()?;
        let shape = Arc::new(Self { list, shown: OnceLock::new() });
        if stored.len() <= SHAPE_BYTES_MAX {
            let mut shapes = SHAPES.write().unwrap_or_else(PoisonError::into_inner);
            if shapes.len() >= SHAPES_MAX {
                shapes.clear();
            }
            shapes.insert(stored.into(), Arc::clone(&shape));
        }
        Some(shape)
    }
}

/// Origins in a record: a list of field, path and rule, which is read as the text that it is.
pub(crate) enum Stored<'a> {
    /// To be written.
    List(&'a [Provenance]),
    /// As it was written.
    Text(&'a RawValue),
}

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::List(list) => {
                let mut triples = serializer.serialize_seq(Some(list.len()))?;
                list.iter()
                    .try_for_each(|from| triples.serialize_element(&(from.field, from.path.text(), from.rule)))?;
                triples.end()
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Stored<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Self::Text)
    }
}

/// Field names, rule names and issue codes are a small closed vocabulary, `&'static str` in the domain. One that is read
/// back is kept once for the life of the process. Sealed rows are our own writing, and yet nothing here may grow without
/// a bound: beyond it, and for a word longer than any of ours, the answer is `None`.
pub(crate) fn word(text: &str) -> Option<&'static str> {
    thread_local! {
        /// Words that this thread has met: it asks for them again and again, and a lock is for many.
        static MET: RefCell<FxHashSet<&'static str>> = RefCell::default();
    }
    MET.with_borrow_mut(|met| {
        if let Some(known) = met.get(text) {
            return Some(*known);
        }
        let kept = kept(text)?;
        met.insert(kept);
        Some(kept)
    })
}

fn kept(text: &str) -> Option<&'static str> {
    const WORDS_MAX: usize = 4096;
    const BYTES_MAX: usize = 64;
    static WORDS: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = words.get(text) {
        return Some(known);
    }
    if words.len() >= WORDS_MAX || text.len() > BYTES_MAX {
        return None;
    }
    let kept: &'static str = Box::leak(text.to_owned().into_boxed_str());
    words.insert(kept);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(list: &[Provenance]) -> String {
        serde_json::to_string(&Stored::List(list)).unwrap()
    }

    #[test]
    fn rows_of_one_shape_share_what_was_read_and_shown() {
        let list = [
            Provenance { field: "amount", path: "a.\"b\"".into(), rule: "copied" },
            Provenance { field: "status", path: "s".into(), rule: "word" },
        ];
        let text = stored(&list);
        assert_eq!(text, r#"[["amount","a.\"b\"","copied"],["status","s","word"]]"#);
        let (one, other) = (Origins::read(&text).unwrap(), Origins::read(&text).unwrap());
        assert_eq!(one.list(), list);
        assert!(Arc::ptr_eq(&one, &other));
        let show = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(one.shown(|_| show("1")).get(), "1");
        assert_eq!(other.shown(|_| show("2")).get(), "1", "made once");
    }

    #[test]
    fn what_is_written_is_read_as_it_stands() {
        let text = stored(&[Provenance { field: "amount", path: "x".into(), rule: "copied" }]);
        let read: Stored<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        for broken in ["{}", "[[\"amount\",\"x\"]]", "[[\"amount\",\"x\",1]]", "[\"amount\"]"] {
            assert!(Origins::read(broken).is_none(), "{broken}");
        }
        let long = "w".repeat(65);
        assert!(
            Origins::read(&stored(&[Provenance { field: "amount", path: "x".into(), rule: long.leak() }])).is_none()
        );
    }
}
