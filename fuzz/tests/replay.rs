//! Every committed seed through its target, under plain `cargo test`.

use std::path::Path;

use execnet_fuzz::TARGETS;

#[test]
fn every_seed_passes() {
    for (name, target) in TARGETS {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let mut seeds: Vec<_> = std::fs::read_dir(&dir)
            .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
            .map(|entry| entry.expect("a seed").path())
            .collect();
        seeds.sort();
        assert!(seeds.len() >= 5, "{name} has {} seeds", seeds.len());
        for seed in seeds {
            eprintln!("{}", seed.display());
            target(&std::fs::read(seed).expect("a readable seed"));
        }
    }
}

#[test]
fn every_target_has_a_program() {
    for (name, _) in TARGETS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(path).expect("a program");
        assert!(text.contains(&format!("execnet_fuzz::{name}(data)")), "{text}");
    }
}

/// Bytes of a small generator, for the targets that take any: not a search, but never the same few paths either.
#[test]
fn arbitrary_bytes_pass() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..300 {
        let len = (round * 7) % 600;
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }
}
