//! Statements about many rows at once. There are few texts of each, so that SQLite has them ready.

use std::iter;

use super::batch::Statement;

/// There is a text for so many rows each. Where there are fewer, the others are NULL.
const SIZES: [usize; 5] = [1, 4, 16, 64, LARGEST];

/// No statement is about more rows.
pub(super) const LARGEST: usize = 256;

/// The texts of a statement, or of several that are run together.
#[derive(Debug)]
pub(super) struct Texts([(usize, String); SIZES.len()]);

impl Texts {
    /// `text` writes it for so many rows.
    pub(super) fn new(text: impl Fn(usize) -> String) -> Self {
        Self(SIZES.map(|size| (size, text(size))))
    }

    /// The statement for so many rows, of which there are at most [`LARGEST`].
    pub(super) fn about(&'static self, rows: usize) -> RowsStatement {
        let [.., largest] = &self.0;
        let (size, text) = self.0.iter().find(|(size, _)| *size >= rows).unwrap_or(largest);
        RowsStatement { statement: sqlx::query(text.as_str()), size: *size }
    }
}

/// The parameters of so many rows: `(?,?),(?,?)`. They are without numbers: a number is looked for among all of them
/// each time that it is bound.
pub(super) fn parameters(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    iter::repeat_n(row, rows).collect::<Vec<_>>().join(",")
}

/// A statement about rows, while they are bound.
#[must_use]
pub(super) struct RowsStatement {
    statement: Statement,
    size: usize,
}

impl RowsStatement {
    /// Binds the rows, of so many columns each.
    pub(super) fn rows<R: ExactSizeIterator>(
        self,
        columns: usize,
        rows: R,
        bind: impl FnMut(Statement, R::Item) -> Statement,
    ) -> Self {
        let missing = columns * self.size.saturating_sub(rows.len());
        let statement = rows.fold(self.statement, bind);
        Self { statement: (0..missing).fold(statement, |statement, _| statement.bind(None::<i64>)), ..self }
    }

    /// Binds what is the same for all rows.
    pub(super) fn bind(self, number: i64) -> Self {
        Self { statement: self.statement.bind(number), ..self }
    }

    /// The statement, when all is bound.
    pub(super) fn bound(self) -> Statement {
        self.statement
    }
}
