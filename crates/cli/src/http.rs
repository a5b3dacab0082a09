//! One HTTP request to the admin API, blocking: all that `status`, `switch` and `top` need of a client.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);
/// The status of 1,000 slots is about 100 KiB.
const LARGEST: u64 = 64 << 20;

/// The body of a 200 answer; anything else in words.
pub(crate) fn get(address: &str, path: &str) -> Result<String, String> {
    get_within(address, path, ANSWER)
}

/// The same, from a server that is never silent for longer than this.
pub(crate) fn get_within(address: &str, path: &str, silence: Duration) -> Result<String, String> {
    match request(address, "GET", path, "", silence)? {
        (200, body) => Ok(body),
        (code, body) => Err(format!("{address} answered {code} to GET {path}: {}", body.trim())),
    }
}

/// Code and body of the answer to a POST.
pub(crate) fn post(address: &str, path: &str, body: &str) -> Result<(u16, String), String> {
    request(address, "POST", path, body, ANSWER)
}

/// What to do about an admin API that does not answer.
pub(crate) fn unreachable(address: &str, error: &str) -> String {
    format!(
        "no admin API at {address}: {error}; start `pointsman run`, or name its `admin.listen` with --admin"
    )
}

fn request(
    address: &str,
    method: &str,
    path: &str,
    body: &str,
    silence: Duration,
) -> Result<(u16, String), String> {
    let answer = ask(address, method, path, body, silence)
        .map_err(|error| unreachable(address, &error.to_string()))?;
    let stranger = || format!("{address} does not speak HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(stranger)?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(stranger)?;
    Ok((code, body.to_owned()))
}

fn ask(address: &str, method: &str, path: &str, body: &str, silence: Duration) -> std::io::Result<String> {
    let mut stream = connect(address)?;
    stream.set_read_timeout(Some(silence))?;
    stream.set_write_timeout(Some(silence))?;
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{length}\r\n{body}");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(LARGEST).read_to_string(&mut answer)?;
    Ok(answer)
}

/// The first address of the name that accepts.
fn connect(address: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that gives one answer to one request.
    fn serve(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket").to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 1024];
            let read = stream.read(&mut request).expect("a request");
            assert!(request[..read].starts_with(b"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(answer.as_bytes()).expect("an open connection");
        });
        address
    }

    #[test]
    fn an_answer_gives_its_body_and_anything_else_is_said_in_words() {
        let address = serve("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        assert_eq!(get(&address, "/v1/status"), Ok("{}".into()));

        let address = serve("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"error\":\"stopping\"}\n");
        let expected = format!("{address} answered 503 to GET /v1/status: {{\"error\":\"stopping\"}}");
        assert_eq!(get(&address, "/v1/status"), Err(expected));

        let address = serve("SSH-2.0");
        assert_eq!(get(&address, "/v1/status"), Err(format!("{address} does not speak HTTP")));

        let nobody =
            TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").to_string();
        let error = get(&nobody, "/v1/status").expect_err("nobody listens");
        assert!(error.starts_with(&format!("no admin API at {nobody}: Connection refused")), "{error}");
    }
}
