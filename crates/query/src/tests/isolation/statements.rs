//! Random SQL: conditions that can fail over every column and type, wherever a statement can have one.

use arrow::datatypes::DataType;
use footfall_model::schema;

use super::layouts::Layout;
use super::random::Random;

/// A SELECT or an EXPLAIN.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    /// Which rows come, or which error, depends on the order in which rows are read.
    pub(super) depends_on_order: bool,
    pub(super) is_explain: bool,
}

/// Larger lakes are not joined with themselves.
const MAX_JOINED: usize = 200;

impl Statement {
    pub(super) fn random(random: &mut Random, layout: &Layout) -> Self {
        let mut words = Words {
            random,
            texts: columns(&DataType::Utf8),
            site: layout.site().to_owned(),
            table: "",
        };
        let joins = layout.rows() <= MAX_JOINED;
        let (select, depends_on_order) = words.select(joins);
        let is_explain = words.random.one_in(12);
        let sql = if is_explain {
            format!("EXPLAIN {select}")
        } else {
            select
        };
        Self {
            sql,
            depends_on_order,
            is_explain,
        }
    }
}

fn columns(of: &DataType) -> Vec<String> {
    let schema = schema::events();
    let fields = schema.fields().iter().filter(|field| field.data_type() == of);
    fields.map(|field| field.name().clone()).collect()
}

/// Writes SQL.
struct Words<'a> {
    random: &'a mut Random,
    texts: Vec<String>,
    site: String,
    /// `a.` or `b.` in a join.
    table: &'static str,
}

