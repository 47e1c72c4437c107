//! `do = ..`: one fault or nemesis, or `one_of` several with weights.
//!
//! Either is a table with its name as the only key. It is read straight from the map that the TOML parser offers, with
//! no buffer in between (as serde's own untagged and flattened forms have), so that every error keeps its exact span.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, VariantAccess, Visitor};
use serde::{Deserialize, de};

use super::error::suggest;
use super::plan::{Action, Weighted, What};
use super::target::Targets;
use crate::fault::{Fault, Nemesis};

impl Action {
    /// All that it may be.
    pub fn all(&self) -> Vec<&What> {
        match self {
            Action::Always(what) => vec![what],
            Action::OneOf(choices) => choices.iter().map(|choice| &choice.what).collect(),
        }
    }
}

impl What {
    /// Its name: the key under `do`.
    pub fn name(&self) -> &'static str {
        match self {
            What::Fault(fault) => fault.name(),
            What::Nemesis(nemesis) => nemesis.name(),
        }
    }

    /// Whether it is over as soon as it has happened.
    pub fn is_momentary(&self) -> bool {
        matches!(self, What::Fault(fault) if fault.is_momentary())
    }

    /// All its node lists, in the order in which they are written.
    pub fn targets(&self) -> Vec<&Targets> {
        match self {
            What::Fault(fault) => fault.targets(),
            What::Nemesis(nemesis) => vec![nemesis.nodes()],
        }
    }

    /// The names of all faults and nemeses.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Fault::<()>::NAMES.into_iter().chain(Nemesis::<()>::NAMES)
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ActionVisitor)
    }
}

impl<'de> Deserialize<'de> for Weighted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WeightedVisitor)
    }
}

/// A key of the table, and which keys may stand there.
enum Key {
    Fault(&'static str),
    Nemesis(&'static str),
    OneOf,
    Weight,
}

#[derive(Clone, Copy)]
struct KeySeed {
    /// `weight` belongs in the alternatives of `one_of`; `one_of` only outside of them.
    alternative: bool,
    /// The table has its fault already.
    taken: bool,
}

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a fault")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
        let fault = Fault::<()>::NAMES.into_iter().find(|known| *known == name).map(Key::Fault);
        let nemesis = || Nemesis::<()>::NAMES.into_iter().find(|known| *known == name).map(Key::Nemesis);
        let key = match fault.or_else(nemesis) {
            Some(key) => key,
            None if name == "one_of" && !self.alternative => Key::OneOf,
            None if name == "weight" && self.alternative => Key::Weight,
            None if name == "weight" => {
                return Err(E::custom(
                    "`weight` outside of `one_of`\nhelp: a weight is relative to the other alternatives: \
                     do = { one_of = [{ weight = 3, crash = \"primary\" }, { pause = \"primary\" }] }",
                ));
            }
            None => {
                let help = suggest(name, "faults", What::names());
                return Err(E::custom(format!("unknown fault `{name}`\nlabel: not a fault\nhelp: {help}")));
            }
        };
        match key {
            Key::Fault(_) | Key::Nemesis(_) | Key::OneOf if self.taken => Err(E::custom(format!(
                "a second fault `{name}` in one `do`\nlabel: only one fault fits here\n\
                 help: write another [[fault]] for it, or draw with {{ one_of = [..] }}"
            ))),
            key => Ok(key),
        }
    }
}

struct ActionVisitor;

impl<'de> Visitor<'de> for ActionVisitor {
    type Value = Action;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault such as { crash = \"primary\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Action, A::Error> {
        let mut action = None;
        while let Some(key) = map.next_key_seed(KeySeed { alternative: false, taken: action.is_some() })? {
            action = Some(match key {
                Key::Fault(name) => Action::Always(What::Fault(one(name, &mut map)?)),
                Key::Nemesis(name) => Action::Always(What::Nemesis(one(name, &mut map)?)),
                Key::OneOf | Key::Weight => Action::OneOf(map.next_value()?),
            });
        }
        action.ok_or_else(|| nothing(&self))
    }
}

struct WeightedVisitor;

impl<'de> Visitor<'de> for WeightedVisitor {
    type Value = Weighted;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault with or without a weight, such as { weight = 3, crash = \"primary\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Weighted, A::Error> {
        let (mut weight, mut what) = (1, None);
        while let Some(key) = map.next_key_seed(KeySeed { alternative: true, taken: what.is_some() })? {
            match key {
                Key::Fault(name) => what = Some(What::Fault(one(name, &mut map)?)),
                Key::Nemesis(name) => what = Some(What::Nemesis(one(name, &mut map)?)),
                Key::Weight | Key::OneOf => weight = map.next_value()?,
            }
        }
        Ok(Weighted { weight, what: what.ok_or_else(|| nothing(&self))? })
    }
}

/// The table has no fault in it.
fn nothing<E: Error>(expected: &dyn de::Expected) -> E {
    let help = suggest("", "all faults", What::names());
    E::custom(format!("no fault is named here\nlabel: expected {expected}\nhelp: {help}"))
}

/// Reads the value that `map` is at as the variant of that name.
fn one<'de, T: Deserialize<'de>, A: MapAccess<'de>>(name: &'static str, map: &mut A) -> Result<T, A::Error> {
    T::deserialize(OneKey { name, map })
}

/// A map at one of its values, as an enum whose variant is the key.
struct OneKey<'m, A> {
    name: &'static str,
    map: &'m mut A,
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for OneKey<'_, A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for OneKey<'_, A> {
    type Error = A::Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), A::Error> {
        Ok((seed.deserialize(StrDeserializer::new(self.name))?, self))
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for OneKey<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.map.next_value()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.map.next_value_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(Shape::Tuple(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(Shape::Struct(fields, visitor))
    }
}

/// What to ask the value's deserializer for.
enum Shape<V> {
    Tuple(usize, V),
    Struct(&'static [&'static str], V),
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Shape<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        match self {
            Shape::Tuple(len, visitor) => deserializer.deserialize_tuple(len, visitor),
            Shape::Struct(fields, visitor) => deserializer.deserialize_struct("", fields, visitor),
        }
    }
}
