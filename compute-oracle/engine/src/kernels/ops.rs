//! Elementwise and row kernels. Formulas: `weft_numerics::{model, optim, replay}`.

use super::{
    dispatch,
    lane::Lane,
    reduce::{max_raw, red_raw},
    Isa, Kernel,
};

#[inline(always)]
fn pad(x: &[f32]) -> [f32; 16] {
    let mut t = [0.0f32; 16];
    t[..x.len()].copy_from_slice(x);
    t
}

/// Defines `fn name(isa, inputs…, in-outs…, scalars…)` over slices of equal
/// length. The body returns the new in-outs, in order; a tail shorter than a
/// vector goes through padded buffers.
macro_rules! elementwise {
    ($(#[$doc:meta])* $name:ident($($x:ident),*; $($y:ident),*; $($s:ident),*) $l:ident => $body:expr) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "one slice per operand of the formula")]
        pub(crate) fn $name(isa: Isa, $($x: &[f32],)* $($y: &mut [f32],)* $($s: f32,)*) {
            struct Op<'a> {
                $($x: &'a [f32],)*
                $($y: &'a mut [f32],)*
                $($s: f32,)*
            }
            #[inline(always)]
            #[allow(unused_variables, clippy::too_many_arguments, reason = "a pure output's old value is dropped")]
            unsafe fn body<$l: Lane>($($x: $l::V,)* $($y: $l::V,)* $($s: $l::V,)*) -> [$l::V; [$(stringify!($y)),*].len()] {
                // SAFETY: arithmetic on values; the caller has the instructions of the lane.
                unsafe { $body }
            }
            impl Kernel for Op<'_> {
                type Out = ();
                #[inline(always)]
                unsafe fn run<$l: Lane>(self) {
                    let Op { $($x,)* $($y,)* $($s,)* } = self;
                    let mut n = usize::MAX;
                    $(n = n.min($x.len());)*
                    $(n = n.min($y.len());)*
                    $(assert_eq!($x.len(), n);)*
                    $(assert_eq!($y.len(), n);)*
                    // SAFETY: all slices have n elements; vectors are read and
                    // written below n or in buffers of sixteen elements.
                    unsafe {
                        $(let $s = $l::splat($s);)*
                        let outs = [$($y.as_mut_ptr()),*];
                        let full = n - n % $l::W;
                        let mut i = 0;
                        while i < full {
                            let r = body::<$l>(
                                $($l::load($x.as_ptr().add(i)),)*
                                $($l::load($y.as_ptr().add(i)),)*
                                $($s,)*
                            );
                            for o in 0..outs.len() {
                                $l::store(outs[o].add(i), r[o]);
                            }
                            i += $l::W;
                        }
                        if full < n {
                            $(let $x = pad(&$x[full..]);)*
                            $(let $y = pad(&$y[full..]);)*
                            let r = body::<$l>($($l::load($x.as_ptr()),)* $($l::load($y.as_ptr()),)* $($s,)*);
                            for o in 0..outs.len() {
                                let mut t = [0.0f32; 16];
                                $l::store(t.as_mut_ptr(), r[o]);
                                for e in full..n {
                                    *outs[o].add(e) = t[e - full];
                                }
                            }
                        }
                    }
                }
            }
            dispatch(isa, Op { $($x,)* $($y,)* $($s,)* });
        }
    };
}

elementwise! {
    /// y = c(y + a).
    add_to(a; y;) L => [L::canon(L::add(y, a))]
}
elementwise! {
    /// y = c(s × y).
    scale_in(; y; s) L => [L::canon(L::mul(s, y))]
}
elementwise! {
    /// x̂ = c(x × r), y = c(x̂ × w).
    rms_apply(x, w; xh, y; r) L => {
        let h = L::canon(L::mul(x, r));
        [h, L::canon(L::mul(h, w))]
    }
}
elementwise! {
    /// t = c(dy × w).
    mul(a, b; y;) L => [L::canon(L::mul(a, b))]
}
elementwise! {
    /// y = c(r × fma(−x̂, q, t)).
    rms_dx(xh, t; y; r, q) L => [L::canon(L::mul(r, L::fma(L::neg(xh), q, t)))]
}
elementwise! {
    /// (a, b) = (c(fma(a, cos, −(b×sin))), c(fma(b, cos, a×sin))): the two halves of a head.
    rotate(cos, sin; a, b;) L => [
        L::canon(L::fma(a, cos, L::neg(L::mul(b, sin)))),
        L::canon(L::fma(b, cos, L::mul(a, sin))),
    ]
}
elementwise! {
    /// Backward of [`rotate`]: sin negated.
    rotate_back(cos, sin; a, b;) L => {
        let sin = L::neg(sin);
        [L::canon(L::fma(a, cos, L::neg(L::mul(b, sin)))), L::canon(L::fma(b, cos, L::mul(a, sin)))]
    }
}
elementwise! {
    /// h = c((g × σ(g)) × u).
    swiglu(g, u; h;) L => {
        let one = L::splat(1.0);
        let s = L::div(one, L::add(one, L::exp(L::neg(g))));
        [L::canon(L::mul(L::mul(g, s), u))]
    }
}
elementwise! {
    /// dg = c((dh×u) × (σ × fma(g, 1−σ, 1))), du = c(dh × (g×σ)).
    swiglu_back(g, u, dh; dg, du;) L => {
        let one = L::splat(1.0);
        let s = L::div(one, L::add(one, L::exp(L::neg(g))));
        [
            L::canon(L::mul(L::mul(dh, u), L::mul(s, L::fma(g, L::sub(one, s), one)))),
            L::canon(L::mul(dh, L::mul(g, s))),
        ]
    }
}
elementwise! {
    /// dS = c(P × (dP − D)), P = c(e × ρ); both are stored.
    prob_ds(dp; e, ds; rho, d) L => {
        let p = L::canon(L::mul(e, rho));
        [p, L::canon(L::mul(p, L::sub(dp, d)))]
    }
}
elementwise! {
    /// AdamW: m' = c(fma(b1, m, c1×g)); v' = c(fma(c2×g, g, b2×v));
    /// θ' = c(fma(−A, m' ÷ (√fma(v', R, root) + eps), Z×θ)).
    adamw(g; theta, m, v; b1, c1, b2, c2, na, r, root, eps, z) L => {
        let m1 = L::canon(L::fma(b1, m, L::mul(c1, g)));
        let v1 = L::canon(L::fma(L::mul(c2, g), g, L::mul(b2, v)));
        let d = L::add(L::sqrt(L::fma(v1, r, root)), eps);
        [L::canon(L::fma(na, L::div(m1, d), L::mul(z, theta))), m1, v1]
    }
}
elementwise! {
    /// Replay, cotangent of the gradient: μ, ν and a of `weft_numerics::replay`.
    /// lm and lv become μ and ν, `a` is filled.
    adjoint(lt, m1, v1, g; lm, lv, a; na1, a2, r, root, eps, c1, c22) L => {
        let rho = L::sqrt(L::fma(v1, r, root));
        let d = L::add(rho, eps);
        let mu = L::canon(L::fma(na1, L::div(lt, d), lm));
        let nu = L::canon(L::fma(a2, L::div(L::mul(m1, lt), L::mul(L::mul(rho, d), d)), lv));
        [mu, nu, L::canon(L::fma(c1, mu, L::mul(c22, L::mul(g, nu))))]
    }
}
elementwise! {
    /// y = c(fma(e, a, θ)).
    shift(a, theta; y; e) L => [L::canon(L::fma(e, a, theta))]
}
elementwise! {
    /// λθ = c(fma(Z, λθ, c((G⁺ − G⁻) × i))).
    adjoint_theta(gp, gm; lt; z, i) L => [L::canon(L::fma(z, lt, L::canon(L::mul(L::sub(gp, gm), i))))]
}

struct Accumulate<'a> {
    f: &'a [f32],
    g: &'a [&'a [f32]],
    out: &'a mut [f32],
}

