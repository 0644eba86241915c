//! The example's client.

use std::process::Command;

use crate::{
    program::Program,
    server::{Server, example},
};

/// Runs a client to its end. Gives whether it has succeeded, what it has printed and what it has complained of.
fn run(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = example().args(["client"]).args(arguments).args(["--server", &server.url]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn it_prints_what_it_has_found() {
    let (code, printed, _) = run(&Server::start(), &["114"]);
    assert!(printed.starts_with("operations/"), "{printed}");
    assert!(printed.ends_with("found: 492113 and 492227, which are 114 apart\n"), "{printed}");
    assert_eq!(code, Some(0));
}

#[test]
fn it_prints_why_nothing_is_found() {
    let (code, _, complaint) = run(&Server::start(), &["100", "--to", "100000"]);
    assert_eq!(complaint, "NotFound: there is no gap of 100: the longest is 72\n");
    assert_eq!(code, Some(1));

    let (code, printed, complaint) = run(&Server::start(), &["100", "--from", "7", "--to", "6"]);
    assert_eq!(printed, "", "no operation has begun");
    assert!(complaint.contains("from: expected at most 6"), "{complaint}");
    assert_eq!(code, Some(1));
}

#[test]
fn it_shows_progress_and_cancels_at_an_interrupt() {
    let server = Server::start();
    let mut client = Program::start(example().args(["client", "1000", "--server", &server.url]));
    let operation = client.line_after("operations/");
    assert!(operation.ends_with(" has begun"), "{operation}");
    assert!(client.line_after("% ").contains("the longest is"));
    let interrupted = Command::new("kill").args(["-INT", &client.child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert!(client.line_after("operations/").ends_with("is being canceled"));
    assert_eq!(client.child.wait().unwrap().code(), Some(1), "it has not found anything");
}

#[test]
fn wrong_arguments_are_named() {
    for (arguments, complaint) in [
        (&["client"][..], "LENGTH: a value is missing"),
        (&["client", "long"], "LENGTH: expected a number, found \"long\""),
        (&["client", "100", "--until", "7"], "--until: not an option"),
        (&["--listen", "here"], "--listen: expected an address such as 127.0.0.1:50051, found \"here\""),
        (&["serve"], "serve: not an option"),
    ] {
        let output = example().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let complaints = String::from_utf8(output.stderr).unwrap();
        assert!(complaints.starts_with(complaint), "{complaints}");
        assert!(complaints.contains("usage: grpc"));
    }
}
