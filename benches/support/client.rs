//! A client over one bare socket that sends one request after the other.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// What has arrived and is not read yet.
    arrived: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, arrived: Vec::new() }
    }

    /// Sends a request. `headers` are whole lines.
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) {
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        self.stream.write_all(request.as_bytes()).unwrap();
    }

    /// Reads a whole response and its body, whose length must be said.
    pub(crate) fn receive(&mut self) -> Answer {
        let answer = self.receive_head();
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        self.receive_exactly(length);
        answer
    }

    pub(crate) fn receive_exactly(&mut self, length: usize) {
        while self.arrived.len() < length {
            self.wait();
        }
        self.arrived.drain(..length);
    }

    /// Reads the head of a response.
    pub(crate) fn receive_head(&mut self) -> Answer {
        let head = self.receive_until(b"\r\n\r\n");
        let head = String::from_utf8(head).unwrap();
        Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head }
    }

    /// Reads until after `end`.
    pub(crate) fn receive_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(place) = self.arrived.windows(end.len()).position(|window| window == end) {
                return self.arrived.drain(..place + end.len()).collect();
            }
            self.wait();
        }
    }

    /// Waits for more to arrive, unless something has.
    pub(crate) fn wake(&mut self) {
        if self.arrived.is_empty() {
            self.wait();
        }
    }

    fn wait(&mut self) {
        let mut more = [0; 4096];
        let count = self.stream.read(&mut more).unwrap();
        assert_ne!(count, 0, "the server hung up after {:?}", String::from_utf8_lossy(&self.arrived));
        self.arrived.extend_from_slice(&more[..count]);
    }
}

impl Answer {
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value).next()
    }
}
