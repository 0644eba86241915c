//! Programs that a test starts, this crate's examples among them.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A program that was started by a test, and does not outlive it.
pub(crate) struct Program {
    pub(crate) child: Child,
    /// Kept open, so that the program can go on printing.
    output: BufReader<ChildStdout>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        Self { child, output }
    }

    /// Reads what the program prints, up to the line that has `before` in it; gives what follows there.
    pub(crate) fn line_after(&mut self, before: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("lines of text") > 0 {
            if let Some((_, after)) = line.split_once(before) {
                return after.trim().to_owned();
            }
            line.clear();
        }
        panic!("the program ended before it printed {before:?}");
    }

    pub(crate) fn kill(&mut self) {
        // It fails only when the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Builds an example as the test itself was built, which costs nothing when it is up to date. Gives its path.
pub(crate) fn build_example(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the test has a path");
    let profile = test.ancestors().nth(2).expect("target/{profile}/deps/test");
    let target = profile.parent().expect("target/{profile}");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--all-features", "--example", name, "--target-dir"])
        .arg(target);
    if profile.file_name() == Some(OsStr::new("release")) {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo runs").success(), "the example {name} does not build");
    profile.join("examples").join(name).with_extension(env::consts::EXE_EXTENSION)
}
