//! [`Pace`]: when the next request may be sent.

use std::{collections::VecDeque, time::Duration};

use biped_core::FetchLimit;

/// How many past requests are remembered at most. A larger limit counts as a smaller one for a shorter
/// period, which allows no more.
const REMEMBERED: u32 = 1_000;

/// When requests may be sent. Moments are on the monotonic clock.
pub(super) enum Pace {
    /// One after each of these times.
    Even { spacing: Duration, next: Duration },
    /// So many in any period of this length, as soon as they are asked for.
    Within {
        most: usize,
        period: Duration,
        /// The moments of the last requests, the oldest first.
        sent: VecDeque<Duration>,
    },
}

impl Pace {
    pub(super) fn even(spacing: Duration) -> Self {
        Self::Even {
            spacing,
            next: Duration::ZERO,
        }
    }

    pub(super) fn within(limit: FetchLimit) -> Self {
        let most = limit.requests.clamp(1, REMEMBERED);
        let period = limit
            .period
            .mul_f64(f64::from(most) / f64::from(limit.requests.max(1)));
        Self::Within {
            most: most as usize,
            period,
            sent: VecDeque::new(),
        }
    }

    /// The earliest moment of the next request.
    pub(super) fn next_slot(&self) -> Duration {
        match self {
            Self::Even { next, .. } => *next,
            Self::Within { most, period, sent } if sent.len() >= *most => {
                let oldest = sent.front().copied().unwrap_or_default();
                oldest.saturating_add(*period)
            }
            Self::Within { .. } => Duration::ZERO,
        }
    }

    /// A request may be sent at this moment.
    pub(super) fn take(&mut self, slot: Duration) {
        match self {
            Self::Even { spacing, next } => *next = slot.saturating_add(*spacing),
            Self::Within { most, sent, .. } => {
                while sent.len() >= *most {
                    sent.pop_front();
                }
                sent.push_back(slot);
            }
        }
    }

    /// No request was sent at this moment.
    pub(super) fn give_back(&mut self, slot: Duration) {
        match self {
            // If another was taken after it, the spacing holds between that one and the next.
            Self::Even { spacing, next } if *next == slot.saturating_add(*spacing) => *next = slot,
            Self::Even { .. } => {}
            Self::Within { sent, .. } => {
                if let Some(at) = sent.iter().rposition(|it| *it == slot) {
                    sent.remove(at);
                }
            }
        }
    }
}
