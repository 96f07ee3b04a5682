//! The bodies of callers, watched on their way to the API, and those of answers on their way back.

mod answer;
mod caller;

pub(crate) use self::{
    answer::{AnswerBody, Watch},
    caller::{Interrupted, Limits, Progress, incoming},
};
