//! The example.

use std::{path::PathBuf, process::Command, sync::LazyLock};

use crate::program::{Program, build_example};

static PATH: LazyLock<PathBuf> = LazyLock::new(|| build_example("grpc"));

/// The server, on a free port. It does not outlive the test.
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut program = Program::start(example().args(["--listen", "127.0.0.1:0"]));
        let url = program.line_after("listening on ");
        Self { program, url }
    }
}

/// The example's program.
pub(crate) fn example() -> Command {
    Command::new(&*PATH)
}
