//! Python programs that use Google's client libraries as they are.

use crate::{environment, server::Server};

#[test]
fn googles_client_libraries_follow_operations() {
    let server = Server::start();
    let address = server.url.trim_start_matches("http://");
    let (has_succeeded, printed) = environment::run("tests/grpc_programs/client.py", &[address]);
    assert!(has_succeeded, "{printed}");
    assert!(printed.contains("Ran 13 tests"), "{printed}");
}

#[test]
fn the_client_of_the_readme_finds_a_gap() {
    let server = Server::start();
    let address = server.url.trim_start_matches("http://");
    let (has_succeeded, printed) = environment::run("examples/grpc/client.py", &[address, "114"]);
    assert!(has_succeeded, "{printed}");
    assert!(printed.ends_with("492113 and 492227\n"), "{printed}");
}
