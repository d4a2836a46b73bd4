//! Compiles the .proto files without an installed `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let files = ["distributor.proto", "admin.proto", "raft.proto", "peers.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure()
        .bytes(".")
        // The largest kind, and rare: every item of a frame is as large as the largest.
        .boxed(".ha.v1.UpstreamItem.item.open")
        .compile_fds(descriptors)?;
    Ok(())
}
