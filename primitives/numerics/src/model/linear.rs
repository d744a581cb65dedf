//! Linear layers with a LoRA adapter (Hu et al. 2021):
//! y = W·x [+ bias] + s·B·(A·x').

use crate::arith::{c, rn32, sqrt64};
use crate::dot::{nn, nt, tn};
use crate::model::basic::{add, add_row};

/// RN32(alpha÷r), with rsLoRA RN32(alpha÷√r).
#[must_use]
pub fn lora_scale(alpha: u32, r: u32, rslora: bool) -> f32 {
    let r = f64::from(r);
    rn32(f64::from(alpha) / if rslora { sqrt64(r) } else { r })
}

/// The frozen part: y = c(c(dot(x, W_o)) + bias_o); x `[tokens, n_in]`, W
/// `[n_out, n_in]`, y `[tokens, n_out]`.
pub fn base_forward(x: &[f32], w: &[f32], bias: Option<&[f32]>, n_in: usize, y: &mut [f32]) {
    nt(x, w, n_in, y);
    if let Some(bias) = bias {
        add_row(y, bias);
    }
}

/// The frozen part of the gradient: dx = c(dot_o(dy, W_·i)).
pub fn base_backward(dy: &[f32], w: &[f32], n_out: usize, dx: &mut [f32]) {
    nn(dy, w, n_out, dx);
}

/// One adapter: A `[r, n_in]`, B `[n_out, r]`, s.
#[derive(Clone, Copy, Debug)]
pub struct Lora<'a> {
    /// A, `[r, n_in]`.
    pub a: &'a [f32],
    /// B, `[n_out, r]`.
    pub b: &'a [f32],
    /// Rank.
    pub r: usize,
    /// The factor of [`lora_scale`].
    pub s: f32,
}

impl Lora<'_> {
    /// Adds the adapter's part to `y` `[tokens, n_out]`, which holds the frozen
    /// part: zs = c(s×c(dot(x', A_j))), y = c(y + c(dot(zs, B_o))).
    ///
    /// `x` is x' (after dropout) `[tokens, n_in]`; `zs` `[tokens, r]` is kept for
    /// the backward pass; `part` `[tokens, n_out]` is scratch.
    pub fn forward(&self, x: &[f32], zs: &mut [f32], part: &mut [f32], y: &mut [f32]) {
        let n_in = self.a.len() / self.r;
        nt(x, self.a, n_in, zs);
        for z in zs.iter_mut() {
            *z = c(self.s * *z);
        }
        nt(zs, self.b, self.r, part);
        add(y, part);
    }

    /// dz = c(s×c(dot_o(dy, B_·j))), `[tokens, r]`; dB = c(dot over tokens
    /// (dy, zs)); dA = c(dot over tokens (dz, x')). `dy` `[tokens, n_out]` is one
    /// record's.
    pub fn backward(&self, x: &[f32], zs: &[f32], dy: &[f32], dz: &mut [f32], da: &mut [f32], db: &mut [f32]) {
        let n_out = self.b.len() / self.r;
        let tokens = dy.len() / n_out;
        nn(dy, self.b, n_out, dz);
        for z in dz.iter_mut() {
            *z = c(self.s * *z);
        }
        tn(dy, zs, tokens, db);
        tn(dz, x, tokens, da);
    }

    /// The adapter's part of dx before dropout: c(dot_j(dz, A_·i)),
    /// `[tokens, n_in]`. Dropout is applied to it, then
    /// dx = c(base part + this) by [`add`].
    pub fn backward_input(&self, dz: &[f32], dx: &mut [f32]) {
        nn(dz, self.a, self.r, dx);
    }
}
