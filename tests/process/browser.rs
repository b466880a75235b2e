//! A web page in the operator's browser cannot charge anybody, though it can reach the service: tried in headless Chromium.
//!
//! All names lead the browser to a relay, which serves the pages of the attack, and passes on what they ask of the service as it came. So a
//! name can change where it leads between a page and its calls, as in DNS rebinding, and what reached the service is known.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{open_acme, start, usable};
use crate::service::PATIENCE;

/// Tries each way that a page has to send a request, then tells the relay what it saw.
const PAGE: &str = include_str!("browser/page.html");

/// A request that reached the service: its method, its headers `host` and `origin`, and the status of the answer.
#[derive(Clone, Debug)]
struct Reached {
    method: String,
    host: String,
    origin: String,
    status: u16,
}

struct Relay {
    address: SocketAddr,
    reached: Arc<Mutex<Vec<Reached>>>,
    seen: Receiver<String>,
}

impl Relay {
    fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, reached, (tell, seen)) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())), channel());
        let kept = Arc::clone(&reached);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (kept, tell) = (Arc::clone(&kept), tell.clone());
                std::thread::spawn(move || relay(connection, service, &kept, &tell));
            }
        });
        Self { address, reached, seen }
    }
}

/// Handles the one request of a connection. One that is none, as of a connection on spec, is dropped.
fn relay(browser: TcpStream, service: SocketAddr, reached: &Mutex<Vec<Reached>>, tell: &Sender<String>) -> Option<()> {
    browser.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(&browser);
    let (mut first, mut headers, mut length) = (String::new(), Vec::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        }
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?);
    let of = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default();
    let answer = if path.starts_with("/page") {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close";
        format!("{head}\r\ncontent-length: {}\r\n\r\n{PAGE}", PAGE.len()).into_bytes()
    } else if path == "/seen" {
        tell.send(String::from_utf8(body).ok()?).ok()?;
        b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec()
    } else if path.starts_with("/v1/") {
        let mut onward = TcpStream::connect(service).ok()?;
        let passed_on = headers.iter().filter(|(name, _)| name != "connection").map(|(name, value)| format!("{name}: {value}\r\n"));
        let head: String = std::iter::once(first.clone()).chain(passed_on).collect();
        onward.write_all(&[head.as_bytes(), b"connection: close\r\n\r\n", &body].concat()).ok()?;
        let mut answer = Vec::new();
        onward.read_to_end(&mut answer).ok()?;
        let status = String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()?;
        reached.lock().unwrap().push(Reached { method, host: of("host"), origin: of("origin"), status });
        answer
    } else {
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()
    };
    (&browser).write_all(&answer).ok()
}

/// Chromium on a page, ended with this value.
struct Browser(Child, #[allow(dead_code, reason = "kept for as long as the browser runs")] tempfile::TempDir);

impl Browser {
    fn open(page: &str, relay: SocketAddr) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let start = |program: &str| {
            Command::new(program)
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"])
                .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server"])
                .arg("--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable")
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .arg(format!("--host-resolver-rules=MAP * {relay}"))
                .args(["--remote-debugging-port=0", page])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        };
        let child = start("chromium-headless-shell").or_else(|_| start("chromium"));
        Self(child.expect("no Chromium: tests/run installs it"), profile)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Opens the page at an origin, which then calls the service by a URL. Returns what the page saw, and what reached the service.
fn attack(service: SocketAddr, origin: &str, url: &str) -> (Value, Vec<Reached>) {
    let relay = Relay::to(service);
    let _browser = Browser::open(&format!("{origin}/page?{url}"), relay.address);
    let seen = relay.seen.recv_timeout(Duration::from_secs(60)).expect("the page tells what it saw");
    let reached = relay.reached.lock().unwrap().clone();
    println!("{origin} at {url}: {seen}\n{reached:#?}");
    (serde_json::from_str(&seen).unwrap(), reached)
}

#[test]
fn no_page_of_another_site_charges_anybody_and_one_of_its_own_does() {
    let directory = tempfile::tempdir().unwrap();
    let (_service, url) = start(&directory);
    let address: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
    open_acme(&url);

    // Of another site; and of a site whose name leads to this machine by now (DNS rebinding), so that to the browser it is the same site.
    for (origin, called) in [
        ("http://foreign.example:8080".to_owned(), url.clone()),
        ("http://foreign.example:8080".to_owned(), format!("http://localhost:{}", address.port())),
        (format!("http://rebound.example:{}", address.port()), format!("http://rebound.example:{}", address.port())),
    ] {
        let (seen, reached) = attack(address, &origin, &called);
        assert!(seen.as_object().unwrap().values().all(|outcome| !outcome.as_str().unwrap().contains("200")), "{seen}");
        // It was not the browser that held them back, but for those that it asks about before.
        assert!(reached.len() >= 5, "{reached:#?}");
        assert!(reached.iter().any(|request| request.method == "POST"), "{reached:#?}");
        for request in &reached {
            assert!([403, 405, 415].contains(&request.status), "{request:?}");
        }
        assert_eq!(usable(&url), "20.00", "{origin}");
    }

    // The same page as the service's own charges once for each of its requests as JSON: so the page does try.
    let own = format!("http://localhost:{}", address.port());
    let (seen, reached) = attack(address, &own, &own);
    assert_eq!(seen["fetch as JSON"], json!("200"), "{seen}");
    assert!(reached.iter().any(|request| request.status == 200 && request.origin == own && own.ends_with(&request.host)), "{reached:#?}");
    assert_ne!(usable(&url), "20.00");
}
