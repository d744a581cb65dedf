//! End-to-end tests of Weft: see `tests/`.
