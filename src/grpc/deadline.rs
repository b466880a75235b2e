//! The caller's deadline: an answer comes before it, even if it is only that the outcome is unknown.

use std::future::Future;
use std::time::Duration;

use tonic::Status;
use tonic::metadata::MetadataMap;

use super::status;

/// How long an answer may take: nine tenths of the time that the caller gave, if it gave any.
#[must_use]
pub fn patience(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    parse(text).map(|timeout| timeout.mul_f64(0.9))
}

/// Waits for an answer, but only so long.
pub async fn within<T>(patience: Option<Duration>, answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match patience {
        None => answer.await,
        Some(patience) => tokio::time::timeout(patience, answer).await.unwrap_or_else(|_| Err(status::out_of_time())),
    }
}

/// One to eight digits and a unit, as gRPC over HTTP/2 has it.
fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(count * 3600)),
        'M' => Some(Duration::from_secs(count * 60)),
        'S' => Some(Duration::from_secs(count)),
        'm' => Some(Duration::from_millis(count)),
        'u' => Some(Duration::from_micros(count)),
        'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for text in ["", "m", "1", "1x", "-1m", "123456789m", "1é", "é"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
