//! `run` as a user runs it: the real program, over sockets and in real time, each wait bounded.

mod admin;
mod cluster;
mod leader;
mod process;
mod reload;
mod start;
