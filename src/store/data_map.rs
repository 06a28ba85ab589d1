//! The data map: what every column is, and what an erasure removes, derived from it.
//!
//! Migrations classify every column; a test compares that with the catalogue. The steps of an erasure are computed from
//! the map and from the foreign keys, so a table that was added is erased without anybody having thought of it here.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{ConsentId, GrantId, LineId};
use jiff::civil::Date;
use sqlx::{AssertSqlSafe, query};
use uuid::Uuid;

use crate::time::read_day;
use crate::{StoreError, TenantTx};

/// Tables that belong to no tenant and hold no bank data. Every other table is a tenant table.
pub const REFERENCE_TABLES: [&str; 9] = [
    "bank_breaker",
    "bank_budget",
    "bank_health",
    "bank_incident",
    "bank_learned",
    "bank_pause",
    "bank_shape",
    "data_map",
    "registration",
];

/// What is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A line, its rows and its key.
    Line(LineId),
    /// What hangs on a consent beside its lines: links, logins, sessions, runs.
    Consent(ConsentId),
    /// What ties a line to one consent, where the line itself stays because another consent holds it.
    Share(ConsentId, LineId),
    /// The secrets of a grant and their key.
    Grant(GrantId),
}

impl Subject {
    /// The words in `data_map.erased_with`; a table takes part if its columns have them all.
    fn words(self) -> Vec<String> {
        self.keys().into_iter().map(|(word, _)| word.to_owned()).collect()
    }

    /// What the rows belong to. The column of a word is called like it: `line_id`.
    fn keys(self) -> Vec<(&'static str, Uuid)> {
        match self {
            Self::Line(line) => vec![("line", line.uuid())],
            Self::Consent(consent) => vec![("consent", consent.uuid())],
            Self::Share(consent, line) => vec![("consent", consent.uuid()), ("line", line.uuid())],
            Self::Grant(grant) => vec![("grant", grant.uuid())],
        }
    }

    /// The condition that picks its rows, with the ids as parameters from the second on.
    fn condition(self) -> String {
        let keys = self.keys().into_iter().zip(2..);
        keys.map(|((word, _), nth)| format!(" and {word}_id = ${nth}")).collect()
    }
}

/// One table of an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The table.
    pub table: String,
    /// Whether it takes the wrapped key: the last step, after every row was erased and counted.
    pub shreds: bool,
    subject: Subject,
    /// The table's name, quoted for SQL where it must be.
    quoted: String,
    /// Columns to empty, quoted; none: rows are deleted.
    columns: Vec<String>,
    /// Whether its rows have a day that stays visible in old backups.
    dated: bool,
}

/// What a step took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone {
    /// Rows.
    pub(crate) rows: u64,
    /// The days of the first and the last of them, where they have days.
    pub(crate) days: Option<(Date, Date)>,
}

impl Step {
    /// Deletes, or empties, at most `limit` rows, or all in one pass.
    pub(crate) async fn erase(&self, tx: &mut TenantTx, limit: Option<i64>) -> Result<Gone, StoreError> {
        let (table, rows) = (&self.quoted, self.condition());
        let rows = match limit {
            None => rows,
            // A number of our own, not a parameter: it has no fixed place behind the ids. Every row is visited twice.
            Some(limit) => {
                format!("tenant_id = $1 and ctid = any(array(select ctid from {table} where {rows} limit {limit}))")
            }
        };
        let statement = if self.columns.is_empty() {
            format!("delete from {table} where {rows}")
        } else {
            let set = self.columns.iter().map(|column| format!("{column} = null")).collect::<Vec<_>>().join(", ");
            format!("update {table} set {set} where {rows}")
        };
        // Names come from the catalogue, quoted by the database; ids are parameters.
        if self.dated {
            // Told by the statement that takes the rows: a pass of its own would read all of them once more.
            let statement = format!(
                "with gone as ({statement} returning booking_date)
                 select count(*), min(booking_date), max(booking_date) from gone"
            );
            let statement = sqlx::query_as(AssertSqlSafe(statement)).bind(tx.id());
            let statement = self.subject.keys().into_iter().fold(statement, |statement, (_, id)| statement.bind(id));
            let (rows, first, last): (i64, _, _) = statement.fetch_one(tx.db()).await?;
            return Ok(Gone { rows: rows.unsigned_abs(), days: read_day(first).zip(read_day(last)) });
        }
        let statement = sqlx::query(AssertSqlSafe(statement)).bind(tx.id());
        let statement = self.subject.keys().into_iter().fold(statement, |statement, (_, id)| statement.bind(id));
        Ok(Gone { rows: statement.execute(tx.db()).await?.rows_affected(), days: None })
    }

