//! The one place where values become bytes and back: serde with bincode 1.3, fixed-size integers, little endian.
//!
//! Everything that crosses the simulated network or reaches a simulated disk goes through here, so the wire format can
//! be changed in one file. Decoding is bounded: a length prefix that claims more than [`LIMIT`] bytes is an error and
//! never an allocation, and bytes left over are an error and never ignored.

use std::cell::Cell;

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest encoded value, in bytes: 16 MiB, far above any message of a healthy system.
pub const LIMIT: u64 = 16 * 1024 * 1024;

/// A value could not be encoded or decoded. The message says why, in bincode's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("codec: {0}")]
pub struct CodecError(String);

fn options() -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding()
}

/// Appends the encoding of `value` to `out`. On error `out` is as it was.
pub fn encode_into<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), CodecError> {
    let start = out.len();
    // With a limit, bincode would go through the value twice.
    let result = options().serialize_into(&mut *out, value).map_err(|error| CodecError(error.to_string()));
    let result = result.and_then(|()| match out.len() - start {
        len if len as u64 > LIMIT => Err(CodecError(format!("{len} bytes are more than the limit of {LIMIT}"))),
        _ => Ok(()),
    });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// The encoding of `value`.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    gathered(|out| encode_into(out, value))
}

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The scratch buffer is kept up to this size.
const KEPT: usize = 64 * 1024;

/// The bytes that `fill` appends. They are gathered in a buffer that stays, so that they are allocated once and in their size,
/// instead of moved each time they outgrow one.
pub(crate) fn gathered(fill: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>) -> Result<Vec<u8>, CodecError> {
    // A nested encoding finds an empty buffer, and so do destructors of thread-locals.
    let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
    scratch.clear();
    fill(&mut scratch)?;
    if scratch.len() > KEPT {
        return Ok(scratch);
    }
    let bytes = scratch.as_slice().to_vec();
    let _ = SCRATCH.try_with(|kept| kept.set(scratch));
    Ok(bytes)
}

/// Decodes a value that must use up all of `bytes`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    options().with_limit(LIMIT).deserialize(bytes).map_err(|error| CodecError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Message {
        Ping,
        Put { key: String, value: Vec<u8>, version: Option<u64> },
        Many(Vec<(u32, bool)>),
    }

    #[test]
    fn golden_bytes() {
        let put = Message::Put { key: "k".into(), value: vec![7, 8], version: Some(3) };
        let bytes = encode(&put).unwrap();
        let expected: &[u8] = &[
            1, 0, 0, 0, // variant
            1, 0, 0, 0, 0, 0, 0, 0, b'k', // key
            2, 0, 0, 0, 0, 0, 0, 0, 7, 8, // value
            1, 3, 0, 0, 0, 0, 0, 0, 0, // version
        ];
        assert_eq!(bytes, expected);
        assert_eq!(encode(&Message::Ping).unwrap(), [0, 0, 0, 0]);
    }

    #[test]
    fn a_huge_length_prefix_is_an_error_and_not_an_allocation() {
        let mut bytes = vec![2, 0, 0, 0];
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(decode::<Message>(&bytes).is_err());
    }

    #[test]
    fn left_over_bytes_are_an_error() {
        assert!(decode::<u32>(&[1, 0, 0, 0]).is_ok());
        assert!(decode::<u32>(&[1, 0, 0, 0, 9]).is_err());
    }

    #[test]
    fn a_value_over_the_limit_leaves_the_buffer_as_it_was() {
        let mut out = vec![1, 2, 3];
        assert!(encode_into(&mut out, &vec![0u8; LIMIT as usize + 1]).is_err());
        assert_eq!(out, [1, 2, 3]);
    }

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            Just(Message::Ping),
            (".*", proptest::collection::vec(any::<u8>(), 0..40), any::<Option<u64>>())
                .prop_map(|(key, value, version)| Message::Put { key, value, version }),
            proptest::collection::vec(any::<(u32, bool)>(), 0..20).prop_map(Message::Many),
        ]
    }

    proptest! {
        #[test]
        fn decodes_what_it_encoded(value in message()) {
            let bytes = encode(&value).unwrap();
            prop_assert_eq!(decode::<Message>(&bytes).unwrap(), value.clone());
            // No proper prefix is taken for a value.
            for cut in 0..bytes.len() {
                prop_assert!(decode::<Message>(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Message>(&bytes);
        }
    }
}
