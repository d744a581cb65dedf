//! Every backward pass against central differences of an f64 forward pass.

use crate::Rng;
use weft_numerics::model::{attention, basic, linear, loss, mlp, norm, rope};

/// Largest relative L2 distance of a gradient. The f32 passes here have at most
/// a few hundred roundings, far below; the f64 differences are exact to 1e-8.
const GRADIENT: f64 = 1e-5;

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// Gradient of Σ dy·f(x) by central differences.
fn differences(x: &[f64], dy: &[f64], f: &dyn Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    const H: f64 = 1e-5;
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let at = x[i];
            let mut value = |v| {
                x[i] = v;
                f(&x).iter().zip(dy).map(|(y, d)| y * d).sum::<f64>()
            };
            let slope = (value(at + H) - value(at - H)) / (2.0 * H);
            x[i] = at;
            slope
        })
        .collect()
}

fn close(name: &str, got: &[f32], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    let distance: f64 = got.iter().zip(want).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
    let size: f64 = want.iter().map(|b| b * b).sum::<f64>();
    assert!(distance <= (GRADIENT * GRADIENT) * size, "{name}: {}", (distance / size).sqrt());
}

#[test]
fn rms_norm() {
    let mut rng = Rng::new(20);
    let n = 300;
    let (x, w, dy) = (rng.vec(n, 2.0), rng.vec(n, 1.0), rng.vec(n, 1.0));
    let eps = 1e-5f32;
    let w64 = wide(&w);
    let f = |x: &[f64]| -> Vec<f64> {
        let ss = x.iter().map(|x| x * x).sum::<f64>() / n as f64 + f64::from(eps);
        x.iter().zip(&w64).map(|(x, w)| x / ss.sqrt() * w).collect()
    };
    let (mut xhat, mut y, mut dx) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let mut r = [0.0];
    norm::forward(&x, &w, eps, &mut r, &mut xhat, &mut y);
    close("y", &y, &f(&wide(&x)));
    norm::backward(&dy, &w, &xhat, &r, &mut dx);
    close("dx", &dx, &differences(&wide(&x), &wide(&dy), &f));
}

#[test]
fn rotary() {
    let mut rng = Rng::new(21);
    let inv = weft_numerics::inv_freq::default(10_000.0, 16).unwrap();
    let (mut cos, mut sin) = (vec![0.0; 5 * 8], vec![0.0; 5 * 8]);
    rope::table(&inv, &mut cos, &mut sin);
    let (x, dy) = (rng.vec(5 * 32, 1.0), rng.vec(5 * 32, 1.0));
    let f = |x: &[f64]| -> Vec<f64> {
        let mut y = x.to_vec();
        for t in 0..5 {
            for h in 0..2 {
                for i in 0..8 {
                    let (a, b) = (t * 32 + h * 16 + i, t * 32 + h * 16 + i + 8);
                    let angle = f64::from(t as f32 * inv[i]);
                    y[a] = x[a] * angle.cos() - x[b] * angle.sin();
                    y[b] = x[b] * angle.cos() + x[a] * angle.sin();
                }
            }
        }
        y
    };
    let mut y = x.clone();
    rope::forward(&mut y, 32, 8, &cos, &sin, 0);
    close("y", &y, &f(&wide(&x)));
    let mut dx = dy.clone();
    rope::backward(&mut dx, 32, 8, &cos, &sin, 0);
    close("dx", &dx, &differences(&wide(&x), &wide(&dy), &f));
    let mut last = x[4 * 32..].to_vec();
    rope::forward(&mut last, 32, 8, &cos, &sin, 4);
    assert_eq!(last, y[4 * 32..]);
}

/// One head in f64: q, k, v concatenated, each `[t, d]`.
fn head64(x: &[f64], t: usize, d: usize, window: usize) -> Vec<f64> {
    let (q, rest) = x.split_at(t * d);
    let (k, v) = rest.split_at(t * d);
    let mut o = vec![0.0; t * d];
    for i in 0..t {
        let first = if window == 0 { 0 } else { (i + 1).saturating_sub(window) };
        let e: Vec<f64> = (first..=i)
            .map(|j| ((0..d).map(|c| q[i * d + c] * k[j * d + c]).sum::<f64>() / (d as f64).sqrt()).exp())
            .collect();
        let sum: f64 = e.iter().sum();
        for (j, e) in (first..=i).zip(e) {
            for c in 0..d {
                o[i * d + c] += e / sum * v[j * d + c];
            }
        }
    }
    o
}

