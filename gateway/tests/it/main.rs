//! The adapter from outside: the vectors, the laws of discovery, and its size.

mod properties;
mod scale;
mod vectors;
