//! Services and EndpointSlices as gateway clusters.

fn main() {}