#[test]
fn attention_head() {
    let mut rng = Rng::new(22);
    for (t, d, window) in [(1, 8, 0), (9, 8, 0), (23, 16, 5), (23, 16, 1)] {
        let (q, k, v, dy) = (rng.vec(t * d, 2.0), rng.vec(t * d, 2.0), rng.vec(t * d, 1.0), rng.vec(t * d, 1.0));
        let mut out = [(); 6].map(|()| vec![0.0; t * d]);
        let [qs, o, dq, dk, dv, _] = &mut out;
        let (mut e, mut p, mut ds) = (vec![7.0; t * t], vec![7.0; t * t], vec![7.0; t * t]);
        let mut rho = vec![0.0; t];
        attention::forward_head(&q, &k, &v, d, d, d, window, qs, &mut e, &mut rho, o);
        let x = wide(&[q.clone(), k.clone(), v.clone()].concat());
        close("o", o, &head64(&x, t, d, window));
        attention::backward_head(&k, &v, d, d, d, window, qs, &e, &rho, o, &dy, &mut p, &mut ds, dq, dk, dv);
        let want = differences(&x, &wide(&dy), &|x| head64(x, t, d, window));
        let got = [dq.clone(), dk.clone(), dv.clone()].concat();
        // One token, or a window of one, gives dq = dk = 0: compare the whole.
        close("dq, dk, dv", &got, &want);
    }
}

#[test]
fn attention_should_not_depend_on_what_the_mask_hides() {
    let mut rng = Rng::new(23);
    let (t, d, window) = (12, 8, 4);
    let (q, mut k, v) = (rng.vec(d, 1.0), rng.vec(t * d, 1.0), rng.vec(t * d, 1.0));
    let (mut e, mut o) = (vec![0.0; 10], vec![0.0; d]);
    let first = attention::first_key(9, window);
    assert_eq!(first, 6);
    let rho = attention::forward_row(&q, &k, &v, d, first, &mut e, &mut o);
    k[..6 * d].fill(f32::NAN);
    k[10 * d..].fill(f32::NAN);
    let mut again = vec![0.0; d];
    assert_eq!(attention::forward_row(&q, &k, &v, d, first, &mut e, &mut again), rho);
    assert_eq!(o, again);
    assert_eq!((attention::end_row(3, window, t), attention::end_row(10, window, t)), (7, t));
}

#[test]
fn swiglu() {
    let mut rng = Rng::new(24);
    let n = 64;
    let (g, u, dh) = (rng.vec(n, 6.0), rng.vec(n, 2.0), rng.vec(n, 1.0));
    let f = |x: &[f64]| -> Vec<f64> { (0..n).map(|i| x[i] / (1.0 + (-x[i]).exp()) * x[n + i]).collect() };
    let x = wide(&[g.clone(), u.clone()].concat());
    let mut h = vec![0.0; n];
    mlp::swiglu(&g, &u, &mut h);
    close("h", &h, &f(&x));
    let (mut dg, mut du) = (vec![0.0; n], vec![0.0; n]);
    mlp::swiglu_back(&g, &u, &dh, &mut dg, &mut du);
    close("dg, du", &[dg, du].concat(), &differences(&x, &wide(&dh), &f));
}

#[test]
fn lora_linear() {
    let mut rng = Rng::new(25);
    let (t, n_in, n_out, r) = (6, 24, 10, 3);
    let s = linear::lora_scale(6, 3, true);
    assert!((s - 6.0 / 3f32.sqrt()).abs() < 1e-6);
    let (x, w, bias) = (rng.vec(t * n_in, 1.0), rng.vec(n_out * n_in, 0.5), rng.vec(n_out, 1.0));
    let (a, b, dy) = (rng.vec(r * n_in, 0.4), rng.vec(n_out * r, 0.4), rng.vec(t * n_out, 1.0));
    let (w64, bias64, s64) = (wide(&w), wide(&bias), f64::from(s));
    // x, A, B concatenated.
    let f = |v: &[f64]| -> Vec<f64> {
        let (x, rest) = v.split_at(t * n_in);
        let (a, b) = rest.split_at(r * n_in);
        let mut y = vec![0.0; t * n_out];
        for i in 0..t {
            for o in 0..n_out {
                let mut sum = bias64[o];
                for c in 0..n_in {
                    let ba: f64 = (0..r).map(|j| b[o * r + j] * a[j * n_in + c]).sum();
                    sum += x[i * n_in + c] * (w64[o * n_in + c] + s64 * ba);
                }
                y[i * n_out + o] = sum;
            }
        }
        y
    };
    let all = wide(&[x.clone(), a.clone(), b.clone()].concat());
    let lora = linear::Lora { a: &a, b: &b, r, s };
    let (mut y, mut part, mut zs) = (vec![0.0; t * n_out], vec![0.0; t * n_out], vec![0.0; t * r]);
    linear::base_forward(&x, &w, Some(&bias), n_in, &mut y);
    lora.forward(&x, &mut zs, &mut part, &mut y);
    close("y", &y, &f(&all));
    let (mut dx, mut dxa, mut dz) = (vec![0.0; t * n_in], vec![0.0; t * n_in], vec![0.0; t * r]);
    let (mut da, mut db) = (vec![0.0; r * n_in], vec![0.0; n_out * r]);
    linear::base_backward(&dy, &w, n_out, &mut dx);
    lora.backward(&x, &zs, &dy, &mut dz, &mut da, &mut db);
    lora.backward_input(&dz, &mut dxa);
    basic::add(&mut dx, &dxa);
    let want = differences(&all, &wide(&dy), &f);
    close("dx", &dx, &want[..t * n_in]);
    close("dA", &da, &want[t * n_in..t * n_in + r * n_in]);
    close("dB", &db, &want[t * n_in + r * n_in..]);
}