    /// How many rows are left.
    pub(crate) async fn left(&self, tx: &mut TenantTx) -> Result<i64, StoreError> {
        let statement = format!("select count(*) from {} where {}", self.quoted, self.condition());
        let statement = sqlx::query_scalar(AssertSqlSafe(statement)).bind(tx.id());
        let statement = self.subject.keys().into_iter().fold(statement, |statement, (_, id)| statement.bind(id));
        Ok(statement.fetch_one(tx.db()).await?)
    }

    /// Whether a row is left.
    async fn has_rows(&self, tx: &mut TenantTx) -> Result<bool, StoreError> {
        let statement = format!("select exists(select from {} where {})", self.quoted, self.condition());
        let statement = sqlx::query_scalar(AssertSqlSafe(statement)).bind(tx.id());
        let statement = self.subject.keys().into_iter().fold(statement, |statement, (_, id)| statement.bind(id));
        Ok(statement.fetch_one(tx.db()).await?)
    }

    /// The condition that picks the subject's rows, with the tenant as the first parameter.
    fn condition(&self) -> String {
        format!("tenant_id = $1{}{}", self.subject.condition(), self.not_empty())
    }

    /// Restricts to rows with something to empty.
    fn not_empty(&self) -> String {
        if self.columns.is_empty() {
            return String::new();
        }
        let any = self.columns.iter().map(|column| format!("{column} is not null")).collect::<Vec<_>>();
        format!(" and ({})", any.join(" or "))
    }
}

/// The tables that an erasure of the subject goes through, referencing tables before those they refer to, the wrapped
/// key last. A table whose every column goes with the subject loses its rows; of another the columns that go are emptied.
pub async fn steps(tx: &mut TenantTx, subject: Subject) -> Result<Vec<Step>, StoreError> {
    let rows = query!(
        r#"select table_name as "table!", quote_ident(table_name) as "quoted!",
            bool_and($1 <@ erased_with) as "whole!",
            bool_or(column_name = 'wrapped_key' and $1 <@ erased_with) as "shreds!",
            bool_or(column_name = 'booking_date') as "dated!",
            array_agg(quote_ident(column_name) order by column_name) filter (where $1 <@ erased_with) as "columns!"
         from data_map group by table_name having bool_or($1 <@ erased_with) order by table_name"#,
        &subject.words()
    )
    .fetch_all(tx.db())
    .await?;
    let steps = rows.into_iter().map(|row| Step {
        columns: if row.whole { Vec::new() } else { row.columns },
        table: row.table,
        shreds: row.shreds,
        dated: row.whole && row.dated,
        subject,
        quoted: row.quoted,
    });
    let references = references(tx).await?;
    Ok(in_order(steps.map(|step| (step.table.clone(), step)).collect(), &references))
}

/// Pairs of a table and one that its foreign keys refer to.
async fn references(tx: &mut TenantTx) -> Result<BTreeSet<(String, String)>, StoreError> {
    let rows = query!(
        r#"select child.relname as "child!", parent.relname as "parent!" from pg_constraint f
         join pg_class child on child.oid = f.conrelid join pg_class parent on parent.oid = f.confrelid
         where f.contype = 'f' and f.connamespace = current_schema()::regnamespace"#
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| (row.child, row.parent)).collect())
}

