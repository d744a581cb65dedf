//! SwiGLU (Shazeer 2020).

use crate::arith::{c, fma};
use crate::func::sigmoid;

/// h = c((g×σ(g))×u), elementwise.
pub fn swiglu(g: &[f32], u: &[f32], h: &mut [f32]) {
    assert!(g.len() == u.len() && g.len() == h.len());
    for i in 0..g.len() {
        h[i] = c((g[i] * sigmoid(g[i])) * u[i]);
    }
}

/// dg = c((dh×u)×(σ×fma(g, 1−σ, 1))), du = c(dh×(g×σ)), elementwise.
pub fn swiglu_back(g: &[f32], u: &[f32], dh: &[f32], dg: &mut [f32], du: &mut [f32]) {
    assert!(g.len() == u.len() && g.len() == dh.len());
    assert!(g.len() == dg.len() && g.len() == du.len());
    for i in 0..g.len() {
        let s = sigmoid(g[i]);
        dg[i] = c((dh[i] * u[i]) * (s * fma(g[i], 1.0 - s, 1.0)));
        du[i] = c(dh[i] * (g[i] * s));
    }
}
