//! The link: latency, bandwidth, a buffer, and any cutting of the bytes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::BUFFER;
use super::ledger::Ledger;

/// One direction of the stream.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) latency: Duration,
    pub(super) time_per_byte: Duration,
    pub(super) buffer: usize,
    pub(super) cuts: Cuts,
    /// What was written, and when it arrives.
    chunks: VecDeque<(Instant, Bytes)>,
    pub(super) len: usize,
    /// When the last byte written has left.
    free_at: Instant,
    /// The writer is gone: the end of the stream follows what is on its way.
    pub(super) closed: bool,
    /// The reader is gone: what is written disappears.
    pub(super) lost: bool,
    pub(super) on_their_way: Ledger,
}

impl Link {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            latency: Duration::ZERO,
            time_per_byte: Duration::ZERO,
            buffer: BUFFER,
            cuts: Cuts::Cycle(Vec::new(), 0),
            chunks: VecDeque::new(),
            len: 0,
            free_at: now,
            closed: false,
            lost: false,
            on_their_way: Ledger::default(),
        }
    }

    pub(super) fn room(&self) -> usize {
        self.buffer.saturating_sub(self.len)
    }

    pub(super) fn push(&mut self, now: Instant, bytes: Bytes) {
        if self.lost {
            return;
        }
        self.free_at = self.free_at.max(now) + self.time_per_byte * bytes.len() as u32;
        self.len += bytes.len();
        self.chunks.push_back((self.free_at + self.latency, bytes));
    }

    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.chunks.front().map(|&(arrival, _)| arrival)
    }

    /// Bytes that have arrived.
    pub(super) fn due(&self, now: Instant) -> usize {
        let arrived = self.chunks.iter().take_while(|&&(arrival, _)| arrival <= now);
        arrived.map(|(_, bytes)| bytes.len()).sum()
    }

    pub(super) fn pop(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len);
        while out.len() < len
            && let Some((_, front)) = self.chunks.front_mut()
        {
            let part = front.split_to(front.len().min(len - out.len()));
            out.extend_from_slice(&part);
            if front.is_empty() {
                self.chunks.pop_front();
            }
        }
        self.len -= out.len();
        out
    }

    pub(super) fn truncate(&mut self, keep: usize) {
        let mut left = keep;
        for (_, bytes) in &mut self.chunks {
            bytes.truncate(left);
            left -= bytes.len();
        }
        self.chunks.retain(|(_, bytes)| !bytes.is_empty());
        self.len = keep - left;
    }

    pub(super) fn clear(&mut self) {
        self.truncate(0);
    }
}

/// How long the next write or read is.
#[derive(Debug, Clone)]
pub(super) enum Cuts {
    Cycle(Vec<usize>, usize),
    Random(u64),
}

impl Cuts {
    /// At least 1, at most `most`, which is 0 only when there is nothing.
    pub(super) fn next(&mut self, most: usize) -> usize {
        let len = match self {
            Self::Cycle(lengths, at) => {
                let len = lengths.get(*at).copied().unwrap_or(usize::MAX);
                *at = if *at + 1 < lengths.len() { *at + 1 } else { 0 };
                len
            }
            Self::Random(state) => {
                let random = random(state);
                // Every length of a header is as likely as a whole read.
                let scale = [8, 64, 4 << 10, 256 << 10];
                let scale = scale.get(random as usize % scale.len()).copied().unwrap_or(1);
                (random >> 32) as usize % scale
            }
        };
        len.max(1).min(most)
    }
}

/// SplitMix64: the next of a sequence of well-mixed numbers.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