/// Puts referencing tables first.
fn in_order(mut waiting: BTreeMap<String, Step>, references: &BTreeSet<(String, String)>) -> Vec<Step> {
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let referred_to = |table: &String| {
            references.iter().any(|(child, parent)| parent == table && child != table && waiting.contains_key(child))
        };
        // The schema has no circles; if it had one, the database would refuse the deletion and nothing would be lost.
        let free = waiting.keys().find(|table| !referred_to(table)).or_else(|| waiting.keys().next()).cloned();
        ordered.extend(free.and_then(|table| waiting.remove(&table)));
    }
    let (keys, mut rows): (Vec<Step>, Vec<Step>) = ordered.into_iter().partition(|step| step.shreds);
    rows.extend(keys);
    rows
}

/// Erases a subject whole, its key included, for subjects of few rows; gives how many rows went, by table.
pub async fn erase(tx: &mut TenantTx, subject: Subject) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut gone = BTreeMap::new();
    for step in steps(tx, subject).await? {
        let rows = step.erase(tx, None).await?.rows;
        gone.insert(step.table, rows);
    }
    Ok(gone)
}

/// The first table with a row of a subject, its own key included; `None` after an erasure. Once the row with the key is gone,
/// tables whose rows refer to it need no second look: the database went through them before it let the key go, whoever may
/// see their rows, and takes none for it any more.
pub async fn not_gone(tx: &mut TenantTx, subject: Subject) -> Result<Option<String>, StoreError> {
    let (keys, rows): (Vec<Step>, Vec<Step>) = steps(tx, subject).await?.into_iter().partition(|step| step.shreds);
    let mut proven = Vec::new();
    for step in keys {
        if step.has_rows(tx).await? {
            return Ok(Some(step.table));
        }
        proven.extend(referring(tx, &step.table, subject).await?);
    }
    for step in rows.into_iter().filter(|step| !proven.contains(&step.table)) {
        if step.has_rows(tx).await? {
            return Ok(Some(step.table));
        }
    }
    Ok(None)
}

/// The tables with a valid foreign key to a table by the columns that pick the subject's rows.
async fn referring(tx: &mut TenantTx, table: &str, subject: Subject) -> Result<Vec<String>, StoreError> {
    let mut columns: Vec<String> = subject.words().into_iter().map(|word| format!("{word}_id")).collect();
    columns.push("tenant_id".to_owned());
    columns.sort_unstable();
    let rows = query!(
        r#"select child.relname as "child!" from pg_constraint f join pg_class child on child.oid = f.conrelid
         where f.contype = 'f' and f.convalidated and f.connamespace = current_schema()::regnamespace
            and f.confrelid = to_regclass($1)
            and $2 = (select array_agg(a.attname::text order by a.attname::text) from pg_attribute a
                where a.attrelid = f.conrelid and a.attnum = any(f.conkey))"#,
        table,
        &columns
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| row.child).collect())
}

/// How many rows of the tenant hold bank data, by table, those with none left out: what tells that nothing of anybody is left.
pub async fn bank_data(tx: &mut TenantTx) -> Result<BTreeMap<String, i64>, StoreError> {
    let tables = query!(
        r#"select table_name as "table!", quote_ident(table_name) as "quoted!",
            string_agg(quote_ident(column_name) || ' is not null', ' or ') as "any!"
         from data_map where class = 'bank_data' group by table_name order by table_name"#
    )
    .fetch_all(tx.db())
    .await?;
    let mut found = BTreeMap::new();
    for row in tables {
        // Names come from the catalogue, quoted by the database.
        let statement = format!("select count(*) from {} where tenant_id = $1 and ({})", row.quoted, row.any);
        let left: i64 = sqlx::query_scalar(AssertSqlSafe(statement)).bind(tx.id()).fetch_one(tx.db()).await?;
        found.extend((left > 0).then_some((row.table, left)));
    }
    Ok(found)
}

/// How many rows are left of a subject, by table, its own key included: all zero after an erasure.
pub async fn scan(tx: &mut TenantTx, subject: Subject) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut found = BTreeMap::new();
    for step in steps(tx, subject).await? {
        let left = step.left(tx).await?;
        found.insert(step.table, left);
    }
    Ok(found)
}
