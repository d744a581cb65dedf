//! The canonical f32 arithmetic of Weft, class `cpu-f32/1`: one scalar
//! function per operator of a LoRA training step, of its exact replay and of
//! generation. Runtime and tests use it as the reference; kernels that use
//! vector instructions or threads must give the same bits.
//!
//! Rules that hold everywhere:
//!
//! * `+ − × ÷ √` are IEEE-754 binary32, rounded to nearest even, in the order
//!   written; [`fma`] rounds once. Subnormals are kept.
//! * A stored value is [`c`]`(x)`: no −0, one NaN. Functions that fill an
//!   output slice store `c` of every element unless they say otherwise.
//! * Sums over an axis have one of two orders: [`dot`](mod@dot) (blocks of 512
//!   and 16,384 of the axis index) or [`red`](mod@red) (16 lanes, blocks of 256).
//! * f64 serves step constants and rotary angles alone.
//!
//! Matrices are row-major slices and their shapes are written `[rows, columns]`.
//! Functions assert that slice lengths fit the shape: a wrong length is an
//! error of the caller, never of data from outside.
#![no_std]
#![forbid(unsafe_code)]
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::needless_range_loop,
    clippy::too_many_arguments,
    reason = "the crate is numerical kernels over slices whose lengths are asserted"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may unwrap"))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod arith;
pub mod dot;
pub mod func;
pub mod inv_freq;
pub mod model;
pub mod optim;
pub mod order;
pub mod philox;
pub mod red;
pub mod replay;
pub mod sample;
pub mod schedule;
pub mod select;

pub use arith::{c, dec, fma, rn32, CANONICAL_NAN};
pub use dot::dot;
pub use func::{exp, ln, sigmoid};
pub use philox::Key;
pub use red::{max, red, red_fma};
