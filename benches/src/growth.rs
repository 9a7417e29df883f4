//! How the cost per operation grows with the number of tasks, timers and connections, on
//! logarithmic axes: a line that stays level is linear growth of the whole.

use crate::chart::{escape, head};
use crate::scenario::{Contestant, FLOOR, OURS};
use crate::scenarios::{echo, http, spawn, timers};
use crate::stats::{Cell, figure};
use std::io;
use std::path::Path;

const ROUNDS: usize = 3;
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 376.0;

/// One contestant's line: sizes and medians.
type Series = (&'static str, Vec<(usize, f64)>);

struct Plot {
    file: &'static str,
    heading: &'static str,
    sizes: &'static [usize],
    unit: &'static str,
    contestants: fn(usize) -> Vec<Contestant>,
    /// Which of a round's figures.
    figure: usize,
}

const PLOTS: [Plot; 4] = [
    Plot {
        file: "growth-spawn",
        heading: "spawn + join, ns per task, over the number of tasks",
        sizes: &[8, 100, 1_000, 10_000, 100_000, 1_000_000],
        unit: "ns",
        contestants: |n| spawn::with(n, (100_000 / n).max(1)),
        figure: 0,
    },
    Plot {
        file: "growth-timers",
        heading: "sleeps armed and dropped, ns per sleep, over their number",
        sizes: &[10, 100, 1_000, 10_000, 100_000, 1_000_000],
        unit: "ns",
        contestants: timers::dropped_with,
        figure: 0,
    },
    Plot {
        file: "growth-echo",
        heading: "TCP echo 64 B, µs per trip, over the number of connections",
        sizes: &[1, 10, 100, 1_000, 5_000],
        unit: "µs",
        contestants: |n| echo::with(n, (10_000 / n).max(2)),
        figure: 0,
    },
    Plot {
        file: "growth-fetch",
        heading: "fetches of a page delayed 1 s, all at once: µs of processor time per fetch",
        sizes: &[10, 100, 1_000, 10_000],
        unit: "µs",
        contestants: http::slow_with,
        figure: 1,
    },
];

/// Measures and writes `charts/growth-*.svg`; only those whose name contains one of `only`, if any.
///
/// # Errors
/// What the file system says.
pub fn run(directory: &Path, only: &[String]) -> io::Result<()> {
    let charts = directory.join("charts");
    std::fs::create_dir_all(&charts)?;
    for plot in &PLOTS {
        if !only.is_empty() && !only.iter().any(|only| plot.file.contains(only)) {
            continue;
        }
        println!("\n{}", plot.heading);
        let series = measure(plot);
        std::fs::write(charts.join(format!("{}.svg", plot.file)), draw(plot, &series))?;
    }
    Ok(())
}

fn measure(plot: &Plot) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    for &size in plot.sizes {
        let contestants = (plot.contestants)(size);
        let able = contestants.iter().filter(|one| (one.unavailable)().is_none());
        let mut cells: Vec<(&Contestant, Cell)> =
            able.map(|one| (one, Cell::new(one.name, 0))).collect();
        for _ in 0..ROUNDS {
            for (contestant, cell) in &mut cells {
                cell.figures.push((contestant.round)()[plot.figure]);
            }
        }
        for (contestant, cell) in cells {
            let point = (size, cell.median());
            println!("  {size:>9} {:<16}{:>10} {}", cell.name, figure(point.1), plot.unit);
            match series.iter_mut().find(|(name, _)| *name == contestant.name) {
                Some((_, points)) => points.push(point),
                None => series.push((contestant.name, vec![point])),
            }
        }
    }
    series
}

fn draw(plot: &Plot, series: &[Series]) -> String {
    let values = || series.iter().flat_map(|(_, points)| points.iter().map(|&(_, y)| y));
    let low = values().fold(f64::MAX, f64::min).log10().floor();
    let high = values().fold(f64::MIN, f64::max).log10().ceil();
    let (first, last) = (plot.sizes[0] as f64, plot.sizes[plot.sizes.len() - 1] as f64);
    let x = |size: usize| {
        LEFT + ((size as f64 / first).log10() / (last / first).log10()) * (RIGHT - LEFT)
    };
    let y = |value: f64| BOTTOM - (value.log10() - low) / (high - low) * (BOTTOM - TOP);
    let mut svg = head(WIDTH, HEIGHT, &escape(plot.heading));
    for &size in plot.sizes {
        svg += &format!(
            "<path class=\"grid\" d=\"M{0:.1} {TOP}V{BOTTOM}\"/>\
             <text x=\"{0:.1}\" y=\"{1}\" text-anchor=\"middle\">{size}</text>\n",
            x(size),
            BOTTOM + 18.0
        );
    }
    for decade in low as i32..=high as i32 {
        let value = 10_f64.powi(decade);
        svg += &format!(
            "<path class=\"grid\" d=\"M{LEFT} {0:.1}H{RIGHT}\"/>\
             <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{value} {3}</text>\n",
            y(value),
            LEFT - 6.0,
            y(value) + 4.0,
            plot.unit
        );
    }
    let mut labels: Vec<(&str, f64)> = Vec::new();
    for (name, points) in series {
        let path: Vec<String> =
            points.iter().map(|&(size, value)| format!("{:.1} {:.1}", x(size), y(value))).collect();
        let style = match *name {
            OURS => "stroke=\"#d9730d\" stroke-width=\"3\"",
            FLOOR => "class=\"line\" stroke-width=\"2\" stroke-dasharray=\"4 4\"",
            _ => "stroke=\"#8b949e\" stroke-width=\"1.5\"",
        };
        svg += &format!("<path fill=\"none\" {style} d=\"M{}\"/>\n", path.join("L"));
        if let Some(&(_, value)) = points.last() {
            labels.push((name, y(value)));
        }
    }
    labels.sort_by(|a, b| a.1.total_cmp(&b.1));
    // Labels that would lie on each other move down.
    let mut free = f64::MIN;
    for (name, at) in labels {
        let at = at.max(free);
        free = at + 14.0;
        let name = escape(name);
        svg += &format!("<text x=\"{}\" y=\"{:.1}\">{name}</text>\n", RIGHT + 8.0, at + 4.0);
    }
    svg + "</svg>\n"
}
