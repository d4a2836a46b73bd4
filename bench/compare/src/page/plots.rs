//! The plots: bars of throughput, and lines of what grows.

use std::fmt::Display;
use std::io;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Image, grouped, is_ours};
use crate::loads::{self, Axis, Kind, Load};
use crate::peers::Peer;
use crate::results::Results;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Pixels.
const WIDTH: u32 = 860;
const BAR: i32 = 26;
const TITLE: i32 = 40;
const NAMES: i32 = 300;
const NUMBERS: i32 = 90;
const CURVES: (u32, u32) = (960, 320);
/// Below the curves: what their colours mean.
const LEGEND: i32 = 30;

const TEXT: RGBColor = RGBColor(40, 40, 40);
const OURS: RGBColor = RGBColor(20, 100, 170);
const OTHER: RGBColor = RGBColor(160, 160, 160);

/// Of lines; told apart also by those who see fewer colours.
const LINES: [RGBColor; 6] = [
    OURS,
    RGBColor(220, 120, 20),
    RGBColor(90, 90, 90),
    RGBColor(150, 60, 140),
    RGBColor(60, 150, 80),
    RGBColor(190, 40, 40),
];

/// Draws all for which something was measured.
pub(super) fn draw(
    results: &Results,
    peers: &[Box<dyn Peer>],
    folder: &Path,
) -> io::Result<Vec<Image>> {
    let mut images = Vec::new();
    for load in loads::all().iter().filter(|load| load.kind == Kind::Throughput) {
        let bars: Vec<_> = peers
            .iter()
            .filter_map(|peer| {
                let value = results.median(peer.name(), &load.name, "delivered")?;
                Some((peer.title(), value, is_ours(peer.as_ref())))
            })
            .collect();
        if !bars.is_empty() {
            let file = format!("throughput-{}.svg", load.name);
            let title = format!("{}: deliveries a second", load.title);
            draw_bars(&folder.join(&file), &title, &bars).map_err(failed)?;
            images.push(Image { file, alt: title });
        }
    }
    for axis in Axis::ALL {
        let file = format!("growth-{}.svg", axis.name());
        if draw_curves(&folder.join(&file), results, peers, axis).map_err(failed)? {
            let alt = format!("Throughput, CPU and memory with more {}", axis.name());
            images.push(Image { file, alt });
        }
    }
    Ok(images)
}

fn failed(error: impl Display) -> io::Error {
    io::Error::other(format!("a plot: {error}"))
}

type Drawn<T> = Result<T, Box<dyn std::error::Error>>;

fn text(size: i32, horizontal: HPos) -> TextStyle<'static> {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&TEXT);
    style.pos(Pos::new(horizontal, VPos::Center))
}

/// Names to the left, numbers behind the bars.
fn draw_bars(file: &Path, title: &str, bars: &[(&str, f64, bool)]) -> Drawn<()> {
    let height = TITLE + BAR * i32::try_from(bars.len())? + BAR / 2;
    let area = SVGBackend::new(file, (WIDTH, u32::try_from(height)?)).into_drawing_area();
    area.fill(&WHITE)?;
    let title = Text::new(title.to_owned(), (10, TITLE / 2), text(18, HPos::Left));
    area.draw(&title)?;
    let most = bars.iter().map(|(_, value, _)| *value).fold(1.0, f64::max);
    let room = f64::from(i32::try_from(WIDTH)? - NAMES - NUMBERS);
    let mut middle = TITLE + BAR / 2;
    for (name, value, is_ours) in bars {
        #[expect(clippy::cast_possible_truncation, reason = "below the width of the plot")]
        let end = NAMES + (room * value / most) as i32;
        let colour = if *is_ours { OURS } else { OTHER };
        let half = BAR / 2 - 4;
        let bar = Rectangle::new([(NAMES, middle - half), (end, middle + half)], colour.filled());
        area.draw(&bar)?;
        let name = Text::new((*name).to_owned(), (NAMES - 8, middle), text(14, HPos::Right));
        area.draw(&name)?;
        let number = Text::new(grouped(*value), (end + 6, middle), text(14, HPos::Left));
        area.draw(&number)?;
        middle += BAR;
    }
    area.present()?;
    Ok(())
}

