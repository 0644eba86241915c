//! The generated code is what the `.proto` files say. No protoc is needed.
//!
//! After a change of theirs, `GENERATE=1 cargo test --test generated` writes it anew.

#![allow(clippy::unwrap_used, reason = "so that a test says where it failed")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use prost::Message;
use prost_types::FileDescriptorSet;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Code that is made of `.proto` files.
struct Generated {
    /// The folder that they are in.
    root: &'static str,
    sources: &'static [&'static str],
    /// Where the code is.
    into: &'static str,
    /// Whether its clients connect by themselves.
    has_transport: bool,
}

const LIBRARY: Generated = Generated {
    root: "proto",
    sources: &[
        "google/api/httpbody.proto",
        "google/longrunning/operations.proto",
        "tower_respond_async/v1/operation_metadata.proto",
    ],
    into: "src/longrunning/generated",
    has_transport: false,
};

const EXAMPLE: Generated = Generated {
    root: "examples/grpc/proto",
    sources: &["primes/v1/primes.proto"],
    into: "examples/grpc/generated",
    has_transport: true,
};

const DESCRIPTORS: &str = "file_descriptor_set.bin";

impl Generated {
    fn write(&self, into: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let mut files = protox::Compiler::new([Path::new(ROOT).join(self.root)])?;
        files.include_imports(true).include_source_info(false).open_files(self.sources)?;
        fs::write(into.join(DESCRIPTORS), files.encode_file_descriptor_set())?;

        let mut files = FileDescriptorSet::decode(&*files.include_source_info(true).encode_file_descriptor_set())?;
        // No code is made of options, nor of what is known to other crates.
        files.file.retain(|file| !file.name().starts_with("google/api/") || self.sources.contains(&file.name()));
        let mut messages = tonic_prost_build::Config::new();
        messages.enable_type_names().type_name_domain(["."], "type.googleapis.com");
        tonic_prost_build::configure()
            .out_dir(into)
            .build_transport(self.has_transport)
            .extern_path(".google.rpc", "::tonic_types::pb")
            // They may grow.
            .type_attribute(".tower_respond_async.v1", "#[non_exhaustive]")
            .compile_fds_with_config(files, messages)?;
        Ok(())
    }

    /// Compares what is committed with what is made now.
    fn has_not_drifted(&self) {
        let committed = Path::new(ROOT).join(self.into);
        if env::var_os("GENERATE").is_some() {
            self.write(&committed).unwrap();
        }
        let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.into);
        fs::create_dir_all(&fresh).unwrap();
        self.write(&fresh).unwrap();

        let (committed, fresh) = (read(&committed), read(&fresh));
        let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&committed), names(&fresh));
        for ((name, committed), (_, fresh)) in committed.iter().zip(&fresh) {
            assert!(committed == fresh, "{name} has drifted: GENERATE=1 cargo test --test generated writes it anew");
        }
    }
}

/// The names of the files in a directory and what they hold, but for those that are written by hand.
fn read(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let generated = |path: &PathBuf| path.file_name().is_some_and(|name| name != "mod.rs");
    let mut files: Vec<_> = paths
        .filter(generated)
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn the_generated_code_has_not_drifted() {
    LIBRARY.has_not_drifted();
}

#[test]
fn the_generated_code_of_the_example_has_not_drifted() {
    EXAMPLE.has_not_drifted();
}
