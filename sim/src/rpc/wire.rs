//! Frames: a fixed header, then the body through the codec.

use serde::{Deserialize, Serialize};

use crate::base::codec;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Frame {
    /// A one-way request.
    OneWay,
    /// A request; the reply goes to this slot of the caller's call table.
    Request { call: CallId },
    /// A request that must not be executed twice.
    Once { call: CallId, seq: u64, acked: u64, client: u32, server: u32 },
    /// "Which incarnation are you?"
    Bind { call: CallId },
    /// An answer: to the slot that asked.
    Reply { call: CallId },
    /// The answer to `Bind`.
    Bound { call: CallId, server: u32 },
    /// The server could not decode the request.
    Malformed { call: CallId },
    /// The server is not the incarnation that the client was bound to.
    Restarted { call: CallId },
}

/// A slot of a call table: of which incarnation, which slot, which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallId {
    pub incarnation: u32,
    pub slot: u32,
    pub generation: u32,
}

/// Encodes a frame with a body.
pub(super) fn encode<T: Serialize>(frame: Frame, body: &T) -> Result<Vec<u8>, codec::CodecError> {
    codec::gathered(|out| {
        codec::encode_into(out, &frame)?;
        codec::encode_into(out, body)
    })
}

/// Encodes a frame whose body is already bytes.
pub(super) fn frame(frame: Frame, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + body.len());
    codec::encode_into(&mut out, &frame).expect("a frame header is far below the limit");
    out.extend_from_slice(body);
    out
}

/// Splits bytes into frame and body.
pub(super) fn split(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    // The encoding is fixed-size per variant: 4 bytes of variant, then the fields.
    let size = match bytes.first_chunk::<4>().map(|tag| u32::from_le_bytes(*tag))? {
        0 => 4,
        1 | 3 | 4 | 6 | 7 => 4 + 12,
        2 => 4 + 12 + 8 + 8 + 4 + 4,
        5 => 4 + 12 + 4,
        _ => return None,
    };
    let (head, body) = bytes.split_at_checked(size)?;
    Some((codec::decode(head).ok()?, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_splits_from_its_body() {
        let call = CallId { incarnation: 3, slot: 4, generation: 5 };
        for header in [
            Frame::OneWay,
            Frame::Request { call },
            Frame::Once { call, seq: 9, acked: 8, client: 2, server: 1 },
            Frame::Bind { call },
            Frame::Reply { call },
            Frame::Bound { call, server: 6 },
            Frame::Malformed { call },
            Frame::Restarted { call },
        ] {
            let bytes = frame(header, b"body");
            assert_eq!(split(&bytes), Some((header, b"body".as_slice())));
            for cut in 0..bytes.len() - 4 {
                assert_eq!(split(&bytes[..cut]), None);
            }
        }
        assert_eq!(split(&[99, 0, 0, 0, 1, 2, 3]), None);
    }
}
