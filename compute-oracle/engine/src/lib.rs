//! LoRA training and inference of Llama-like models with canonical arithmetic,
//! class `cpu-f32/1`.
//!
//! Bits depend only on base, records, recipe and seed: never on threads,
//! instruction set, tiling or batching, because every output element has one
//! order of operations, that of `weft-numerics`.
//!
//! * [`config`], [`weights`]: a Hugging Face model folder, refused where it is
//!   not understood; [`weights::Base`].
//! * [`lora`]: the trained slots and their flat layout.
//! * [`eval`]: loss and gradient per record; [`train`]: optimiser steps;
//!   [`vector`]: the flat vectors of a run and of its replay.
//! * [`checkpoint`], [`events`], [`control`]: what is on disk, what is told,
//!   what can be asked of a run.
//! * [`adapter`], [`generate`](mod@generate): PEFT files and answers.
//! * [`estimate`](mod@estimate): what a run takes; what would not fit is refused
//!   before it starts.
//!
//! Only `kernels` (vector instructions) contains `unsafe` code.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::needless_range_loop,
    reason = "numerical kernels over buffers whose sizes follow from the checked model shape"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may unwrap"))]

pub mod adapter;
pub mod checkpoint;
pub mod config;
pub mod control;
pub mod error;
pub mod estimate;
pub mod eval;
pub mod events;
pub mod generate;
mod kernels;
pub mod lora;
mod pass;
pub mod train;
pub mod vector;
pub mod weights;

pub use adapter::{merge, Adapter};
pub use checkpoint::NewFolder;
pub use control::Control;
pub use error::{EngineError, Result};
pub use estimate::{estimate, Estimate};
pub use eval::{Compute, Evaluator, Tokens};
pub use events::{Event, EventKind};
pub use generate::{generate, FinishReason, GenRequest, Generation};
pub use kernels::Isa;
pub use lora::Layout;
pub use weights::{base_root, Base};