impl Kernel for Accumulate<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<L: Lane>(self) {
        let n = self.out.len();
        let full = n - n % L::W;
        // SAFETY: `accumulate` has asserted that all gradients have n elements.
        unsafe {
            for i in (0..full).step_by(L::W) {
                let mut acc = L::splat(0.0);
                for (f, g) in self.f.iter().zip(self.g) {
                    acc = L::fma(L::splat(*f), L::load(g.as_ptr().add(i)), acc);
                }
                L::store(self.out.as_mut_ptr().add(i), L::canon(acc));
            }
            for i in full..n {
                let mut acc = L::splat(0.0);
                for (f, g) in self.f.iter().zip(self.g) {
                    acc = L::fma(L::splat(*f), L::splat(*g.as_ptr().add(i)), acc);
                }
                let mut t = [0.0f32; 16];
                L::store(t.as_mut_ptr(), L::canon(acc));
                self.out[i] = t[0];
            }
        }
    }
}

/// out = c(dot_k(f_k, g_k)) elementwise over at most 512 records in batch order.
pub(crate) fn accumulate(isa: Isa, f: &[f32], g: &[&[f32]], out: &mut [f32]) {
    assert!(f.len() == g.len() && f.len() <= weft_numerics::dot::BLOCK);
    assert!(g.iter().all(|g| g.len() == out.len()));
    dispatch(isa, Accumulate { f, g, out });
}

