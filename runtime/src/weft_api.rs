//! The interface of Weft's own queries, served beside the standard ones.

#![deny(missing_docs)]
