//! Tables in Markdown.

use std::time::Duration;

pub(crate) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

impl Table {
    pub(crate) fn new(title: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { title: title.to_owned(), columns, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, name: &str, cells: &[String]) {
        self.rows.push((name.to_owned(), cells.to_vec()));
    }

    pub(crate) fn print(&self) {
        println!("\n| {} | {} |", self.title, self.columns.join(" | "));
        println!("|---|{}", "---:|".repeat(self.columns.len()));
        for (name, cells) in &self.rows {
            println!("| {name} | {} |", cells.join(" | "));
        }
    }
}

pub(crate) fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

/// The median, as a cell.
pub(crate) fn milliseconds(times: Vec<Duration>) -> String {
    median(times).map_or("–".to_owned(), |took| format!("{:.0} ms", took.as_secs_f64() * 1e3))
}