impl Words<'_> {
    fn select(&mut self, joins: bool) -> (String, bool) {
        let filter = self.filter();
        if self.random.one_in(12) {
            return (self.behaviour(&filter), false);
        }
        match self.random.below(if joins { 14 } else { 11 }) {
            // Planning all columns takes long.
            3 if self.random.one_in(3) => (format!("SELECT * FROM events WHERE {}", self.condition(2)), false),
            0 | 1 | 3 => (format!("SELECT {}, event_id FROM events{filter}", self.value(2)), false),
            2 => {
                let limit = self.random.below(9);
                let sql = format!("SELECT {} FROM events{filter} LIMIT {limit}", self.value(2));
                (sql, true)
            }
            4 => {
                let (text, number) = (self.text(2), self.number(2));
                let sql = format!("SELECT count(*), count({text}), min({text}), max({number}) FROM events{filter}");
                (sql, false)
            }
            5 => {
                let (key, having) = (self.value(1), self.random.below(5));
                let sql = format!(
                    "SELECT {key} AS k, count(*) AS n, sum(revenue) FROM events{filter} GROUP BY 1 \
                     HAVING 10 / (count(*) - {having}) <> 1"
                );
                (sql, false)
            }
            6 | 7 => {
                let (order, limit, end) = (
                    self.value(2),
                    1 + self.random.below(9),
                    self.random.of(&["ASC", "DESC"]),
                );
                let sql = format!(
                    "SELECT event_id, {} AS v FROM events{filter} ORDER BY {order} {end}, event_id LIMIT {limit}",
                    self.value(1)
                );
                (sql, true)
            }
            8 => {
                let sql = format!(
                    "SELECT count(*) FILTER (WHERE {}), sum({}) FROM events{filter}",
                    self.condition(2),
                    self.number(1)
                );
                (sql, false)
            }
            9 => {
                let (inner, over) = (self.condition(2), self.value(1));
                let sql = format!(
                    "SELECT event_id, row_number() OVER (PARTITION BY {over} ORDER BY event_timestamp, event_id) \
                     FROM (SELECT * FROM events WHERE {inner}) AS t{filter}"
                );
                (sql, false)
            }
            10 => (format!("SELECT count(*) FROM events{filter}"), false),
            11 => {
                let kind = self.random.of(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
                let a = self.of("a.", |words| words.condition(1));
                let b = self.of("b.", |words| words.condition(1));
                let sql = format!(
                    "SELECT count(*), min(a.event_id), max(b.event_id) FROM events a {kind} events b \
                     ON a.client_id = b.client_id AND {a} AND ({b} OR a.event_id <= b.event_id)"
                );
                (sql, false)
            }
            12 => {
                let sql = format!(
                    "SELECT event_id FROM events WHERE {} IN (SELECT {} FROM events{filter})",
                    self.text(1),
                    self.text(1)
                );
                (sql, false)
            }
            _ => {
                let (a, b) = (
                    self.of("a.", |words| words.number(1)),
                    self.of("b.", |words| words.number(1)),
                );
                let sql = format!("SELECT count(*) FROM events a JOIN events b ON {a} < {b}");
                (sql, false)
            }
        }
    }

    /// What visitors do in which order.
    fn behaviour(&mut self, filter: &str) -> String {
        if self.random.one_in(3) {
            let site = self.random.of(&["mine", "aaa", "zzz"]);
            let unit = self.random.of(&["day', 'on", "week', 'unbounded", "month"]);
            return format!("SELECT * FROM retention_cohorts('{site}', '2026-11-01', '2026-11-30', '{unit}')");
        }
        let (time, first, second) = (self.time(1), self.condition(1), self.condition(2));
        let mode = self.random.of(&["", "'strict_order', ", "'strict_increase', "]);
        format!(
            "SELECT {key} AS k, window_funnel(86400, {mode}{time}, {first}, {second}) AS level, retention({first}, {second}) AS met \
             FROM events{filter} GROUP BY 1",
            key = self.text(1)
        )
    }

    fn of<T>(&mut self, table: &'static str, write: impl FnOnce(&mut Self) -> T) -> T {
        self.table = table;
        let written = write(self);
        self.table = "";
        written
    }

    fn filter(&mut self) -> String {
        match self.random.below(5) {
            0 => String::new(),
            1 => format!(" WHERE {}", self.plain()),
            2 => format!(" WHERE {} AND {}", self.plain(), self.condition(2)),
            _ => format!(" WHERE {}", self.condition(2)),
        }
    }

    fn value(&mut self, depth: usize) -> String {
        match self.random.below(4) {
            0 => self.number(depth),
            1 => self.time(depth),
            2 => format!("({})", self.condition(depth)),
            _ => self.text(depth),
        }
    }

    fn column(&mut self) -> String {
        let index = self.random.below(self.texts.len());
        format!("{}{}", self.table, self.texts[index])
    }

    /// A comparison that can't fail.
    fn plain(&mut self) -> String {
        let (column, t) = (self.column(), self.table);
        let day = 1 + self.random.below(5);
        match self.random.below(9) {
            0 => format!("{column} <> '7'"),
            1 => format!("{column} IS NOT NULL"),
            2 => format!("{column} IN ('7', '12', 'secret3')"),
            3 => format!("{t}event_date >= '2026-11-0{day}'"),
            4 => format!("{t}event_timestamp < '2026-11-0{day} 15:00:00'"),
            5 => format!("NOT ({column} >= '3' OR {t}is_bot)"),
            6 => format!(
                "{t}client_id = '{}' AND {t}tracking_id = '{}'",
                self.random.below(14),
                self.site
            ),
            7 => format!(
                "{t}tracking_id {} '{}'",
                self.random.of(&["<>", "=", "<="]),
                self.random.of(&["aaa", "mine", "zzz"])
            ),
            _ => format!("{t}event_date BETWEEN '2026-11-02' AND '2026-11-0{day}'"),
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.plain();
        }
        let (deeper, t) = (depth - 1, self.table);
        match self.random.below(16) {
            0 => self.plain(),
            1 => format!("{} = {}", self.number(deeper), self.random.below(50)),
            2 => format!("{} > {}", self.number(deeper), self.number(deeper)),
            3 => format!("({} AND {})", self.condition(deeper), self.condition(deeper)),
            4 => format!("({} OR {})", self.condition(deeper), self.condition(deeper)),
            5 => format!("NOT {}", self.condition(deeper)),
            6 => format!(
                "{} LIKE '{}'",
                self.text(deeper),
                self.random.of(&["%e%", "7%", "_", "%\\%%", "sec%"])
            ),
            7 => format!(
                "{} ~ '{}'",
                self.text(deeper),
                self.random.of(&["^[0-9]+$", "secret.?", "\\d{1,2}"])
            ),
            8 => format!(
                "CASE WHEN {} THEN {} ELSE {} END",
                self.plain(),
                self.condition(deeper),
                self.condition(deeper)
            ),
            9 => format!("{} < {}", self.time(deeper), self.time(deeper)),
            10 => format!(
                "1 / (extract(day FROM {t}event_date) - {}) >= 0",
                1 + self.random.below(5)
            ),
            11 => format!("1 / (CASE WHEN {} THEN 0 ELSE 1 END) = 1", self.condition(deeper)),
            12 => format!("CAST({} AS BIGINT) IN (1, 7, 12)", self.column()),
            13 => format!("{} IS NULL", self.value(deeper)),
            14 if self.random.one_in(2) => format!(
                "CAST({t}event_timestamp AS DATE) {} '2026-11-0{}'",
                self.random.of(&["=", "<", ">=", "<>"]),
                1 + self.random.below(4)
            ),
            14 => format!(
                "extract(day FROM {t}event_date) {} {}",
                self.random.of(&["=", "<", ">="]),
                1 + self.random.below(4)
            ),
            _ => format!(
                "{} {} {}",
                self.text(deeper),
                self.random.of(&["=", "<", ">="]),
                self.text(deeper)
            ),
        }
    }

    fn number(&mut self, depth: usize) -> String {
        let (column, t) = (self.column(), self.table);
        if depth == 0 {
            return match self.random.below(5) {
                0 => format!("{t}client_hash"),
                1 => format!("length({column})"),
                2 => format!("extract(hour FROM {t}event_timestamp)"),
                3 => format!("CAST({t}is_bot AS INT)"),
                _ => self.random.below(20).to_string(),
            };
        }
        let deeper = depth - 1;
        match self.random.below(12) {
            0..=2 => format!("CAST({column} AS BIGINT)"),
            3 => format!("CAST({} AS INT)", self.text(deeper)),
            4 => format!("({} / {})", self.number(deeper), self.number(deeper)),
            5 => format!("({} % {})", self.number(deeper), self.number(deeper)),
            6 => format!("({t}client_hash * {})", self.number(deeper)),
            7 => format!("CAST({t}revenue * 1000 AS INT)"),
            8 => format!(
                "1 / (CASE WHEN {t}revenue > {} THEN 0 ELSE 1 END)",
                10 + self.random.below(5_000)
            ),
            9 => format!(
                "CASE WHEN {} THEN {} ELSE {} END",
                self.plain(),
                self.number(deeper),
                self.number(deeper)
            ),
            10 => format!("factorial(length({column}))"),
            _ => self.number(0),
        }
    }

    fn text(&mut self, depth: usize) -> String {
        let column = self.column();
        if depth == 0 {
            return column;
        }
        let deeper = depth - 1;
        match self.random.below(10) {
            0..=2 => column,
            3 => format!("upper({})", self.text(deeper)),
            4 => format!("concat({}, '-', {})", self.text(deeper), self.text(deeper)),
            5 => format!("substr({column}, 2, CAST({} AS INT))", self.number(deeper)),
            6 => format!("split_part({column}, ',', {})", self.random.below(3)),
            7 => format!("repeat({column}, {})", self.random.below(3)),
            8 => format!("coalesce({}, {})", self.text(deeper), self.text(deeper)),
            _ => format!("chr({})", self.number(deeper)),
        }
    }

    fn time(&mut self, depth: usize) -> String {
        let (column, t) = (self.column(), self.table);
        if depth == 0 {
            return format!("{t}event_timestamp");
        }
        match self.random.below(7) {
            0 => format!("{t}event_timestamp"),
            1 => format!("CAST({column} AS TIMESTAMP)"),
            2 => format!("CAST(CAST({column} AS DATE) AS TIMESTAMP)"),
            3 => format!(
                "date_trunc('{}', {t}event_timestamp)",
                self.random.of(&["hour", "day", "month"])
            ),
            4 => format!("CAST({t}event_date AS TIMESTAMP)"),
            5 => format!(
                "CAST(make_date(2026, 11, 2 - extract(day FROM {t}event_date) + {}) AS TIMESTAMP)",
                self.random.below(4)
            ),
            _ => format!(
                "({t}event_timestamp + CAST({} AS INT) * INTERVAL '1 day')",
                self.number(depth - 1)
            ),
        }
    }
}
