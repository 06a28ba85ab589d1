//! For `tributary bench`: rows in great numbers on a server of their own, and the bare statement that our way is measured
//! against. Acts as the owner of the schema, past the roles that everything else acts as: no node calls it.

use domain::ids::LineId;
use sqlx::Executor as _;

use crate::{Store, StoreError};

/// What an ordinary sealed row takes, in bytes: 32 for each.
const SEALED_DIGESTS: i32 = 12;

impl Store {
    /// Fills a line with transactions of ordinary size, and leaves the table as a calm database would have it.
    pub async fn fill(&self, line: LineId, many: i64) -> Result<(), StoreError> {
        let mut owner = self.owner().await?;
        let rows =
            "insert into transaction (tenant_id, line_id, transaction_id, seq, booking_date, status, schema_version,
                dedup_tag, content_tag, first_seen_at, last_seen_at, sealed, sealed_identity)
            select l.tenant_id, l.line_id, gen_random_uuid(), n, date '2020-01-01' + (n % 2000)::int, 'booked', 1,
                sha256(int8send(n)), sha256(int8send(-n)), l.created_at, l.created_at,
                decode(repeat(md5(n::text), $3 * 2), 'hex'), decode(repeat(md5(n::text), 4), 'hex')
            from line l, generate_series(1, $2) n where l.line_id = $1";
        sqlx::query(rows).bind(line.uuid()).bind(many).bind(SEALED_DIGESTS).execute(&mut *owner).await?;
        owner.execute("vacuum analyze transaction").await?;
        owner.execute("checkpoint").await?;
        Ok(())
    }

    /// Deletes a line's transactions and nothing else, with one statement.
    pub async fn delete_bare(&self, line: LineId) -> Result<u64, StoreError> {
        let mut owner = self.owner().await?;
        let rows = "delete from transaction where tenant_id = (select tenant_id from line where line_id = $1)
            and line_id = $1";
        Ok(sqlx::query(rows).bind(line.uuid()).execute(&mut *owner).await?.rows_affected())
    }

    async fn owner(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, StoreError> {
        let mut owner = self.pool.acquire().await?;
        owner.execute("set statement_timeout = 0").await?;
        Ok(owner)
    }
}