#[test]
fn cross_entropy() {
    let mut rng = Rng::new(26);
    for n in [2, 300, 4_096] {
        let (z, y) = (rng.vec(n, 8.0), n / 3);
        let f = |z: &[f64]| vec![z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[y]];
        let mut e = vec![0.0; n];
        let (nll, inv) = loss::forward_row(&z, y, &mut e);
        let want = f(&wide(&z))[0];
        // The record-loss bound of the class.
        assert!((f64::from(nll) - want).abs() <= 1e-6 * want);
        loss::backward_row(&mut e, y, inv);
        if n < 1_000 {
            close("dz", &e, &differences(&wide(&z), &[1.0], &f));
        } else {
            assert!(e.iter().map(|x| f64::from(*x)).sum::<f64>().abs() < 1e-5);
        }
    }
    assert_eq!(loss::record(&[1.0, 2.5]), 3.5);
}

/// Largest relative error of a record's loss, as the class states it.
const RECORD_LOSS: f64 = 1e-6;

#[test]
fn record_loss_should_be_within_its_bound_over_whole_records() {
    const VOCABULARY: usize = 4_096;
    let mut rng = Rng::new(27);
    let (mut z, mut e) = (vec![0.0f32; VOCABULARY], vec![0.0f32; VOCABULARY]);
    // One block of the sum, a short one, one with a second block, and a long record with many.
    for rows in [1, 17, 257, 2_000] {
        let mut nll = Vec::with_capacity(rows);
        let mut want = 0.0f64;
        for _ in 0..rows {
            z.iter_mut().for_each(|z| *z = rng.unit() * 8.0);
            let y = rng.word() as usize % VOCABULARY;
            // Half of the labels are likely, as late in a training. The loss of one such row alone is small against the
            // last place of its logit, which bounds it instead.
            if rows > 1 && rng.word().is_multiple_of(2) {
                z[y] += 8.0;
            }
            nll.push(loss::forward_row(&z, y, &mut e).0);
            let sum: f64 = z.iter().map(|z| f64::from(*z).exp()).sum();
            want += sum.ln() - f64::from(z[y]);
        }
        let got = f64::from(loss::record(&nll));
        assert!((got - want).abs() <= RECORD_LOSS * want, "{rows} rows: {got} {want}");
    }
}

#[test]
fn gather_and_scatter() {
    let table = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let mut out = [0.0; 6];
    basic::gather(&[2, 0, 2], &table, 2, &mut out).unwrap();
    assert_eq!(out, [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
    assert!(basic::gather(&[0, 1, 3], &table, 2, &mut out).is_none());
    let mut row = [9.0; 2];
    basic::scatter_row(2, &[2, 0, 2], &[1.0, 2.0, 10.0, 20.0, 100.0, 200.0], &mut row);
    assert_eq!(row, [101.0, 202.0]);
    let mut sum = [0.0; 2];
    basic::add_to(&[1.0, -0.0], &[2.0, -0.0], &mut sum);
    assert_eq!(sum.map(f32::to_bits), [3f32.to_bits(), 0]);
    basic::scale(2.0, &[1.0, -0.0], &mut sum);
    assert_eq!(sum.map(f32::to_bits), [2f32.to_bits(), 0]);
}
