//! `Serialize` and `Deserialize`: 40 hex digits in human-readable formats, 20 bytes in binary formats.

use core::fmt;
use core::marker::PhantomData;

use data_encoding::HEXLOWER;
use serde_core::de::{Error, SeqAccess, Visitor};
use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{InfoHash, ParseIdError, PeerId, hex};

impl Serialize for InfoHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for InfoHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer)
    }
}

fn serialize<S: Serializer>(bytes: &[u8; 20], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.serialize_str(HEXLOWER.encode_mut_str(bytes, &mut [0; 40]))
    } else {
        serializer.serialize_bytes(bytes)
    }
}

fn deserialize<'de, D: Deserializer<'de>, Id: From<[u8; 20]>>(deserializer: D) -> Result<Id, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(IdVisitor(PhantomData))
    } else {
        deserializer.deserialize_bytes(IdVisitor(PhantomData))
    }
}

struct IdVisitor<Id>(PhantomData<Id>);

impl<'de, Id: From<[u8; 20]>> Visitor<'de> for IdVisitor<Id> {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("40 hex digits or 20 bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
        hex::parse(text).map(Id::from).map_err(|error: ParseIdError| E::custom(error))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Id, E> {
        let bytes: [u8; 20] = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
        Ok(bytes.into())
    }

    /// Some formats have no type for bytes, only sequences of numbers.
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Id, A::Error> {
        let mut bytes = [0; 20];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = sequence.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &self))?;
        }
        match sequence.next_element::<u8>()? {
            None => Ok(bytes.into()),
            Some(_) => Err(A::Error::invalid_length(bytes.len() + 1, &self)),
        }
    }
}
