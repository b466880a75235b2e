//! `--max-connection-age`: connections end with GOAWAY, one after another; calls go on without an error; streams are cut after the grace.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::clients::script;
use crate::service::{PATIENCE, Service};
use crate::support::temporary_folder;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const GOAWAY: u8 = 7;

/// How old a connection was when it got GOAWAY, and with which code.
fn goaway(address: SocketAddr) -> (Duration, u32) {
    let opened = Instant::now();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(PREFACE).unwrap();
    socket.write_all(&EMPTY_SETTINGS).unwrap();
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap()];
        socket.read_exact(&mut payload).unwrap();
        if head[3] == GOAWAY {
            return (opened.elapsed(), u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
    }
}

#[test]
fn connections_are_made_anew_after_their_age_and_no_call_fails() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let age = ["--max-connection-age", "2s", "--max-connection-age-grace", "1s"];
    let service = Service::start(&[&["--store", store.to_str().unwrap(), "--lanes", "1"], &age[..]].concat(), &[]);
    let address = service.address;
    let raw: Vec<_> = (0..8).map(|_| std::thread::spawn(move || goaway(address))).collect();
    let calls = script("connection_age.py", &[&address.to_string(), "2.8"]).output().unwrap();
    assert!(calls.status.success(), "{}", String::from_utf8_lossy(&calls.stderr));
    let mut ages = Vec::new();
    for thread in raw {
        let (age, code) = thread.join().unwrap();
        assert!(age >= Duration::from_millis(1_800), "{age:?}");
        assert_eq!(code, 0, "NO_ERROR");
        ages.push(age);
    }
    // 1.8 to 2.2 s: they do not all come back at the same moment.
    let (first, last) = (ages.iter().min().unwrap(), ages.iter().max().unwrap());
    assert!(*last - *first >= Duration::from_millis(200), "{ages:?}");
    assert!(service.stop().success());
}
