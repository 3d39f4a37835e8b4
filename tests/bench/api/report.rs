//! The figures beside what issue 3 asks for.

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: &'static str,
    figure: f64,
    bound: String,
    unit: &'static str,
    holds: bool,
}

impl Report {
    pub(crate) fn at_most(&mut self, what: &'static str, figure: f64, bound: f64, unit: &'static str) {
        self.rows.push(Row { what, figure, bound: format!("<= {bound}"), unit, holds: figure <= bound });
    }

    pub(crate) fn at_least(&mut self, what: &'static str, figure: f64, bound: f64, unit: &'static str) {
        self.rows.push(Row { what, figure, bound: format!(">= {bound}"), unit, holds: figure >= bound });
    }

    /// Prints every figure; whether all of them hold.
    pub(crate) fn print(&self) -> bool {
        for Row { what, figure, bound, unit, holds } in &self.rows {
            let verdict = if *holds { "pass" } else { "FAIL" };
            println!("{verdict}  {what:<30}  {figure:>8.2} {unit:<3}  {bound:>6} {unit}");
        }
        self.rows.iter().all(|row| row.holds)
    }
}
