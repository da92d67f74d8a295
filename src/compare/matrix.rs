//! `--matrix FILE`: round trips between places, and those of five AWS regions.
//!
//! ```toml
//! regions = ["near", "far"]
//! rtt_ms = [[0.0, 80.0], [80.0, 0.0]]
//! ```

use serde::Deserialize;
use std::path::Path;

/// The longest round trip that is believed, in ms: a minute.
pub(super) const RTT_MS_MAX: f64 = 60_000.0;

/// Round trips between places; one replica stands at each.
///
/// Checked when made: as many rows as places, as many columns as rows (at least 1 and at most
/// [`PLACES_MAX`]), each entry a finite number of 0 to [`RTT_MS_MAX`] ms, zero from a place to
/// itself. It need not be symmetric: one way is half of an entry.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Matrix {
    /// The names of the places.
    pub(super) regions: Vec<String>,
    /// `rtt_ms[a][b]`: from `a` to `b` and back, in ms.
    pub(super) rtt_ms: Vec<Vec<f64>>,
}

/// The most places in a matrix.
pub(super) const PLACES_MAX: usize = 25;

/// What is wrong with a matrix. The caller mends the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MatrixError {
    /// It could not be read.
    #[error("cannot read the matrix {path}: {why}")]
    Unreadable {
        /// Its path.
        path: String,
        /// What the system says.
        why: String,
    },
    /// It is not TOML with `regions` and `rtt_ms`, or one of the numbered conditions fails.
    #[error("{path}: {why}")]
    Malformed {
        /// Its path.
        path: String,
        /// What was expected and what is there.
        why: String,
    },
}

impl Matrix {
    /// Average round trips between five AWS regions, measured on 2021-02-13 and published with the
    /// fantoch framework.
    pub(super) fn aws5() -> Matrix {
        let regions = ["eu-west-1", "us-west-1", "ap-southeast-1", "ca-central-1", "sa-east-1"];
        let rtt_ms = [
            [0.0, 135.9, 175.7, 72.2, 180.6],
            [135.9, 0.0, 173.0, 78.6, 173.2],
            [175.7, 173.0, 0.0, 206.0, 321.1],
            [72.2, 78.6, 206.0, 0.0, 124.3],
            [180.6, 173.2, 321.1, 124.3, 0.0],
        ];
        Matrix {
            regions: regions.map(String::from).to_vec(),
            rtt_ms: rtt_ms.map(|row| row.to_vec()).to_vec(),
        }
    }

    /// Reads the matrix in the file at `path`.
    pub(super) fn load(path: &Path) -> Result<Matrix, MatrixError> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Matrix::parse(&name, &text),
            Err(error) => Err(MatrixError::Unreadable { path: name, why: error.to_string() }),
        }
    }

    /// The matrix in `text`; `path` is its name in errors.
    pub(super) fn parse(path: &str, text: &str) -> Result<Matrix, MatrixError> {
        let malformed = |why: String| MatrixError::Malformed { path: path.to_string(), why };
        let matrix: Matrix = toml::from_str(text).map_err(|error| {
            // One sentence: the parser's own text draws the line and spans several.
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            malformed(format!("line {line}: {}", error.message().replace('\n', ", ")))
        })?;
        matrix.check().map_err(malformed)?;
        Ok(matrix)
    }

    fn check(&self) -> Result<(), String> {
        let (rows, places) = (self.rtt_ms.len(), self.regions.len());
        if !(1..=PLACES_MAX).contains(&places) {
            return Err(format!("a matrix has 1 to {PLACES_MAX} regions, found {places}"));
        }
        if let Some((at, row)) = self.rtt_ms.iter().enumerate().find(|(_, r)| r.len() != rows) {
            let columns = row.len();
            return Err(format!(
                "rtt_ms is not square: {rows} rows, but row {} has {columns} columns",
                at + 1
            ));
        }
        if rows != places {
            return Err(format!("{places} regions, but rtt_ms has {rows} rows"));
        }
        for (a, row) in self.rtt_ms.iter().enumerate() {
            for (b, rtt) in row.iter().enumerate() {
                let believed = (0.0..=RTT_MS_MAX).contains(rtt);
                if !believed || (a == b && *rtt != 0.0) {
                    let wanted = if a == b { "0".into() } else { format!("0 to {RTT_MS_MAX}") };
                    return Err(format!(
                        "rtt_ms from {} to {} must be {wanted}, found {rtt}",
                        self.regions[a], self.regions[b]
                    ));
                }
            }
        }
        Ok(())
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|b| *b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        Matrix::parse("m.toml", text).expect_err("a bad matrix").to_string()
    }

    #[test]
    fn the_built_in_matrix_passes_its_own_gate() {
        let aws = Matrix::aws5();
        assert_eq!(aws.check(), Ok(()));
    }

    #[test]
    fn a_file_is_read_as_written() {
        let text = "# two\nregions = [\"a\", \"b\"]\nrtt_ms = [[0, 8.5],\n [8.5, 0]]\n";
        let matrix = Matrix::parse("m.toml", text).expect("a good matrix");
        assert_eq!(matrix.rtt_ms, [[0.0, 8.5], [8.5, 0.0]]);
    }

    #[test]
    fn what_is_wrong_is_said_in_one_sentence() {
        let cases = [
            (
                "regions = [\"a\", \"b\"]\nrtt_ms = [[0, 1], [1]]",
                "m.toml: rtt_ms is not square: 2 rows, but row 2 has 1 columns",
            ),
            (
                "regions = [\"a\", \"b\"]\nrtt_ms = [[0, 1, 2], [1, 0, 2]]",
                "m.toml: rtt_ms is not square: 2 rows, but row 1 has 3 columns",
            ),
            (
                "regions = [\"a\"]\nrtt_ms = [[0, 1], [1, 0]]",
                "m.toml: 1 regions, but rtt_ms has 2 rows",
            ),
            ("regions = []\nrtt_ms = []", "m.toml: a matrix has 1 to 25 regions, found 0"),
            (
                "regions = [\"a\", \"b\"]\nrtt_ms = [[0, -1], [1, 0]]",
                "m.toml: rtt_ms from a to b must be 0 to 60000, found -1",
            ),
            (
                "regions = [\"a\", \"b\"]\nrtt_ms = [[0, nan], [1, 0]]",
                "m.toml: rtt_ms from a to b must be 0 to 60000, found NaN",
            ),
            ("regions = [\"a\"]\nrtt_ms = [[3]]", "m.toml: rtt_ms from a to a must be 0, found 3"),
        ];
        for (text, expected) in cases {
            assert_eq!(why(text), expected);
        }
    }

    #[test]
    fn broken_toml_is_named_by_its_line() {
        let error = why("regions = [\"a\"]\nrtt_ms = [[oops]]\n");
        assert!(error.starts_with("m.toml: line 2: ") && !error.contains('\n'), "{error}");
        let error = why("regions = [\"a\"]\n");
        assert!(error.contains("rtt_ms"), "{error}");
    }
}
