//! The charts: SVG by hand, one file per group of rows, readable on a light and on a dark page.
//!
//! A bar is the median, its error bar reaches from the first to the last decile of the rounds.
//! Rows differ by orders of magnitude, so each is drawn relative to its own longest bar; the
//! dashed line is the floor.

use crate::scenario::{FLOOR, OURS};
use crate::stats::{Cell, Line, Table, figure};
use std::io;
use std::path::Path;

const WIDTH: f64 = 760.0;
const LABELS: f64 = 130.0;
const NUMBERS: f64 = 110.0;
const BAR: f64 = 14.0;
const STEP: f64 = 19.0;
const HEADING: f64 = 40.0;

/// The groups: file name, heading, the scenarios in it.
const GROUPS: [(&str, &str, &[&str]); 5] = [
    (
        "tasks",
        "Tasks",
        &["spawn-1k", "spawn-types", "spawn-100k", "yield-1", "yield-1k", "ping-pong"],
    ),
    (
        "timers",
        "Timers and timeouts",
        &["timers-dropped", "timers-fired", "timeout-ready", "timeout-pending"],
    ),
    ("io", "TCP and threads", &["echo-1", "echo-256", "bulk", "wake-remote", "blocking"]),
    (
        "memory",
        "Memory",
        &["memory-task", "memory-waker", "memory-tcp", "http-parked", "http-parked-tls", "http-1g"],
    ),
    ("http", "HTTP", &["http-1k-64", "http-1k-512", "http-1m-64", "http-1m-512", "http-slow-10k"]),
];

/// Writes `charts/*.svg`.
///
/// # Errors
/// What the file system says.
pub fn write_all(directory: &Path, table: &Table) -> io::Result<()> {
    let charts = directory.join("charts");
    std::fs::create_dir_all(&charts)?;
    for (file, heading, ids) in GROUPS {
        let lines: Vec<&Line> = table.lines.iter().filter(|line| ids.contains(&line.id)).collect();
        if !lines.is_empty() {
            std::fs::write(charts.join(format!("{file}.svg")), bars(heading, &lines))?;
        }
    }
    Ok(())
}

/// The start of every picture: size, colours for both kinds of page, heading.
pub fn head(width: f64, height: f64, heading: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         role=\"img\" aria-label=\"{heading}\">\n<style>\n\
         svg {{ font: 12px system-ui, sans-serif; }}\n\
         text {{ fill: #24292f; }} .page {{ fill: #ffffff; }}\n\
         .title {{ font-size: 15px; font-weight: 600; }} .row {{ font-weight: 600; }}\n\
         .peer {{ fill: #9aa4ae; }} .ours {{ fill: #d9730d; }} .floor {{ fill: #57606a; }}\n\
         .line {{ stroke: #24292f; }} .grid {{ stroke: #d0d7de; }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e6edf3; }} .page {{ fill: #0d1117; }} .peer {{ fill: #6e7681; }}\n\
         .ours {{ fill: #f0883e; }} .floor {{ fill: #b1bac4; }}\n\
         .line {{ stroke: #e6edf3; }} .grid {{ stroke: #30363d; }}\n\
         }}\n</style>\n\
         <rect class=\"page\" width=\"{width:.0}\" height=\"{height:.0}\"/>\n\
         <text class=\"title\" x=\"12\" y=\"24\">{heading}</text>\n"
    )
}

fn bars(heading: &str, lines: &[&Line]) -> String {
    let rows: usize = lines.iter().map(|line| line.cells.len()).sum();
    let height = HEADING + rows as f64 * STEP + lines.len() as f64 * (STEP + 14.0);
    let mut svg = head(WIDTH, height, &format!("{heading}: less is better"));
    let mut y = HEADING;
    for line in lines {
        y += STEP;
        let title = escape(&format!("{} ({})", line.title, line.unit.symbol()));
        svg += &format!("<text class=\"row\" x=\"12\" y=\"{:.1}\">{title}</text>\n", y - 6.0);
        let longest = line.cells.iter().map(|cell| cell.quantile(0.9)).fold(0.0, f64::max);
        let scale = (WIDTH - LABELS - NUMBERS) / longest;
        let top = y;
        for cell in &line.cells {
            svg += &bar(cell, y, scale);
            y += STEP;
        }
        if let Some(floor) = line.median(FLOOR) {
            let x = LABELS + floor * scale;
            svg += &format!(
                "<line class=\"line\" stroke-dasharray=\"3 3\" x1=\"{x:.1}\" x2=\"{x:.1}\" \
                 y1=\"{top:.1}\" y2=\"{:.1}\"/>\n",
                y - STEP + BAR
            );
        }
        y += 14.0;
    }
    svg + "</svg>\n"
}

fn bar(cell: &Cell, y: f64, scale: f64) -> String {
    let class = match cell.name {
        OURS => "ours",
        FLOOR => "floor",
        _ => "peer",
    };
    let [low, median, high] =
        [cell.quantile(0.1), cell.median(), cell.quantile(0.9)].map(|value| value * scale);
    let middle = y + BAR / 2.0;
    format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
         <rect class=\"{class}\" x=\"{LABELS}\" y=\"{y:.1}\" width=\"{median:.1}\" \
         height=\"{BAR}\" rx=\"2\"/>\n\
         <path class=\"line\" d=\"M{:.1} {middle:.1}H{:.1}M{:.1} {:.1}v6M{:.1} {:.1}v6\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
        LABELS - 8.0,
        middle + 4.0,
        escape(cell.name),
        LABELS + low,
        LABELS + high,
        LABELS + low,
        middle - 3.0,
        LABELS + high,
        middle - 3.0,
        LABELS + median.max(high) + 8.0,
        middle + 4.0,
        figure(cell.median()),
    )
}

/// Text for XML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
