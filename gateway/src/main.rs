//! Services and EndpointSlices as gateway clusters, from the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubedex_gateway::cli::run(std::env::args_os())
}
