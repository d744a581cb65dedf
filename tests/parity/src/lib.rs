//! Parity tests of Weft: see `tests/`.
