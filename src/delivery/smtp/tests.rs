//! A server that ends the conversation at each stage: what must be known of the mail then.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;

/// Where the server leaves, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Greeting,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Body,
    End,
    Nowhere,
}

/// Serves one connection: replies to all before that stage, and there with the reply, or by leaving.
async fn serve(listener: TcpListener, at: At, reply: Option<&'static str>) {
    let (socket, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(socket);
    let stages = [(At::Greeting, ""), (At::Ehlo, "EHLO"), (At::Mail, "MAIL"), (At::Rcpt, "RCPT"), (At::Data, "DATA")];
    let mut line = String::new();
    for (stage, command) in stages {
        if stage != At::Greeting {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            assert!(line.starts_with(command), "{line}");
        }
        if stage == at {
            match reply {
                Some(reply) => {
                    stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
                    let _ = stream.read_line(&mut line).await;
                    return;
                }
                None => return,
            }
        }
        let usual = match stage {
            At::Greeting => "220 test.example",
            At::Data => "354 go on",
            _ => "250 yes",
        };
        stream.write_all(format!("{usual}\r\n").as_bytes()).await.unwrap();
    }
    if at == At::Body {
        let mut some = [0; 1_000];
        stream.read_exact(&mut some).await.unwrap();
        // With bytes unread, this resets the connection.
        return;
    }
    let mut message = Vec::new();
    while !message.ends_with(b"\r\n.\r\n") {
        if stream.read_until(b'\n', &mut message).await.unwrap_or(0) == 0 {
            return;
        }
    }
    if at == At::End {
        if let Some(reply) = reply {
            stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
        }
        return;
    }
    stream.write_all(b"250 taken\r\n").await.unwrap();
}

/// What comes of a mail of that size, with such a server, and whether it was said before that the server may have it.
async fn tried(at: At, reply: Option<&'static str>, bytes: usize) -> (Result<DeliveryOutcome, String>, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(serve(listener, at, reply));
    let address = SmtpServer { host: "127.0.0.1".to_owned(), port, tls: SmtpTls::None, login: None };
    let server = Server::new(address, None).unwrap();
    let has_begun = Cell::new(false);
    let ended = match server.connect().await {
        Err(error) => Err(error),
        Ok(mut connection) => {
            let address = |text: &str| text.parse::<Address>().unwrap();
            let envelope = Envelope { from: address("a@test.example"), to: address("b@test.example") };
            let message = "0123456789abcde\r\n".repeat(bytes / 17);
            let begin = async || {
                has_begun.set(true);
                Ok::<_, String>(true)
            };
            Ok(connection.deliver(&envelope, message.as_bytes(), begin).await)
        }
    };
    serving.abort();
    (ended, has_begun.get())
}

#[tokio::test]
async fn a_mail_is_taken_by_the_reply_to_its_end() {
    let (ended, has_begun) = tried(At::Nowhere, None, 1_700).await;
    assert_eq!(ended, Ok(DeliveryOutcome::Taken("250 taken".to_owned())));
    assert!(has_begun);
}

#[tokio::test]
async fn where_a_connection_ends_before_the_mail_does_it_is_tried_again() {
    for at in [At::Greeting, At::Ehlo] {
        assert!(tried(at, None, 1_700).await.0.is_err(), "{at:?}");
    }
    for at in [At::Mail, At::Rcpt, At::Data] {
        let (ended, has_begun) = tried(at, None, 1_700).await;
        assert!(matches!(ended, Ok(DeliveryOutcome::Later(_) | DeliveryOutcome::Trouble(_))), "{at:?}: {ended:?}");
        assert!(!has_begun, "{at:?}");
    }
    // More than any buffer on the way takes.
    let (ended, has_begun) = tried(At::Body, None, 50_000_000).await;
    assert!(matches!(ended, Ok(DeliveryOutcome::Later(_))), "{ended:?}");
    assert!(has_begun);
}

#[tokio::test]
async fn where_a_connection_ends_behind_the_mail_without_a_reply_nobody_knows() {
    let (ended, _) = tried(At::End, None, 1_700).await;
    assert!(matches!(ended, Ok(DeliveryOutcome::Unknown(_))), "{ended:?}");
}

#[tokio::test]
async fn what_the_server_replies_decides_whether_it_is_tried_again() {
    for at in [At::Rcpt, At::Data, At::End] {
        let (ended, _) = tried(at, Some("451 4.3.0 not now"), 1_700).await;
        assert!(matches!(&ended, Ok(DeliveryOutcome::Later(reply)) if reply.contains("451")), "{at:?}: {ended:?}");
        let (ended, _) = tried(at, Some("550 5.1.1 never"), 1_700).await;
        assert!(matches!(&ended, Ok(DeliveryOutcome::Refused(reply)) if reply.contains("never")), "{at:?}: {ended:?}");
    }
    // What it says of the sender is about all mail, not about this one.
    let (ended, _) = tried(At::Mail, Some("550 5.7.1 not from you"), 1_700).await;
    assert!(matches!(ended, Ok(DeliveryOutcome::Trouble(_))), "{ended:?}");
}
