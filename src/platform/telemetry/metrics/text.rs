//! Prometheus's two text formats: OpenMetrics, and the classic one, which has no exemplars. Which of them, its `Accept` header says.

use std::fmt;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// A text format of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's own, version 0.0.4.
    Classic,
}

impl TextFormat {
    /// What an `Accept` header asks for: OpenMetrics where it is named and not less wanted than plain text.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let [mut open_metrics, mut plain] = [0.0; 2];
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |quality| quality.parse::<f64>().ok());
            let quality = quality.unwrap_or(0.0);
            match name.as_str() {
                "application/openmetrics-text" => open_metrics = quality.max(open_metrics),
                "text/plain" => plain = quality.max(plain),
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= plain { Self::OpenMetrics } else { Self::Classic }
    }

    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// All that is registered.
pub fn encode(registry: &Registry, format: TextFormat) -> Result<String, fmt::Error> {
    let mut encoded = String::new();
    text::encode(&mut encoded, registry)?;
    Ok(match format {
        TextFormat::OpenMetrics => encoded,
        TextFormat::Classic => classic(&encoded),
    })
}

/// The same in the classic format: families have the names of their samples, and there are neither units, exemplars nor an end.
fn classic(open_metrics: &str) -> String {
    let mut classic = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|described| described.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            classic += &format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            classic += line.split_once(" # {").map_or(line, |(sample, _)| sample);
            classic.push('\n');
        }
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_name_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (prometheus, TextFormat::OpenMetrics),
            ("application/openmetrics-text", TextFormat::OpenMetrics),
            ("text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.5", TextFormat::Classic),
            ("application/openmetrics-text;q=0", TextFormat::Classic),
            ("text/html, */*;q=0.1", TextFormat::Classic),
            ("", TextFormat::Classic),
        ] {
            assert_eq!(TextFormat::accepted(accept), format, "{accept}");
        }
    }

    #[test]
    fn the_classic_format_has_neither_units_nor_exemplars_nor_an_end() {
        let open_metrics = "# HELP calls Calls.\n# TYPE calls counter\ncalls_total{code=\"OK\"} 3\n# HELP took_seconds How long.\n\
                            # TYPE took_seconds histogram\n# UNIT took_seconds seconds\n\
                            took_seconds_bucket{le=\"1.0\"} 1 # {trace_id=\"4bf9\"} 0.5\n# HELP build What runs.\n# TYPE build info\n\
                            build_info{version=\"1\"} 1\n# EOF\n";
        let wanted = "# HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total{code=\"OK\"} 3\n# HELP took_seconds How long.\n\
                      # TYPE took_seconds histogram\ntook_seconds_bucket{le=\"1.0\"} 1\n# HELP build_info What runs.\n\
                      # TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n";
        assert_eq!(classic(open_metrics), wanted);
    }
}
