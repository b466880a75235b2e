//! Inputs, made from others by changing them.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Numbers at which something begins or ends.
const EDGES: &[&[u8]] = &[
    &[0],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0xff; 4],
    &[0xff; 7],
    &[0xff; 8],
    &[0, 0, 0, 0x80],
    &[0, 0, 0, 0, 0, 0, 0, 0x80],
    &[0xff, 0xff, 0xff, 0x7f],
    b"-",
    b".",
    b"0",
    b"9",
    b"+",
    b"e",
    b" ",
    b"\0",
    "é".as_bytes(),
    "\u{202e}".as_bytes(),
    b"2251799813685248",
    b"99999999999999999999",
];

/// The longest input.
const MOST: usize = 4_096;

/// One of the inputs with some changes.
pub fn changed(inputs: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut input = inputs.choose(random).unwrap().clone();
    for _ in 0..random.random_range(1..6) {
        let place = random.random_range(0..=input.len());
        match random.random_range(0..8) {
            0 if place < input.len() => input[place] ^= 1 << random.random_range(0..8),
            1 if place < input.len() => input[place] = random.random(),
            2 => input.insert(place, random.random()),
            3 if place < input.len() => drop(input.remove(place)),
            4 => input.truncate(place),
            5 => {
                let edge = EDGES.choose(random).unwrap();
                let end = if random.random() { place } else { (place + edge.len()).min(input.len()) };
                input.splice(place..end, edge.iter().copied());
            }
            6 => {
                let other = inputs.choose(random).unwrap();
                let from = random.random_range(0..=other.len());
                input.truncate(place);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let end = random.random_range(place..=input.len());
                let part = input[place..end].to_vec();
                input.splice(place..place, part);
            }
        }
    }
    input.truncate(MOST);
    input
}