/// A line of one peer, in its colour.
struct Curve {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// False: nothing was measured.
fn draw_curves(file: &Path, results: &Results, peers: &[Box<dyn Peer>], axis: Axis) -> Drawn<bool> {
    let figures =
        [("delivered", "deliveries/s"), ("cpu", "CPU-s per million"), ("memory", "memory, MiB")];
    let loads: Vec<_> =
        loads::all().into_iter().filter(|load| load.kind.grows_along(axis)).collect();
    let is_measured =
        |peer: &&dyn Peer| loads.iter().any(|load| results.cell(peer.name(), &load.name).is_some());
    let peers: Vec<_> = peers.iter().map(AsRef::as_ref).filter(is_measured).collect();
    let curves: Vec<Vec<Curve>> =
        figures.iter().map(|(figure, _)| curves(results, &peers, &loads, figure)).collect();
    if curves[0].is_empty() {
        return Ok(false);
    }
    let area = SVGBackend::new(file, CURVES).into_drawing_area();
    area.fill(&WHITE)?;
    let (panels, legend) = area.split_vertically(i32::try_from(CURVES.1)? - LEGEND);
    let panels = panels.split_evenly((1, 3));
    for ((panel, curves), (_, title)) in panels.iter().zip(&curves).zip(figures) {
        draw_panel(panel, curves, title, axis)?;
    }
    draw_legend(&legend, &curves[0])?;
    area.present()?;
    Ok(true)
}

fn draw_legend(area: &Area<'_>, curves: &[Curve]) -> Drawn<()> {
    let (width, middle) = (i32::try_from(CURVES.0)? / i32::try_from(curves.len())?, LEGEND / 2);
    let mut left = 10;
    for curve in curves {
        let line = [(left, middle), (left + 20, middle)];
        area.draw(&PathElement::new(line, curve.colour.stroke_width(2)))?;
        let name = Text::new(curve.name, (left + 26, middle), text(12, HPos::Left));
        area.draw(&name)?;
        left += width;
    }
    Ok(())
}

fn curves(results: &Results, peers: &[&dyn Peer], loads: &[Load], figure: &str) -> Vec<Curve> {
    let point = |peer: &dyn Peer, load: &Load| match load.kind {
        Kind::Growth(_, count) => {
            let value = results.median(peer.name(), &load.name, figure)?;
            // There is no place for less on such an axis.
            Some((f64::from(count), value.max(0.001))).filter(|_| value.is_finite())
        }
        _ => None,
    };
    let all = peers.iter().zip(LINES.iter().cycle()).map(|(peer, colour)| Curve {
        name: peer.title(),
        colour: *colour,
        points: loads.iter().filter_map(|load| point(*peer, load)).collect(),
    });
    all.filter(|curve| !curve.points.is_empty()).collect()
}

fn draw_panel(area: &Area<'_>, curves: &[Curve], title: &str, axis: Axis) -> Drawn<()> {
    if curves.is_empty() {
        return Ok(());
    }
    let values = || curves.iter().flat_map(|curve| &curve.points).map(|(_, value)| *value);
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    let (low, high) = (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()));
    let high = if high > low { high } else { low * 10.0 };
    let mut chart = ChartBuilder::on(area)
        .caption(title, text(15, HPos::Left))
        .margin(10)
        .margin_right(24)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d((10.0..10_000.0).log_scale(), (low..high).log_scale())?;
    let label = |value: &f64| if *value < 1.0 { format!("{value}") } else { grouped(*value) };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(axis.name())
        .x_labels(4)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .draw()?;
    for curve in curves {
        let colour = curve.colour;
        let line = LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2));
        chart.draw_series(line)?;
        let dots = curve.points.iter().map(|at| Circle::new(*at, 3, colour.filled()));
        chart.draw_series(dots)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::taking_part;
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn bars_have_names_and_numbers_and_what_was_not_measured_has_no_plot() {
        let (results, folder) = (sample(), tempfile::tempdir().unwrap());
        let images = draw(&results, &taking_part(&results), folder.path()).unwrap();
        let files: Vec<_> = images.iter().map(|image| &*image.file).collect();
        assert_eq!(files, ["throughput-pairs-0.svg"]);
        let svg = std::fs::read_to_string(folder.path().join(files[0])).unwrap();
        for word in ["4 pairs, QoS 0: deliveries a second", "NATS, 3 nodes", "900,000"] {
            assert!(svg.contains(word), "{word} in {svg}");
        }
    }

    #[test]
    fn curve_is_drawn_from_what_was_measured_of_it() {
        let line = |count: u32, value: u32| {
            format!(
                "{{\"is\":\"run\",\"round\":1,\"peer\":\"nats\",\"load\":\"topics-{count}\",\
                 \"figures\":{{\"delivered\":{value},\"cpu\":1.5,\"memory\":{value}}}}}\n"
            )
        };
        let peer = "{\"is\":\"peer\",\"peer\":\"nats\",\"version\":\"2\"}\n";
        let text = [peer.to_owned(), line(10, 50_000), line(1_000, 40_000)].concat();
        let results = Results::parse(&text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let images = draw(&results, &taking_part(&results), folder.path()).unwrap();
        assert_eq!(images.len(), 1);
        let svg = std::fs::read_to_string(folder.path().join("growth-topics.svg")).unwrap();
        assert!(svg.contains("CPU-s per million") && svg.contains("topics"));
    }
}
