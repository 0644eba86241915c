//! What the README shows is what there is.

const README: &str = include_str!("../README.md");

#[test]
fn the_quick_start_is_the_minimal_example_to_the_letter() {
    let example = include_str!("../examples/minimal.rs");
    assert!(README.contains(&format!("```rust,no_run\n{example}```")));
}

#[test]
fn the_client_in_python_is_the_examples_to_the_letter() {
    let client = include_str!("../examples/grpc/client.py");
    assert!(README.contains(&format!("```python\n{client}```")));
}
