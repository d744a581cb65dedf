//! Forward and backward pass of some records.
//!
//! Shapes are `[tokens, width]`, row-major. All bits are canonical. Row-wise
//! operators see the tokens of several records as one matrix; attention,
//! positions and gradients stay inside a record.

use crate::eval::Tokens;
use crate::kernels::{
    gemm::{Gemm, Right, Terms},
    ops, reduce, Isa,
};
use crate::lora::{Pack, Packed};
use crate::weights::{Base, Dims, Layer, Linear};
use weft_numerics::{c, ln};

/// The place of a record among tokens that are computed together.
#[derive(Clone, Copy, Debug)]
struct Segment {
    at: usize,
    t: usize,
}

impl Segment {
    fn end(&self) -> usize {
        self.at + self.t
    }
}

/// Query rows of attention handled together.
const ROWS: usize = 64;

pub(crate) fn sized(v: &mut Vec<f32>, n: usize) -> &mut [f32] {
    v.resize(n, 0.0);
    &mut v[..n]
}

/// What the backward pass of a layer needs.
#[derive(Default)]
struct LayerBuf {
    r1: Vec<f32>,
    xh1: Vec<f32>,
    y1: Vec<f32>,
    /// Rotated and scaled queries, rotated keys, values.
    qs: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    /// Norm per head (Qwen3): factors and normalised rows.
    qr: Vec<f32>,
    qh: Vec<f32>,
    kr: Vec<f32>,
    kh: Vec<f32>,
    o: Vec<f32>,
    r2: Vec<f32>,
    xh2: Vec<f32>,
    y2: Vec<f32>,
    g: Vec<f32>,
    u: Vec<f32>,
    h: Vec<f32>,
    zs: [Vec<f32>; 7],
}

/// Scratch of one thread; buffers grow once.
#[derive(Default)]
pub(crate) struct Work {
    layers: Vec<LayerBuf>,
    x: Vec<f32>,
    t: Vec<f32>,
    part: Vec<f32>,
    dz: Vec<f32>,
    kt: Vec<f32>,
    s: Vec<f32>,
    dp: Vec<f32>,
    p: Vec<f32>,
    ds: Vec<f32>,
    head: Vec<f32>,
    nr: Vec<f32>,
    nh: Vec<f32>,
    ny: Vec<f32>,
    z: Vec<f32>,
    dx: Vec<f32>,
    dy: Vec<f32>,
    da: Vec<f32>,
    db: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    nll: Vec<f32>,
}

#[allow(clippy::too_many_arguments, reason = "the shape and operands of a product")]
pub(crate) fn product(isa: Isa, m: usize, n: usize, k: usize, a: &[f32], a_row: usize, b: Right<'_>, out: &mut [f32]) {
    Gemm { m, n, k, a, a_row, a_col: 1, b, terms: Terms::All, out, out_row: n }.run(isa);
}

/// y = base + adapter of one projection; keeps zs.
#[allow(clippy::too_many_arguments, reason = "operands and scratch of one linear")]
pub(crate) fn linear(
    isa: Isa,
    w: &Linear,
    lora: Option<&Pack>,
    x: &[f32],
    t: usize,
    zs: &mut Vec<f32>,
    part: &mut Vec<f32>,
    y: &mut [f32],
) {
    product(isa, t, w.n_out, w.n_in, x, w.n_in, w.forward(), y);
    if let Some(bias) = &w.bias {
        for row in y.chunks_exact_mut(w.n_out) {
            ops::add_to(isa, bias, row);
        }
    }
    if let Some(l) = lora {
        let zs = sized(zs, t * l.rank);
        product(isa, t, l.rank, w.n_in, x, w.n_in, l.a_forward(), zs);
        ops::scale_in(isa, zs, l.scale);
        let part = sized(part, t * w.n_out);
        product(isa, t, w.n_out, l.rank, zs, l.rank, l.b_forward(), part);
        ops::add_to(isa, part, y);
    }
}

