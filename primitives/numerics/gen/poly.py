#!/usr/bin/env python3
"""Minimax coefficients of `exp` and `ln` in the class cpu-f32/1.

Remez exchange at 200 bits with mpmath; the coefficients are rounded to
binary32 and printed as bit patterns, lowest power first, as they stand in
`src/func.rs`.

    python3 gen/poly.py

exp: exp(r) = 1 + r q(r), q of degree 5, |r| <= ln 2 / 2 (widened by the
     rounding of n), smallest relative error of exp(r).
ln:  ln(1+t) = t - t^2/2 + t^3 P(t), P of degree 7, sqrt(1/2) <= 1+t <= sqrt 2,
     smallest relative error of ln(1+t).

Both weights vanish at 0, where the polynomial's error cannot matter, so the
reference points keep clear of 0: there the Haar condition holds.
"""

import struct

import mpmath as mp

mp.mp.prec = 200
GRID = 3000


def remez(f, w, a, b, degree, rounds=30):
    """Coefficients (lowest first) of the polynomial p of `degree` that
    minimises max |w (p - f)| over [a, b] without a neighbourhood of 0."""
    n = degree + 2
    keep = (b - a) / 1000
    grid = [a + (b - a) * mp.mpf(i) / GRID for i in range(GRID + 1)]
    grid = [x for x in grid if abs(x) > keep]
    fs = [f(x) for x in grid]
    ws = [w(x) for x in grid]
    ref = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * i / (n - 1)) for i in range(n)]
    ref = [x if abs(x) > keep else 2 * keep for x in ref]
    coeffs, level = None, None
    for _ in range(rounds):
        m = mp.matrix(n, n)
        v = mp.matrix(n, 1)
        for i, x in enumerate(ref):
            for k in range(degree + 1):
                m[i, k] = x**k
            m[i, n - 1] = (-1) ** i / w(x)
            v[i] = f(x)
        sol = mp.lu_solve(m, v)
        coeffs = [sol[k] for k in range(degree + 1)]
        level = abs(sol[n - 1])
        err = [wx * (mp.polyval(coeffs[::-1], x) - fx) for x, fx, wx in zip(grid, fs, ws)]
        # One extremum per run of equal sign.
        runs = []
        for x, e in zip(grid, err):
            if runs and (runs[-1][1] > 0) == (e > 0):
                if abs(e) > abs(runs[-1][1]):
                    runs[-1] = (x, e)
            else:
                runs.append((x, e))
        while len(runs) > n:
            runs.pop(0 if abs(runs[0][1]) < abs(runs[-1][1]) else -1)
        if len(runs) < n:
            break
        worst = max(abs(e) for _, e in runs)
        ref = [x for x, _ in runs]
        if worst < level * (1 + mp.mpf(10) ** -4):
            break
    return coeffs, level


def bits(x):
    """binary32 bit pattern of x, rounded once to nearest even."""
    mant, exp = mp.frexp(x)
    scaled = int(mp.nint(mant * 2**24))  # nint rounds half to even
    return struct.unpack("<I", struct.pack("<f", float(mp.ldexp(scaled, exp - 24))))[0]


def show(name, coeffs, level):
    print(f"{name}: weighted error 2^{float(mp.log(level, 2)):.2f}")
    for k, c in enumerate(coeffs):
        print(f"    0x{bits(c):08x}, // x^{k}: {mp.nstr(c, 12)}")


def main():
    half = mp.log(2) / 2 * (1 + mp.mpf(2) ** -14)
    show("EXP", *remez(
        lambda r: mp.expm1(r) / r,
        lambda r: abs(r) / mp.exp(r),
        -half, half, 5))
    show("LN", *remez(
        lambda t: (mp.log1p(t) - t + t * t / 2) / t**3,
        lambda t: abs(t) ** 3 / abs(mp.log1p(t)),
        mp.sqrt(mp.mpf(1) / 2) - 1, mp.sqrt(2) - 1, 7))
    l1 = mp.mpf(355) / 512
    print(f"LOG2E 0x{bits(1 / mp.log(2)):08x}")
    print(f"L1    0x{bits(l1):08x}")
    print(f"L2    0x{bits(mp.log(2) - l1):08x}")


if __name__ == "__main__":
    main()
