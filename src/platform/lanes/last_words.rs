//! The last bytes that were written on a connection. Why an HTTP/2 server closes a connection, it tells the peer, and nobody else.

use std::io::IoSlice;

/// As much as a GOAWAY frame has, with the text that the server adds to it.
const KEPT: usize = 64;

/// How a GOAWAY to a peer that opens and resets streams in floods goes on behind the last stream: ENHANCE_YOUR_CALM (RFC 9113, section 7), and
/// h2's text. That code alone may have other reasons.
const TOO_MANY_RESETS: &[u8] = b"\0\0\0\x0btoo_many_resets";

/// The last bytes that were written.
#[derive(Debug, Default)]
pub struct LastWords(Vec<u8>);

impl LastWords {
    /// Takes in so many bytes that were written of these.
    pub fn wrote(&mut self, slices: &[IoSlice<'_>], count: usize) {
        let Self(kept) = self;
        let mut left = count;
        for slice in slices {
            let Some(written) = slice.get(..left.min(slice.len())) else { return };
            left -= written.len();
            kept.extend_from_slice(written.get(written.len().saturating_sub(KEPT)..).unwrap_or_default());
            kept.drain(..kept.len().saturating_sub(KEPT));
        }
    }

    /// Whether they tell the peer that it floods the connection with streams that it resets.
    pub fn tell_of_a_flood(&self) -> bool {
        // A frame (RFC 9113, sections 4.1 and 6.8): length, type, flags, stream; the last stream, the code, and a text.
        let is_it = |frame: &[u8]| match frame {
            [high, middle, low, 7, 0, 0, 0, 0, 0, payload @ ..] => {
                let length = u32::from_be_bytes([0, *high, *middle, *low]);
                usize::try_from(length) == Ok(payload.len()) && payload.get(4..) == Some(TOO_MANY_RESETS)
            }
            _ => false,
        };
        (0..self.0.len()).any(|start| self.0.get(start..).is_some_and(is_it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goaway(code: u8, text: &str) -> Vec<u8> {
        let length = u8::try_from(8 + text.len()).unwrap();
        [&[0, 0, length, 7, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, code], text.as_bytes()].concat()
    }

    #[test]
    fn a_peer_is_told_of_its_flood_by_the_frame_that_ends_its_connection() {
        let says = |writes: &[&[u8]]| {
            let mut words = LastWords::default();
            writes.iter().for_each(|bytes| words.wrote(&[IoSlice::new(bytes)], bytes.len()));
            words.tell_of_a_flood()
        };
        let flooded = goaway(0xb, "too_many_resets");
        assert!(says(&[&[7; 5000], &flooded]) && says(&[&flooded[..10], &flooded[10..]]));
        assert!(!says(&[&goaway(0xb, "too_many_data_frames")]) && !says(&[&goaway(1, "too_many_resets")]));
        assert!(!says(&[]) && !says(&[&goaway(0, "max_age")]) && !says(&[&goaway(1, "")]) && !says(&[&flooded, &[0]]));
    }

    #[test]
    fn only_what_was_written_counts() {
        let flooded = goaway(0xb, "too_many_resets");
        let slices = [IoSlice::new(&[1; 100]), IoSlice::new(&flooded), IoSlice::new(&[2; 100])];
        for (count, says) in [(100, false), (99 + flooded.len(), false), (100 + flooded.len(), true), (101 + flooded.len(), false)] {
            let mut words = LastWords::default();
            words.wrote(&slices, count);
            assert_eq!(words.tell_of_a_flood(), says, "{count}");
        }
    }
}