/// Backward of [`linear`]: dA and dB into `grad`, dx when asked.
#[allow(clippy::too_many_arguments, reason = "operands and scratch of one linear")]
fn linear_back(
    isa: Isa,
    w: &Linear,
    lora: Option<&Pack>,
    x: &[f32],
    zs: &[f32],
    dy: &[f32],
    t: usize,
    segs: &[Segment],
    dz: &mut Vec<f32>,
    part: &mut Vec<f32>,
    grads: &mut [&mut [f32]],
    dx: Option<&mut [f32]>,
) {
    if let Some(l) = lora {
        let dz = sized(dz, t * l.rank);
        product(isa, t, l.rank, w.n_out, dy, w.n_out, l.b_backward(), dz);
        ops::scale_in(isa, dz, l.scale);
        // A record's gradient sums over its own tokens alone.
        let tn = |k: usize, m: usize, n: usize, a: &[f32], b: &[f32], out: &mut [f32]| {
            let b = Right::Rows(b, n);
            Gemm { m, n, k, a, a_row: 1, a_col: m, b, terms: Terms::All, out, out_row: n }.run(isa);
        };
        for (s, grad) in segs.iter().zip(grads) {
            let (dz, zs) = (&dz[s.at * l.rank..s.end() * l.rank], &zs[s.at * l.rank..s.end() * l.rank]);
            let dy = &dy[s.at * w.n_out..s.end() * w.n_out];
            let x = &x[s.at * w.n_in..s.end() * w.n_in];
            tn(s.t, w.n_out, l.rank, dy, zs, &mut grad[l.b_range.clone()]);
            tn(s.t, l.rank, w.n_in, dz, x, &mut grad[l.a_range.clone()]);
        }
    }
    let Some(dx) = dx else { return };
    product(isa, t, w.n_in, w.n_out, dy, w.n_out, w.backward(), dx);
    if let Some(l) = lora {
        let part = sized(part, t * w.n_in);
        product(isa, t, w.n_in, l.rank, &dz[..t * l.rank], l.rank, l.a_backward(), part);
        ops::add_to(isa, part, dx);
    }
}

/// Rotates all heads of all rows; row τ is at position `first + τ`.
pub(crate) fn rope(isa: Isa, base: &Base, x: &mut [f32], width: usize, first: usize, back: bool) {
    let half = base.dims.hd / 2;
    for (t, row) in x.chunks_exact_mut(width).enumerate() {
        let at = (first + t) * half..(first + t + 1) * half;
        let (cos, sin) = (&base.cos[at.clone()], &base.sin[at]);
        for head in row.chunks_exact_mut(2 * half) {
            let (a, b) = head.split_at_mut(half);
            if back {
                ops::rotate_back(isa, cos, sin, a, b);
            } else {
                ops::rotate(isa, cos, sin, a, b);
            }
        }
    }
}

/// Columns `at..at + hd` of x `[t, width]` turned: out `[hd, ld]`, padded with +0.
pub(crate) fn turned(x: &[f32], t: usize, width: usize, at: usize, hd: usize, ld: usize, out: &mut Vec<f32>) {
    let out = sized(out, hd * ld);
    for e in 0..hd {
        let row = &mut out[e * ld..(e + 1) * ld];
        for (j, y) in row.iter_mut().enumerate().take(t) {
            *y = x[j * width + at + e];
        }
        row[t..].fill(0.0);
    }
}

/// e and ρ of the query rows `i0..i0 + rows` of one head; `s` is `[rows, ld]`.
#[allow(clippy::too_many_arguments, reason = "one block of one head")]
pub(crate) fn scores(
    isa: Isa,
    d: &Dims,
    qs: &[f32],
    q_row: usize,
    kt: &[f32],
    ld: usize,
    i0: usize,
    rows: usize,
    s: &mut [f32],
    mut each: impl FnMut(usize, &mut [f32], usize, f32),
) {
    let n = ((i0 + rows).div_ceil(32) * 32).min(ld);
    Gemm {
        m: rows,
        n,
        k: d.hd,
        a: qs,
        a_row: q_row,
        a_col: 1,
        b: Right::Rows(kt, ld),
        terms: Terms::All,
        out: s,
        out_row: ld,
    }
    .run(isa);
    for r in 0..rows {
        let i = i0 + r;
        let first = if d.window == 0 { 0 } else { (i + 1).saturating_sub(d.window) };
        let row = &mut s[r * ld..r * ld + i + 1];
        let (_, l) = ops::exp_row(isa, row, first);
        each(r, row, first, c(1.0 / l));
    }
}

/// What all records of an evaluation share.
pub(crate) struct Pass<'a> {
    pub isa: Isa,
    pub base: &'a Base,
    pub lora: &'a Packed,
}

