//! Rotary frequencies: RN32(1 ÷ RN32(θ^(2i/d))) with the power rounded
//! exactly, then the scaling of the model's configuration in f32.

use alloc::{vec, vec::Vec};
use core::cmp::Ordering;

/// A natural number, 32-bit limbs, low first, without leading zero limbs,
/// times 2^exp.
#[derive(Clone, Debug)]
struct Big {
    limbs: Vec<u32>,
    exp: i64,
}

impl Big {
    fn new(m: u64, exp: i64) -> Self {
        let tz = if m == 0 { 0 } else { m.trailing_zeros() };
        let m = m >> tz;
        let mut limbs = vec![m as u32, (m >> 32) as u32];
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        Self { limbs, exp: exp + i64::from(tz) }
    }

    fn mul(&self, other: &Self) -> Self {
        let mut limbs = vec![0u32; self.limbs.len() + other.limbs.len()];
        for (i, a) in self.limbs.iter().enumerate() {
            let mut carry = 0u64;
            for (j, b) in other.limbs.iter().enumerate() {
                let x = u64::from(*a) * u64::from(*b) + u64::from(limbs[i + j]) + carry;
                limbs[i + j] = x as u32;
                carry = x >> 32;
            }
            limbs[i + other.limbs.len()] = carry as u32;
        }
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        Self { limbs, exp: self.exp + other.exp }
    }

    fn pow(&self, n: u32) -> Self {
        let mut y = Self::new(1, 0);
        for bit in (0..32 - n.leading_zeros()).rev() {
            y = y.mul(&y);
            if n >> bit & 1 == 1 {
                y = y.mul(self);
            }
        }
        y
    }

    /// One past the exponent of the highest bit.
    fn top(&self) -> i64 {
        let zeros = self.limbs.last().map_or(0, |x| x.leading_zeros());
        self.exp + self.limbs.len() as i64 * 32 - i64::from(zeros)
    }

    /// Bits `at..at + 32` of the value, counted from 2^0.
    fn window(&self, at: i64) -> u32 {
        let limb = |i: i64| usize::try_from(i).ok().and_then(|i| self.limbs.get(i)).copied().unwrap_or(0);
        let at = at - self.exp;
        let (i, shift) = (at.div_euclid(32), at.rem_euclid(32));
        ((u64::from(limb(i)) | u64::from(limb(i + 1)) << 32) >> shift) as u32
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let top = self.top();
        match (self.limbs.is_empty(), other.limbs.is_empty()) {
            (false, false) => {}
            (a, b) => return b.cmp(&a),
        }
        if top != other.top() {
            return top.cmp(&other.top());
        }
        let end = self.exp.min(other.exp);
        let mut at = top - 32;
        loop {
            match self.window(at).cmp(&other.window(at)) {
                Ordering::Equal if at > end => at -= 32,
                order => return order,
            }
        }
    }
}

/// (mantissa, exponent) of a positive normal or subnormal f64.
fn parts(x: f64) -> (u64, i64) {
    let bits = x.to_bits();
    let field = (bits >> 52 & 0x7ff) as i64;
    let m = bits & 0x000f_ffff_ffff_ffff;
    if field == 0 {
        (m, -1074)
    } else {
        (m | 1 << 52, field - 1075)
    }
}

/// RN32(θ^(p/q)) for θ ≥ 1 and 0 ≤ p < q: the nearest f32 y, decided by
/// comparing y^q with θ^p in integers. The midpoint of two f32 is compared the
/// same way, so the result is correctly rounded, whatever the number of digits
/// this takes.
fn root_power(theta: f64, p: u32, q: u32) -> f32 {
    let (m, e) = parts(theta);
    let goal = Big::new(m, e).pow(p);
    let not_above = |x: f64| {
        let (m, e) = parts(x);
        Big::new(m, e).pow(q).cmp(&goal)
    };
    // Greatest f32 with y^q ≤ θ^p; 1 ≤ y ≤ θ. Bits of positive f32 are ordered.
    let (mut low, mut high) = (1.0f32.to_bits(), f32::INFINITY.to_bits());
    while high - low > 1 {
        let mid = low + (high - low) / 2;
        if not_above(f64::from(f32::from_bits(mid))) == Ordering::Greater {
            high = mid;
        } else {
            low = mid;
        }
    }
    let y = f64::from(f32::from_bits(low));
    let ulp = f64::from(f32::from_bits((low & 0x7f80_0000) - (23 << 23)));
    match not_above(y + ulp / 2.0) {
        Ordering::Less => f32::from_bits(low + 1),
        Ordering::Equal => f32::from_bits(low + (low & 1)),
        Ordering::Greater => f32::from_bits(low),
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}

/// inv_freq_i = RN32(1 ÷ RN32(θ^(2i/d))), i = 0…d/2−1. `None` unless
/// 1 ≤ θ ≤ 2^64 is finite and d is even, 2…1,024.
#[must_use]
pub fn default(theta: f64, d: u32) -> Option<Vec<f32>> {
    let in_range = (1.0..=18_446_744_073_709_551_616.0).contains(&theta);
    if !in_range || !d.is_multiple_of(2) || !(2..=1024).contains(&d) {
        return None;
    }
    Some(
        (0..d / 2)
            .map(|i| {
                let k = gcd(i, d / 2);
                1.0 / root_power(theta, i / k, d / 2 / k)
            })
            .collect(),
    )
}

/// Linear scaling: inv_freq ÷ RN32(factor).
pub fn scale_linear(inv_freq: &mut [f32], factor: f64) {
    for x in inv_freq {
        *x /= factor as f32;
    }
}

/// The parameters of Llama-3 scaling, as configuration files give them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3 {
    /// `factor`.
    pub factor: f64,
    /// `low_freq_factor`.
    pub low_freq_factor: f64,
    /// `high_freq_factor`.
    pub high_freq_factor: f64,
    /// `original_max_position_embeddings`.
    pub original_context: u32,
}

/// Llama-3 scaling in f32, in the order of transformers'
/// `_compute_llama3_parameters`. Python scalars are f64 until they meet a
/// tensor; `scalar / tensor` is torch's `reciprocal() * scalar`.
pub fn scale_llama3(inv_freq: &mut [f32], p: &Llama3) {
    let context = f64::from(p.original_context);
    let low_wavelen = (context / p.low_freq_factor) as f32;
    let high_wavelen = (context / p.high_freq_factor) as f32;
    let factor = p.factor as f32;
    let span = (p.high_freq_factor - p.low_freq_factor) as f32;
    for x in inv_freq {
        let wavelen = (1.0 / *x) * (2.0 * core::f64::consts::PI) as f32;
        let kept = if wavelen > low_wavelen { *x / factor } else { *x };
        let between = (high_wavelen..=low_wavelen).contains(&wavelen);
        *x = if between {
            let share = ((1.0 / wavelen) * context as f32 - p.low_freq_factor as f32) / span;
            (1.0 - share) * kept / factor + share * kept
        } else {
            kept
        };
    }
}
