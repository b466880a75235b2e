//! Latency against rate, drawn: one line for each percentile, both from a ladder of open-loop rates.

use std::path::Path;

use anyhow::Context;
use plotters::prelude::*;

use super::report::RateStep;

const SIZE: (u32, u32) = (900, 560);
const LINES: [(&str, RGBColor); 4] =
    [("p50", RGBColor(44, 123, 182)), ("p90", RGBColor(90, 174, 97)), ("p99", RGBColor(253, 141, 60)), ("p99.9", RGBColor(215, 25, 28))];

/// Draws a ladder.
pub fn draw(path: &Path, title: &str, rungs: &[RateStep]) -> anyhow::Result<()> {
    draw_points(path, title, rungs).with_context(|| format!("cannot draw {}", path.display()))
}

fn draw_points(path: &Path, title: &str, rungs: &[RateStep]) -> anyhow::Result<()> {
    let latency = |rung: &RateStep, name| rung.summary.latency_us.get(name).map_or(1.0, |spread| spread.median.max(1.0));
    let highest_rate = rungs.iter().map(|rung| rung.sent_rate).fold(1.0, f64::max);
    let all = || rungs.iter().flat_map(|rung| LINES.map(|(name, _)| latency(rung, name)));
    let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(1.0, f64::max));

    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(told)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 15))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(0.0..highest_rate * 1.05, (least * 0.7..most * 1.4).log_scale())
        .map_err(told)?;
    chart
        .configure_mesh()
        .x_desc("operations sent a second (open loop)")
        .y_desc("latency from when each was due")
        .x_label_formatter(&|rate| format!("{rate:.0}"))
        .y_label_formatter(&|micros| if *micros < 1000.0 { format!("{micros:.0} µs") } else { format!("{:.1} ms", micros / 1000.0) })
        .light_line_style(WHITE)
        .draw()
        .map_err(told)?;
    for (name, color) in LINES {
        let points = || rungs.iter().map(move |rung| (rung.sent_rate, latency(rung, name)));
        chart
            .draw_series(LineSeries::new(points(), color.stroke_width(2)))
            .map_err(told)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(points().map(|point| Circle::new(point, 3, color.filled()))).map_err(told)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(180, 180, 180))
        .draw()
        .map_err(told)?;
    area.present().map_err(told)
}

/// The errors of plotters hold what is not `Send`.
fn told(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::cli::bench::measure::{Measure, Window};
    use crate::cli::bench::mix::Kind;
    use crate::cli::bench::report::Summary;

    #[test]
    fn a_ladder_is_drawn() {
        let begin = Instant::now();
        let rungs: Vec<RateStep> = (1..=3_u64)
            .map(|step| {
                let mut measure = Measure::new(Window { begin, end: Some(begin + Duration::from_secs(9)) }).unwrap();
                (1..=100).for_each(|call| measure.time(Kind::Debit, begin, begin + Duration::from_micros(80 * step * call), 1));
                RateStep { sent_rate: 1000.0 * step as f64, summary: Summary::of(&[measure]).unwrap() }
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ladder.svg");
        draw(&path, "a ladder", &rungs).unwrap();
        let drawn = std::fs::read_to_string(&path).unwrap();
        assert!(drawn.contains("<svg") && drawn.contains("p99.9") && drawn.contains("<polyline"), "{drawn}");
    }
}