impl Pass<'_> {
    fn pack(&self, layer: usize, p: usize) -> Option<&Pack> {
        self.lora.layers.get(layer).and_then(|l| l[p].as_ref())
    }

    fn attention(&self, s: Segment, b: &mut LayerBuf, w: &mut Work) {
        let d = &self.base.dims;
        let (t, qw, kw, hd) = (s.t, d.q(), d.k(), d.hd);
        let ld = t.div_ceil(32) * 32;
        let group = d.heads / d.kv;
        let o = &mut b.o[s.at * qw..s.end() * qw];
        let (b_qs, b_k, b_v) = (&b.qs[s.at * qw..], &b.k[s.at * kw..], &b.v[s.at * kw..]);
        for h in 0..d.heads {
            let kv = h / group;
            if h % group == 0 {
                turned(b_k, t, kw, kv * hd, hd, ld, &mut w.kt);
            }
            for i0 in (0..t).step_by(ROWS) {
                let rows = ROWS.min(t - i0);
                let s = sized(&mut w.s, ROWS * ld);
                let mut rho = [0.0f32; ROWS];
                let q = &b_qs[i0 * qw + h * hd..];
                scores(self.isa, d, q, qw, &w.kt, ld, i0, rows, s, |r, _, _, x| rho[r] = x);
                Gemm {
                    m: rows,
                    n: hd,
                    k: i0 + rows,
                    a: s,
                    a_row: ld,
                    a_col: 1,
                    b: Right::Rows(&b_v[kv * hd..], kw),
                    terms: Terms::UpTo { first: i0, window: d.window },
                    out: &mut o[i0 * qw + h * hd..],
                    out_row: qw,
                }
                .run(self.isa);
                for r in 0..rows {
                    let at = (i0 + r) * qw + h * hd;
                    ops::scale_in(self.isa, &mut o[at..at + hd], rho[r]);
                }
            }
        }
    }

    /// d_o `[t, q]` → dq (before scaling by 1/√d is undone), dk, dv in `w`.
    fn attention_back(&self, s: Segment, b: &LayerBuf, w: &mut Work, d_o: &[f32]) {
        let d = &self.base.dims;
        let isa = self.isa;
        let (t, qw, kw, hd) = (s.t, d.q(), d.k(), d.hd);
        let (b_qs, b_k, b_v) = (&b.qs[s.at * qw..], &b.k[s.at * kw..], &b.v[s.at * kw..]);
        let (b_o, d_o) = (&b.o[s.at * qw..], &d_o[s.at * qw..]);
        let ld = t.div_ceil(32) * 32;
        let group = d.heads / d.kv;
        let scale = weft_numerics::model::attention::scale(hd);
        let dq = &mut w.dq[s.at * qw..s.end() * qw];
        let (dk, dv) = (&mut w.dk[s.at * kw..s.end() * kw], &mut w.dv[s.at * kw..s.end() * kw]);
        let (mut vt, mut kt) = (std::mem::take(&mut w.head), std::mem::take(&mut w.kt));
        for h in 0..d.heads {
            let kv = h / group;
            if h % group == 0 {
                turned(b_k, t, kw, kv * hd, hd, ld, &mut kt);
                turned(b_v, t, kw, kv * hd, hd, ld, &mut vt);
            }
            let (p, ds) = (sized(&mut w.p, t * ld), sized(&mut w.ds, t * ld));
            for i0 in (0..t).step_by(ROWS) {
                let rows = ROWS.min(t - i0);
                let dp = sized(&mut w.dp, ROWS * ld);
                let n = ((i0 + rows).div_ceil(32) * 32).min(ld);
                Gemm {
                    m: rows,
                    n,
                    k: hd,
                    a: &d_o[i0 * qw + h * hd..],
                    a_row: qw,
                    a_col: 1,
                    b: Right::Rows(&vt, ld),
                    terms: Terms::All,
                    out: dp,
                    out_row: ld,
                }
                .run(isa);
                let q = &b_qs[i0 * qw + h * hd..];
                let block = &mut p[i0 * ld..(i0 + rows) * ld];
                scores(isa, d, q, qw, &kt, ld, i0, rows, block, |r, e, first, rho| {
                    let i = i0 + r;
                    let at = i * qw + h * hd..i * qw + h * hd + hd;
                    let delta = c(reduce::red_fma(isa, &d_o[at.clone()], &b_o[at]));
                    let ds = &mut ds[i * ld..i * ld + i + 1];
                    ds[..first].fill(0.0);
                    ops::prob_ds(
                        isa,
                        &dp[r * ld + first..r * ld + i + 1],
                        &mut e[first..],
                        &mut ds[first..],
                        rho,
                        delta,
                    );
                });
                let out = &mut dq[i0 * qw + h * hd..];
                Gemm {
                    m: rows,
                    n: hd,
                    k: i0 + rows,
                    a: &ds[i0 * ld..],
                    a_row: ld,
                    a_col: 1,
                    b: Right::Rows(&b_k[kv * hd..], kw),
                    terms: Terms::UpTo { first: i0, window: d.window },
                    out,
                    out_row: qw,
                }
                .run(isa);
                for r in 0..rows {
                    ops::scale_in(isa, &mut out[r * qw..r * qw + hd], scale);
                }
            }
            // Query heads that share a key are added in ascending order.
            let add = h % group != 0;
            let part = sized(&mut w.part, t * hd);
            for (a, b, b_row, out) in [(&*p, &d_o[h * hd..], qw, &mut *dv), (&*ds, &b_qs[h * hd..], qw, &mut *dk)] {
                let direct = !add;
                let at = kv * hd;
                let (target, row): (&mut [f32], usize) = if direct { (&mut out[at..], kw) } else { (&mut *part, hd) };
                Gemm {
                    m: t,
                    n: hd,
                    k: t,
                    a,
                    a_row: 1,
                    a_col: ld,
                    b: Right::Rows(b, b_row),
                    terms: Terms::From { window: d.window },
                    out: target,
                    out_row: row,
                }
                .run(isa);
                if !direct {
                    for j in 0..t {
                        ops::add_to(isa, &part[j * hd..(j + 1) * hd], &mut out[j * kw + at..j * kw + at + hd]);
                    }
                }
            }
        }
        w.head = vt;
        w.kt = kt;
    }

    fn head_norm(
        &self,
        x: &mut [f32],
        weight: Option<&Vec<f32>>,
        r: &mut Vec<f32>,
        xh: &mut Vec<f32>,
        t: &mut Vec<f32>,
    ) {
        let Some(weight) = weight else { return };
        let rows = x.len() / weight.len();
        let y = sized(t, x.len());
        ops::rmsnorm(self.isa, x, weight, self.base.dims.eps, sized(r, rows), sized(xh, x.len()), y);
        x.copy_from_slice(y);
    }

    fn layer(&self, l: usize, segs: &[Segment], b: &mut LayerBuf, w: &mut Work, x: &mut [f32]) {
        let Self { isa, base, .. } = *self;
        let d = &base.dims;
        let layer: &Layer = &base.layers[l];
        let t = segs.last().map_or(0, Segment::end);
        let n = t * d.d;
        ops::rmsnorm(isa, x, &layer.norm1, d.eps, sized(&mut b.r1, t), sized(&mut b.xh1, n), sized(&mut b.y1, n));
        linear(
            isa,
            &layer.linear[0],
            self.pack(l, 0),
            &b.y1,
            t,
            &mut b.zs[0],
            &mut w.part,
            sized(&mut b.qs, t * d.q()),
        );
        linear(isa, &layer.linear[1], self.pack(l, 1), &b.y1, t, &mut b.zs[1], &mut w.part, sized(&mut b.k, t * d.k()));
        linear(isa, &layer.linear[2], self.pack(l, 2), &b.y1, t, &mut b.zs[2], &mut w.part, sized(&mut b.v, t * d.k()));
        self.head_norm(&mut b.qs, layer.q_norm.as_ref(), &mut b.qr, &mut b.qh, &mut w.t);
        self.head_norm(&mut b.k, layer.k_norm.as_ref(), &mut b.kr, &mut b.kh, &mut w.t);
        for s in segs {
            rope(isa, base, &mut b.qs[s.at * d.q()..s.end() * d.q()], d.q(), 0, false);
            rope(isa, base, &mut b.k[s.at * d.k()..s.end() * d.k()], d.k(), 0, false);
        }
        ops::scale_in(isa, &mut b.qs, weft_numerics::model::attention::scale(d.hd));
        sized(&mut b.o, t * d.q());
        for s in segs {
            self.attention(*s, b, w);
        }
        let y = sized(&mut w.dy, n);
        linear(isa, &layer.linear[3], self.pack(l, 3), &b.o, t, &mut b.zs[3], &mut w.part, y);
        ops::add_to(isa, y, x);
        ops::rmsnorm(isa, x, &layer.norm2, d.eps, sized(&mut b.r2, t), sized(&mut b.xh2, n), sized(&mut b.y2, n));
        linear(isa, &layer.linear[4], self.pack(l, 4), &b.y2, t, &mut b.zs[4], &mut w.part, sized(&mut b.g, t * d.f));
        linear(isa, &layer.linear[5], self.pack(l, 5), &b.y2, t, &mut b.zs[5], &mut w.part, sized(&mut b.u, t * d.f));
        ops::swiglu(isa, &b.g, &b.u, sized(&mut b.h, t * d.f));
        linear(isa, &layer.linear[6], self.pack(l, 6), &b.h, t, &mut b.zs[6], &mut w.part, y);
        ops::add_to(isa, y, x);
    }

    /// Gradient of the layer's output in `dx` becomes that of its input.
    fn layer_back(
        &self,
        l: usize,
        segs: &[Segment],
        b: &LayerBuf,
        w: &mut Work,
        dx: &mut [f32],
        grads: &mut [&mut [f32]],
    ) {
        let Self { isa, base, .. } = *self;
        let d = &base.dims;
        let layer = &base.layers[l];
        let t = segs.last().map_or(0, Segment::end);
        let n = t * d.d;
        let mut dh = std::mem::take(&mut w.da);
        let mut dg = std::mem::take(&mut w.db);
        let mut du = std::mem::take(&mut w.z);
        let mut dn = std::mem::take(&mut w.dy);
        let mut dm = std::mem::take(&mut w.x);
        macro_rules! back {
            ($p:expr, $x:expr, $dy:expr, $dx:expr) => {
                linear_back(
                    isa,
                    &layer.linear[$p],
                    self.pack(l, $p),
                    $x,
                    &b.zs[$p],
                    $dy,
                    t,
                    segs,
                    &mut w.dz,
                    &mut w.part,
                    grads,
                    $dx,
                )
            };
        }
        back!(6, &b.h, dx, Some(sized(&mut dh, t * d.f)));
        ops::swiglu_back(isa, &b.g, &b.u, &dh, sized(&mut dg, t * d.f), sized(&mut du, t * d.f));
        back!(4, &b.y2, &dg, Some(sized(&mut dn, n)));
        back!(5, &b.y2, &du, Some(sized(&mut dm, n)));
        ops::add_to(isa, &dm, &mut dn);
        ops::rmsnorm_back(isa, &dn, &layer.norm2, &b.r2, &b.xh2, &mut w.t, sized(&mut dm, n));
        ops::add_to(isa, &dm, dx);
        back!(3, &b.o, dx, Some(sized(&mut dh, t * d.q())));
        for (v, width) in [(&mut w.dq, d.q()), (&mut w.dk, d.k()), (&mut w.dv, d.k())] {
            sized(v, t * width);
        }
        for s in segs {
            self.attention_back(*s, b, w, &dh);
            rope(isa, base, &mut w.dq[s.at * d.q()..s.end() * d.q()], d.q(), 0, true);
            rope(isa, base, &mut w.dk[s.at * d.k()..s.end() * d.k()], d.k(), 0, true);
        }
        for (x, weight, r, xh) in [(&mut w.dq, &layer.q_norm, &b.qr, &b.qh), (&mut w.dk, &layer.k_norm, &b.kr, &b.kh)] {
            if let Some(weight) = weight {
                let y = sized(&mut dg, x.len());
                ops::rmsnorm_back(isa, x, weight, r, xh, &mut w.t, y);
                x.copy_from_slice(y);
            }
        }
        let deeper = l > 0;
        let (dq, dk, dv) = (std::mem::take(&mut w.dq), std::mem::take(&mut w.dk), std::mem::take(&mut w.dv));
        back!(0, &b.y1, &dq, deeper.then(|| sized(&mut dn, n)));
        back!(1, &b.y1, &dk, deeper.then(|| sized(&mut dm, n)));
        if deeper {
            ops::add_to(isa, &dm, &mut dn);
        }
        back!(2, &b.y1, &dv, deeper.then(|| sized(&mut dm, n)));
        if deeper {
            ops::add_to(isa, &dm, &mut dn);
            ops::rmsnorm_back(isa, &dn, &layer.norm1, &b.r1, &b.xh1, &mut w.t, sized(&mut dm, n));
            ops::add_to(isa, &dm, dx);
        }
        (w.dq, w.dk, w.dv) = (dq, dk, dv);
        (w.da, w.db, w.z, w.dy, w.x) = (dh, dg, du, dn, dm);
    }

    /// Losses [nats, summed] of some records and, when asked, their flat
    /// gradients. Row-wise operators see all their tokens as one matrix.
    pub(crate) fn group(&self, recs: &[Tokens<'_>], w: &mut Work, mut grads: Option<&mut [&mut [f32]]>) -> Vec<f32> {
        let Self { isa, base, .. } = *self;
        let d = base.dims;
        let mut segs = Vec::with_capacity(recs.len());
        // (row, target, record); row τ predicts token τ + 1.
        let mut rows: Vec<(usize, usize)> = Vec::new();
        let mut ends = Vec::with_capacity(recs.len());
        let mut t = 0;
        for r in recs {
            segs.push(Segment { at: t, t: r.ids.len() });
            let targets = (1..r.ids.len()).filter(|i| r.mask[*i] != 0);
            rows.extend(targets.map(|i| (t + i - 1, r.ids[i] as usize)));
            ends.push(rows.len());
            t += r.ids.len();
        }
        let mut bufs = std::mem::take(&mut w.layers);
        bufs.resize_with(base.layers.len(), LayerBuf::default);
        let mut x = std::mem::take(&mut w.dx);
        let x_ = sized(&mut x, t * d.d);
        for (row, id) in x_.chunks_exact_mut(d.d).zip(recs.iter().flat_map(|r| r.ids)) {
            row.copy_from_slice(&base.embedding[*id as usize * d.d..(*id as usize + 1) * d.d]);
        }
        for (l, b) in bufs.iter_mut().enumerate() {
            self.layer(l, &segs, b, w, x_);
        }

        // Head: loss rows only, in chunks so that logits stay small.
        let l = rows.len();
        let picked = sized(&mut w.x, l * d.d);
        for (to, (i, _)) in picked.chunks_exact_mut(d.d).zip(&rows) {
            to.copy_from_slice(&x_[i * d.d..(i + 1) * d.d]);
        }
        let (nr, nh, ny) = (sized(&mut w.nr, l), sized(&mut w.nh, l * d.d), sized(&mut w.ny, l * d.d));
        ops::rmsnorm(isa, picked, &base.norm, d.eps, nr, nh, ny);
        let nll = sized(&mut w.nll, l);
        let dy = sized(&mut w.dy, l * d.d);
        let want = grads.is_some();
        for r0 in (0..l).step_by(ROWS) {
            let n = ROWS.min(l - r0);
            let z = sized(&mut w.z, n * d.vocab);
            product(isa, n, d.vocab, d.d, &ny[r0 * d.d..], d.d, base.head.forward(), z);
            for r in 0..n {
                let row = &mut z[r * d.vocab..(r + 1) * d.vocab];
                let y = rows[r0 + r].1;
                let at = row[y];
                let (m, s) = ops::exp_row(isa, row, 0);
                nll[r0 + r] = c((m + ln(s)) - at);
                if want {
                    let inv = 1.0 / s;
                    let e = row[y];
                    ops::scale_in(isa, row, inv);
                    row[y] = c(e * inv - 1.0);
                }
            }
            if want {
                product(isa, n, d.d, d.vocab, z, d.vocab, base.head.backward(), &mut dy[r0 * d.d..(r0 + n) * d.d]);
            }
        }
        let mut from = 0;
        let losses = ends
            .iter()
            .map(|to| {
                let loss = c(weft_numerics::red(&nll[from..*to]));
                from = *to;
                loss
            })
            .collect();
        if let Some(grads) = &mut grads {
            // Rows without loss have gradient +0.
            ops::rmsnorm_back(isa, dy, &base.norm, nr, nh, &mut w.t, picked);
            x_.fill(0.0);
            for (from, (i, _)) in picked.chunks_exact(d.d).zip(&rows) {
                x_[i * d.d..(i + 1) * d.d].copy_from_slice(from);
            }
            for l in (0..bufs.len()).rev() {
                self.layer_back(l, &segs, &bufs[l], w, x_, grads);
            }
        }
        w.layers = bufs;
        w.dx = x;
        losses
    }
}

#[cfg(test)]
mod tests;
