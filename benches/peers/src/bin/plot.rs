//! Draws `results.json`: the aims of each row against the peers, and how ours scales. `plot RESULTS FOLDER`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use serde::Deserialize;

/// Row → column → point → median of one measured value; a row that does not scale has the one point "".
#[derive(Deserialize)]
struct Results {
    scaling: BTreeMap<String, Vec<Point>>,
}

#[derive(Deserialize)]
struct Point {
    n: f64,
    values: BTreeMap<String, f64>,
}

/// A plot: its row, its file, its title, what stands on the axes, and the values drawn as lines.
struct Plot {
    row: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
    lines: &'static [&'static str],
}

const PLOTS: [Plot; 6] = [
    Plot {
        row: "channels",
        title: "Small dicts over many channels of one gateway",
        x: "channels",
        y: "messages/s",
        lines: &["messages/s"],
    },
    Plot {
        row: "gateways",
        title: "Gateways started in parallel",
        x: "gateways",
        y: "seconds",
        lines: &["start s"],
    },
    Plot {
        row: "gateways",
        title: "Answers from all gateways",
        x: "gateways",
        y: "answers/s",
        lines: &["answers/s"],
    },
    Plot {
        row: "size",
        title: "Bytes objects each way",
        x: "bytes",
        y: "MiB/s",
        lines: &["up MiB/s", "down MiB/s"],
    },
    Plot {
        row: "size",
        title: "Bytes objects each way",
        x: "bytes",
        y: "messages/s",
        lines: &["up messages/s", "down messages/s"],
    },
    Plot {
        row: "delay",
        title: "1 MiB items over a distant link",
        x: "ms of round trip",
        y: "MiB/s",
        lines: &["up MiB/s", "down MiB/s"],
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(results), Some(folder)) = (args.next(), args.next()) else {
        return Err("usage: plot RESULTS FOLDER".into());
    };
    let results: Results = serde_json::from_str(&std::fs::read_to_string(results)?)?;
    for plot in PLOTS {
        if let Some(points) = results.scaling.get(plot.row).filter(|points| points.len() > 1) {
            let quantity = plot.y.split(['/', ' ']).next().unwrap_or_default().to_lowercase();
            let path = Path::new(&folder).join(format!("{}-{quantity}.svg", plot.row));
            draw(&path, &plot, points)?;
            println!("{}", path.display());
        }
    }
    Ok(())
}

/// Both axes logarithmic, but a delay may be 0.
fn draw(path: &Path, plot: &Plot, points: &[Point]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (640, 400)).into_drawing_area();
    root.fill(&WHITE)?;
    let linear = points.iter().any(|point| point.n == 0.0);
    let values =
        || points.iter().flat_map(|p| plot.lines.iter().filter_map(|name| p.values.get(*name)));
    let most = values().fold(f64::MIN_POSITIVE, |most, value| most.max(*value));
    let least = values().fold(most, |least, value| least.min(*value)).max(1e-6);
    let last = points.iter().fold(1.0, |most: f64, point| most.max(point.n));
    let first = points.iter().fold(last, |least, point| least.min(point.n));
    let mut chart = ChartBuilder::on(&root);
    chart
        .margin(12)
        .caption(plot.title, ("sans-serif", 18))
        .x_label_area_size(40)
        .y_label_area_size(70);
    let lines = plot.lines.iter().zip([BLUE, RED]).map(|(name, colour)| {
        let each = points.iter().filter_map(|point| Some((point.n, *point.values.get(*name)?)));
        (*name, colour, each.collect::<Vec<_>>())
    });
    macro_rules! finish {
        ($chart:expr) => {{
            let mut chart = $chart;
            chart.configure_mesh().x_desc(plot.x).y_desc(plot.y).draw()?;
            for (name, colour, line) in lines {
                chart
                    .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
                chart
                    .draw_series(line.into_iter().map(|at| Circle::new(at, 3, colour.filled())))?;
            }
            if plot.lines.len() > 1 {
                chart
                    .configure_series_labels()
                    .border_style(BLACK)
                    .background_style(WHITE)
                    .draw()?;
            }
        }};
    }
    if linear {
        finish!(chart.build_cartesian_2d(0.0..last * 1.05, 0.0..most * 1.15)?);
    } else {
        let x = (first..last * 1.2).log_scale();
        finish!(chart.build_cartesian_2d(x, (least / 2.0..most * 2.0).log_scale())?);
    }
    root.present()?;
    Ok(())
}
