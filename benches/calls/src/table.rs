//! Tables in Markdown.

/// A row for each piece of work, a column for each way to a far end; the figures are those of all rounds.
pub(crate) struct Table {
    what: &'static str,
    /// Columns, each with the one that it is compared with.
    pairs: &'static [(&'static str, &'static str)],
    columns: Vec<&'static str>,
    rows: Vec<(&'static str, Unit, Vec<Vec<f64>>)>,
}

/// What a figure is.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Less is better.
    Microseconds,
    /// Less is better.
    Milliseconds,
    /// Thousands; more is better.
    PerSecond,
    /// More is better.
    MibPerSecond,
}

impl Table {
    pub(crate) fn new(what: &'static str, pairs: &'static [(&'static str, &'static str)]) -> Self {
        Self { what, pairs, columns: Vec::new(), rows: Vec::new() }
    }

    /// One more figure. Columns and rows come in the order in which they are first named.
    pub(crate) fn add(&mut self, row: &'static str, unit: Unit, column: &'static str, figure: f64) {
        let at = self.columns.iter().position(|name| *name == column).unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        });
        let found = self.rows.iter().position(|(name, ..)| *name == row).unwrap_or_else(|| {
            self.rows.push((row, unit, Vec::new()));
            self.rows.len() - 1
        });
        let (_, _, figures) = &mut self.rows[found];
        if figures.len() <= at {
            figures.resize(at + 1, Vec::new());
        }
        figures[at].push(figure);
    }

    /// The medians; in brackets how many times as good the column is that this one is compared with.
    pub(crate) fn print(mut self) {
        println!("| {} | {} |", self.what, self.columns.join(" | "));
        println!("|---|{}", "---:|".repeat(self.columns.len()));
        for (row, unit, figures) in &mut self.rows {
            let medians: Vec<f64> = figures.iter_mut().map(|figures| median(figures)).collect();
            let cell = |(at, figure): (usize, &f64)| {
                let text = unit.text(*figure);
                let (_, other) = self.pairs.iter().find(|(name, _)| *name == self.columns[at])?;
                let other = self.columns.iter().position(|name| name == other)?;
                Some(format!("{text} ({:.2} ×)", unit.ratio(medians[other], *figure)))
            };
            let cells = medians.iter().enumerate();
            let cells: Vec<String> =
                cells.map(|it| cell(it).unwrap_or_else(|| unit.text(*it.1))).collect();
            println!("| {row} | {} |", cells.join(" | "));
        }
        println!();
    }
}

impl Unit {
    fn text(self, figure: f64) -> String {
        match self {
            Self::Microseconds => format!("{figure:.1} µs"),
            Self::Milliseconds => format!("{figure:.1} ms"),
            Self::PerSecond => format!("{:.1} k/s", figure / 1e3),
            Self::MibPerSecond => format!("{figure:.0} MiB/s"),
        }
    }

    fn ratio(self, other: f64, this: f64) -> f64 {
        match self {
            Self::Microseconds | Self::Milliseconds => this / other,
            Self::PerSecond | Self::MibPerSecond => other / this,
        }
    }
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
