//! Values on their way into a statement, and rows on their way out.

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Row as _, TypeInfo, ValueRef};

use super::error::StoreError;
use crate::clock::Timestamp;

/// A bound value.
#[derive(Debug, Clone)]
pub(crate) enum Arg<'a> {
    Int(i64),
    OptInt(Option<i64>),
    Text(&'a str),
    Owned(String),
    OptText(Option<String>),
    Bytes(&'a [u8]),
    /// Arrays, for PostgreSQL's `UNNEST` only.
    Ints(Vec<i64>),
    Texts(Vec<String>),
    OptTexts(Vec<Option<String>>),
    Blobs(Vec<Vec<u8>>),
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<Timestamp> for Arg<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Int(value.0)
    }
}
impl From<bool> for Arg<'_> {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}
impl From<Option<i64>> for Arg<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::OptInt(value)
    }
}
impl<'a> From<&'a str> for Arg<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}
impl<'a> From<&'a String> for Arg<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}
impl From<String> for Arg<'_> {
    fn from(value: String) -> Self {
        Self::Owned(value)
    }
}
impl From<Option<String>> for Arg<'_> {
    fn from(value: Option<String>) -> Self {
        Self::OptText(value)
    }
}
impl From<&Option<String>> for Arg<'_> {
    fn from(value: &Option<String>) -> Self {
        Self::OptText(value.clone())
    }
}
impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

/// Builds a list of arguments.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::store::values::Arg::from($value)),*] };
}
pub(crate) use args;

/// A list of strings as one argument, for `IN (SELECT value FROM json_each($n))`.
pub(crate) fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    serde_json::Value::from_iter(items).to_string()
}

#[derive(Debug, Clone)]
enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// One row, read by column name.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    columns: Arc<[String]>,
    cells: Vec<Cell>,
}

impl Row {
    fn cell(&self, column: &'static str) -> Result<&Cell, StoreError> {
        self.columns
            .iter()
            .position(|name| name == column)
            .and_then(|at| self.cells.get(at))
            .ok_or(StoreError::Inconsistent {
                column,
                what: "the column is missing",
            })
    }

    pub(crate) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        self.opt_int(column)?.ok_or(StoreError::Inconsistent {
            column,
            what: "null",
        })
    }

    pub(crate) fn opt_int(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Int(value) => Ok(Some(*value)),
            _ => Err(StoreError::Inconsistent {
                column,
                what: "not a number",
            }),
        }
    }

    pub(crate) fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp)
    }

    pub(crate) fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.opt_int(column)?.map(Timestamp))
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.opt_text(column)?.ok_or(StoreError::Inconsistent {
            column,
            what: "null",
        })
    }

    pub(crate) fn opt_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Text(value) => Ok(Some(value.clone())),
            _ => Err(StoreError::Inconsistent {
                column,
                what: "not text",
            }),
        }
    }

    pub(crate) fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreError> {
        match self.cell(column)? {
            Cell::Bytes(value) => Ok(value.clone()),
            _ => Err(StoreError::Inconsistent {
                column,
                what: "not bytes",
            }),
        }
    }

    /// Reads JSON that billhook wrote.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?)
            .map_err(|source| StoreError::Json { column, source })
    }
}

macro_rules! decode {
    ($name:ident, $row:ty) => {
        pub(super) fn $name(rows: &[$row]) -> Result<Vec<Row>, StoreError> {
            let Some(first) = rows.first() else {
                return Ok(Vec::new());
            };
            let columns: Arc<[String]> = first
                .columns()
                .iter()
                .map(|c| c.name().to_owned())
                .collect();
            rows.iter()
                .map(|row| {
                    let mut cells = Vec::with_capacity(columns.len());
                    for at in 0..columns.len() {
                        let raw = row.try_get_raw(at)?;
                        cells.push(if raw.is_null() {
                            Cell::Null
                        } else {
                            match raw.type_info().name() {
                                "INTEGER" | "INT8" => Cell::Int(row.try_get(at)?),
                                // What PostgreSQL makes of a bare number in a statement.
                                "INT4" => Cell::Int(i64::from(row.try_get::<i32, _>(at)?)),
                                "BLOB" | "BYTEA" => Cell::Bytes(row.try_get(at)?),
                                _ => Cell::Text(row.try_get(at)?),
                            }
                        });
                    }
                    Ok(Row {
                        columns: columns.clone(),
                        cells,
                    })
                })
                .collect()
        }
    };
}
decode!(decode_sqlite, SqliteRow);
decode!(decode_postgres, PgRow);

macro_rules! bind {
    ($query:expr, $args:expr, sqlite) => {{
        let mut query = $query;
        for arg in $args {
            query = match arg {
                Arg::Int(v) => query.bind(*v),
                Arg::OptInt(v) => query.bind(*v),
                Arg::Text(v) => query.bind((*v).to_owned()),
                Arg::Owned(v) => query.bind(v.clone()),
                Arg::OptText(v) => query.bind(v.clone()),
                Arg::Bytes(v) => query.bind(v.to_vec()),
                Arg::Ints(_) | Arg::Texts(_) | Arg::OptTexts(_) | Arg::Blobs(_) => {
                    return Err(StoreError::Inconsistent {
                        column: "argument",
                        what: "SQLite has no arrays",
                    });
                }
            };
        }
        query
    }};
    ($query:expr, $args:expr, postgres) => {{
        let mut query = $query;
        for arg in $args {
            query = match arg {
                Arg::Int(v) => query.bind(*v),
                Arg::OptInt(v) => query.bind(*v),
                Arg::Text(v) => query.bind((*v).to_owned()),
                Arg::Owned(v) => query.bind(v.clone()),
                Arg::OptText(v) => query.bind(v.clone()),
                Arg::Bytes(v) => query.bind(v.to_vec()),
                Arg::Ints(v) => query.bind(v.clone()),
                Arg::Texts(v) => query.bind(v.clone()),
                Arg::OptTexts(v) => query.bind(v.clone()),
                Arg::Blobs(v) => query.bind(v.clone()),
            };
        }
        query
    }};
}
pub(super) use bind;
