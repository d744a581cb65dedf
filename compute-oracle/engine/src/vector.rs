//! Flat vectors of a run: optimiser step, accumulation, and the steps of the
//! exact replay. Formulas and orders: `weft_numerics::{optim, replay, red}`.
//!
//! Every thread that computes asserts its floating-point mode first.

use crate::eval::Compute;
use crate::kernels::{assert_float_mode, ops, reduce};
use weft_numerics::optim::AdamStep;

/// Elements a thread takes at once.
const CHUNK: usize = 1 << 14;

/// Runs `f` on equal chunks of several vectors, on the given threads.
fn chunked<const I: usize, const O: usize>(
    threads: usize,
    ins: [&[f32]; I],
    outs: [&mut [f32]; O],
    f: impl Fn([&[f32]; I], [&mut [f32]; O]) + Sync,
) {
    let n = outs.first().map_or(0, |o| o.len());
    let share = n.div_ceil(threads.max(1)).next_multiple_of(CHUNK).max(CHUNK);
    if threads <= 1 || n <= share {
        assert_float_mode();
        return f(ins, outs);
    }
    std::thread::scope(|scope| {
        let f = &f;
        let mut rest = outs;
        let mut at = 0;
        while at < n {
            let len = share.min(n - at);
            let part = ins.map(|x| &x[at..at + len]);
            let mut tails: [&mut [f32]; O] = std::array::from_fn(|_| Default::default());
            let mut heads: [&mut [f32]; O] = std::array::from_fn(|_| Default::default());
            for (o, out) in rest.into_iter().enumerate() {
                let (head, tail) = out.split_at_mut(len);
                heads[o] = head;
                tails[o] = tail;
            }
            rest = tails;
            at += len;
            scope.spawn(move || {
                assert_float_mode();
                f(part, heads);
            });
        }
    });
}

/// G = c(dot_k(f_k, g_k)), in batch order.
pub fn accumulate(on: Compute, f: &[f32], g: &[&[f32]], out: &mut [f32]) {
    let n = out.len();
    let share = n.div_ceil(on.threads.max(1)).next_multiple_of(CHUNK);
    if on.threads <= 1 || n <= share {
        assert_float_mode();
        return ops::accumulate(on.isa, f, g, out);
    }
    std::thread::scope(|scope| {
        for (i, part) in out.chunks_mut(share).enumerate() {
            let g: Vec<&[f32]> = g.iter().map(|g| &g[i * share..i * share + part.len()]).collect();
            scope.spawn(move || {
                assert_float_mode();
                ops::accumulate(on.isa, f, &g, part);
            });
        }
    });
}

/// One AdamW step: θ, m, v in place.
pub fn adamw(on: Compute, k: &AdamStep, g: &[f32], theta: &mut [f32], m: &mut [f32], v: &mut [f32]) {
    chunked(on.threads, [g], [theta, m, v], |[g], [theta, m, v]| {
        ops::adamw(on.isa, g, theta, m, v, k.b1, k.c1, k.b2, k.c2, -k.a, k.r, k.eps_root, k.eps, k.z);
    });
}

/// Cotangents of one step: λm and λv become c(b1×μ) and c(b2×ν), `a` the cotangent of G.
#[allow(clippy::too_many_arguments, reason = "the operands of the formula")]
pub fn adjoint(
    on: Compute,
    k: &AdamStep,
    g: &[f32],
    m1: &[f32],
    v1: &[f32],
    lt: &[f32],
    lm: &mut [f32],
    lv: &mut [f32],
    a: &mut [f32],
) {
    chunked(on.threads, [lt, m1, v1, g], [lm, lv, a], |[lt, m1, v1, g], [lm, lv, a]| {
        ops::adjoint(on.isa, lt, m1, v1, g, lm, lv, a, -k.a, k.a2, k.r, k.eps_root, k.eps, k.c1, k.c2x2);
        ops::scale_in(on.isa, lm, k.b1);
        ops::scale_in(on.isa, lv, k.b2);
    });
}

/// out = c(fma(e, a, θ)).
pub fn shift(on: Compute, theta: &[f32], e: f32, a: &[f32], out: &mut [f32]) {
    chunked(on.threads, [a, theta], [out], |[a, theta], [out]| ops::shift(on.isa, a, theta, out, e));
}

/// λθ ← c(fma(Z, λθ, c((G⁺ − G⁻)×(1÷(2e))))).
pub fn lambda_theta(on: Compute, z: f32, e: f32, gp: &[f32], gm: &[f32], lt: &mut [f32]) {
    let i = 1.0 / (2.0 * e);
    chunked(on.threads, [gp, gm], [lt], |[gp, gm], [lt]| ops::adjoint_theta(on.isa, gp, gm, lt, z, i));
}

/// λθ ← c(Z×λθ + 0): the step of ‖a‖ = 0.
pub fn lambda_theta_still(on: Compute, z: f32, lt: &mut [f32]) {
    assert_float_mode();
    ops::scale_in(on.isa, lt, z);
}

/// c(s × x) in place.
pub fn scale(on: Compute, x: &mut [f32], s: f32) {
    assert_float_mode();
    ops::scale_in(on.isa, x, s);
}

/// ⟨x, y⟩ over slots that end at `ends`.
#[must_use]
pub fn inner(on: Compute, x: &[f32], y: &[f32], ends: &[usize]) -> f32 {
    assert_float_mode();
    reduce::inner(on.isa, x, y, ends)
}

/// ‖x‖ over slots that end at `ends`.
#[must_use]
pub fn norm(on: Compute, x: &[f32], ends: &[usize]) -> f32 {
    assert_float_mode();
    reduce::norm(on.isa, x, ends)
}
