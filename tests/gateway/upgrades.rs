//! What is more than one request and one reply.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{backend::Backend, process::Gateway};

#[tokio::test]
async fn a_web_socket_is_carried_both_ways() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "");
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    let head = "GET /socket HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();

    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        response.push(stream.read_u8().await.unwrap());
    }
    let response = String::from_utf8(response).unwrap();
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    assert!(response.contains("upgrade: websocket\r\n"), "{response}");

    for message in [b"ping", b"pong"] {
        stream.write_all(message).await.unwrap();
        let mut echoed = [0; 4];
        stream.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed, message);
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn tunnels_are_refused() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "");
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    stream.write_all(b"CONNECT example.com:80 HTTP/1.1\r\nhost: example.com:80\r\n\r\n").await.unwrap();
    let mut start = [0; 13];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 501 ");
}
