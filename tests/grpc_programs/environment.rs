//! A Python that has Google's client libraries, for the tests alone. It is kept beside what cargo builds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The interpreter, with the messages of the example and of this crate as modules.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let python = environment();
    generate(&python);
    python
});

/// Runs a Python program with these arguments. Gives whether it has succeeded and what it has printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(&*PYTHON)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(program))
        .args(arguments)
        .env("PYTHONPATH", modules())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

/// A virtual environment with what is required. One that was made before for the same is used again.
fn environment() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let (python, made_for) = (folder.join("bin/python"), folder.join("made_for.txt"));
    if fs::read_to_string(&made_for).is_ok_and(|made_for| made_for == REQUIREMENTS) {
        return python;
    }
    let folder = folder.to_str().unwrap();
    succeed(Command::new("python3").args(["-m", "venv", "--clear", folder]));
    let requirements = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/grpc_programs/requirements.txt");
    succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement", requirements]));
    fs::write(made_for, REQUIREMENTS).unwrap();
    python
}

/// Makes Python modules of the messages.
fn generate(python: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = modules();
    fs::create_dir_all(&modules).unwrap();
    for (folder, file) in [
        ("examples/grpc/proto", "primes/v1/primes.proto"),
        ("proto", "tower_respond_async/v1/operation_metadata.proto"),
    ] {
        let mut protoc = Command::new(python);
        protoc.args(["-m", "grpc_tools.protoc", "--proto_path"]).arg(root.join(folder));
        succeed(protoc.arg("--python_out").arg(&modules).arg(file));
    }
}

fn modules() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("python_modules")
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} does not start: {error}. Debian has it in the packages python3 and python3-venv")
    });
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (printed, complaint) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{command:?} has failed; a virtual environment needs Debian's package python3-venv:\n{printed}{complaint}"
    );
}
