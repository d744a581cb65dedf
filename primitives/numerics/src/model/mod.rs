//! Operators of a Llama block with LoRA, forward and backward.

pub mod attention;
pub mod basic;
pub mod linear;
pub mod loss;
pub mod mlp;
pub mod norm;
pub mod rope;