struct RmsForward<'a> {
    x: &'a [f32],
    w: &'a [f32],
    eps: f32,
    r: &'a mut [f32],
}

impl Kernel for RmsForward<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<L: Lane>(self) {
        let n = self.w.len();
        for (row, r) in self.x.chunks_exact(n).zip(self.r) {
            // SAFETY: the row has n elements.
            let ss = unsafe { red_raw::<L, true>(row.as_ptr(), row.as_ptr(), n) };
            let ss = weft_numerics::c(ss);
            *r = weft_numerics::c(1.0 / (ss / n as f32 + self.eps).sqrt());
        }
    }
}

/// RMSNorm of the rows of x `[rows, n]`: r `[rows]`, x̂ and y `[rows, n]`.
pub(crate) fn rmsnorm(isa: Isa, x: &[f32], w: &[f32], eps: f32, r: &mut [f32], xh: &mut [f32], y: &mut [f32]) {
    let n = w.len();
    assert!(x.len() == n * r.len() && xh.len() == x.len() && y.len() == x.len());
    dispatch(isa, RmsForward { x, w, eps, r });
    for (t, r) in r.iter().enumerate() {
        let at = t * n..(t + 1) * n;
        rms_apply(isa, &x[at.clone()], w, &mut xh[at.clone()], &mut y[at], *r);
    }
}

/// Backward of [`rmsnorm`]: dx `[rows, n]` from dy; `t` is scratch of n elements.
pub(crate) fn rmsnorm_back(isa: Isa, dy: &[f32], w: &[f32], r: &[f32], xh: &[f32], t: &mut Vec<f32>, dx: &mut [f32]) {
    let n = w.len();
    assert!(dy.len() == n * r.len() && xh.len() == dy.len() && dx.len() == dy.len());
    t.resize(n, 0.0);
    for (row, r) in r.iter().enumerate() {
        let at = row * n..(row + 1) * n;
        mul(isa, &dy[at.clone()], w, t);
        let q = weft_numerics::c(super::reduce::red_fma(isa, t, &xh[at.clone()]));
        rms_dx(isa, &xh[at.clone()], t, &mut dx[at], *r, q / n as f32);
    }
}

struct Softmax<'a> {
    s: &'a mut [f32],
    first: usize,
}

impl Kernel for Softmax<'_> {
    type Out = (f32, f32);
    #[inline(always)]
    unsafe fn run<L: Lane>(self) -> (f32, f32) {
        let (masked, seen) = self.s.split_at_mut(self.first);
        masked.fill(0.0);
        let n = seen.len();
        let p = seen.as_mut_ptr();
        // SAFETY: indices stay below n, the tail goes through a padded buffer.
        unsafe {
            let m = max_raw::<L>(p, n);
            let mv = L::splat(m);
            let full = n - n % L::W;
            for i in (0..full).step_by(L::W) {
                L::store(p.add(i), L::canon(L::exp(L::sub(L::load(p.add(i)), mv))));
            }
            if full < n {
                let mut t = pad(&seen[full..]);
                L::store(t.as_mut_ptr(), L::canon(L::exp(L::sub(L::load(t.as_ptr()), mv))));
                seen[full..].copy_from_slice(&t[..n - full]);
            }
            (m, weft_numerics::c(red_raw::<L, false>(self.s.as_ptr(), self.s.as_ptr(), self.s.len())))
        }
    }
}

/// s_j = c(exp(s_j − m)) in place, m = max s, +0 before `first`; returns (m, red(s)).
pub(crate) fn exp_row(isa: Isa, s: &mut [f32], first: usize) -> (f32, f32) {
    assert!(first <= s.len());
    dispatch(isa, Softmax { s, first })
}
