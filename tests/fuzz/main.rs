//! What reads bytes that others wrote: requests, amounts, page tokens, stored records, blocks, bounces, bank statements, settings. Whatever comes, it is read or refused,
//! and what was read is written and read again as the same.
//!
//! Inputs are made from those in `corpus` by changing them at random. The seed is printed: `TOLLGATE_TEST_SEED` repeats it.
//! `TOLLGATE_FUZZ_EXECUTIONS=100000000` is the long form; an input that fails is printed in hexadecimal, and belongs into the corpus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod inputs;
mod targets;
mod written;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use inputs::changed;
use targets::TARGETS;

/// How often each target is run in CI.
const EXECUTIONS: u64 = 20_000;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var_os(name).map_or(usual, |text| text.to_str().unwrap().parse().unwrap())
}

/// The inputs to begin with. Where the folder of a target is missing, `TOLLGATE_FUZZ_WRITE=1` makes it, from records that the code writes.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    if std::env::var_os("TOLLGATE_FUZZ_WRITE").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in targets::seeds(target).into_iter().enumerate() {
            std::fs::write(folder.join(format!("{number:02}")), seed).unwrap();
        }
    }
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[test]
fn whatever_is_read_is_read_or_refused() {
    let seed = number("TOLLGATE_TEST_SEED", rand::random::<u32>().into());
    println!("TOLLGATE_TEST_SEED={seed}");
    let each = number("TOLLGATE_FUZZ_EXECUTIONS", EXECUTIONS * TARGETS.len() as u64) / TARGETS.len() as u64;
    let mut total = 0;
    // A panic is told once, by the input that it came from.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for (name, target) in TARGETS {
        let mut random = StdRng::seed_from_u64(seed);
        let mut inputs = corpus(name);
        assert!(!inputs.is_empty(), "{name} has no corpus");
        let mut read = 0_u64;
        for execution in 0..each {
            // First the corpus as it is.
            let input = match inputs.get(usize::try_from(execution).unwrap()) {
                Some(input) => input.clone(),
                None => changed(&inputs, &mut random),
            };
            let Ok(is_read) = catch_unwind(AssertUnwindSafe(|| target(&input))) else {
                std::panic::set_hook(hook);
                println!("{name}, seed {seed}: {}", hexadecimal(&input));
                target(&input);
                return;
            };
            read += u64::from(is_read);
            // What is understood leads further than what is refused.
            if is_read && inputs.len() < 2_000 && random.random_ratio(1, 20) {
                inputs.push(input);
            }
        }
        total += each;
        println!("{name}: {each} executions, {read} were read");
        assert!(read > each / 1_000, "{name}: nearly nothing is read");
    }
    std::panic::set_hook(hook);
    println!("{total} executions");
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
