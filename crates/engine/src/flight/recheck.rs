//! Reading refused secrets again, to see whether one has changed.

use std::{
    future::{Future as _, poll_fn},
    task::Poll,
};

use biped_core::{SecretUse, SourceContext};

use crate::key::refusal::Recheck;

impl Recheck {
    /// Whether one of the secrets has changed since it was refused, or another provider has another
    /// token than the refused one. Secrets are read side by side, since each may take its time; those
    /// that are expensive to read come last, and only if they are needed.
    pub(super) async fn any_changed(&self, cx: &SourceContext<'_>) -> bool {
        if self.lenders.iter().any(|it| it.has_another()) {
            return true;
        }
        let interval = |used: &SecretUse| used.secret().recheck_interval();
        let mut intervals: Vec<_> = self.secrets.iter().map(interval).collect();
        intervals.sort_unstable();
        intervals.dedup();
        for expense in intervals {
            let mut reads: Vec<_> = self
                .secrets
                .iter()
                .filter(|used| interval(used) == expense)
                .map(|used| Box::pin(used.has_changed(cx)))
                .collect();
            let any = poll_fn(|task| {
                let mut any = false;
                reads.retain_mut(|read| match read.as_mut().poll(task) {
                    Poll::Ready(changed) => {
                        any |= changed;
                        false
                    }
                    Poll::Pending => true,
                });
                match any || reads.is_empty() {
                    true => Poll::Ready(any),
                    false => Poll::Pending,
                }
            });
            if any.await {
                return true;
            }
        }
        false
    }
}
