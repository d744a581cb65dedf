#!/usr/bin/env python3
"""Rotary frequencies as bit patterns: the reference of `src/inv_freq.rs`.

    python3 gen/inv_freq.py > ../../fixtures/numerics/inv_freq.txt

inv_freq_i = RN32(1 / RN32(theta^(2i/d))) with the power at 240 bits, then
linear or Llama-3 scaling in f32, in the order of transformers'
`_compute_llama3_parameters`. Each line: theta, d, scaling, its parameters,
then d/2 bit patterns.
"""

import math
import struct

import mpmath as mp

mp.mp.prec = 240


def f32(x: float) -> float:
    """x rounded to binary32. For + - * / of binary32 numbers done in f64 this
    second rounding changes nothing (53 >= 2*24 + 2)."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


def bits(x: float) -> str:
    return struct.pack(">f", x).hex()


def round32(x: mp.mpf) -> float:
    mant, exp = mp.frexp(x)
    return float(mp.ldexp(int(mp.nint(mant * 2**24)), exp - 24))


def default(theta, d):
    powers = [round32(mp.power(mp.mpf(theta), mp.mpf(2 * i) / d)) for i in range(d // 2)]
    return [f32(1.0 / p) for p in powers]


def linear(inv, factor):
    return [f32(x / f32(factor)) for x in inv]


def llama3(inv, factor, low, high, context):
    low_wavelen, high_wavelen = f32(context / low), f32(context / high)
    out = []
    for x in inv:
        wavelen = f32(f32(1.0 / x) * f32(2 * math.pi))
        kept = f32(x / f32(factor)) if wavelen > low_wavelen else x
        if not wavelen < high_wavelen and not wavelen > low_wavelen:
            s = f32(f32(1.0 / wavelen) * f32(context))
            s = f32(f32(s - f32(low)) / f32(high - low))
            a = f32(f32(f32(1.0 - s) * kept) / f32(factor))
            kept = f32(a + f32(s * kept))
        out.append(kept)
    return out


def main():
    for theta, d in [(10000.0, 32), (10000.0, 64), (10000.0, 128), (100000.0, 64),
                     (500000.0, 64), (500000.0, 128), (1000000.0, 64), (1000000.0, 128),
                     (5000000.0, 128), (10000.5, 80), (1.0, 4), (8000000.0, 256)]:
        inv = default(theta, d)
        print(theta, d, "none", *map(bits, inv))
        if theta == 10000.0:
            print(theta, d, "linear 4.0", *map(bits, linear(inv, 4.0)))
            print(theta, d, "linear 2.5", *map(bits, linear(inv, 2.5)))
        if theta == 500000.0:
            print(theta, d, "llama3 8.0 1.0 4.0 8192", *map(bits, llama3(inv, 8.0, 1.0, 4.0, 8192)))
            print(theta, d, "llama3 32.0 1.0 4.0 8192", *map(bits, llama3(inv, 32.0, 1.0, 4.0, 8192)))


if __name__ == "__main__":
    main()
