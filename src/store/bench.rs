//! For `tributary bench`: rows in great numbers on a server of their own, and the bare statement that our way is measured
//! against. Acts as the owner of the schema, past the roles that everything else acts as: no node calls it.

use domain::ids::{ConsentId, EntryId, LineId, TenantId};
use futures_util::TryStreamExt as _;
use sqlx::Executor as _;

use crate::{Store, StoreError};

/// What an ordinary sealed row takes, in bytes: 32 for each.
const SEALED_DIGESTS: i32 = 12;
/// What the sealed entry of a read takes, in the same measure.
const ENTRY_DIGESTS: usize = 18;

impl Store {
    /// Fills a line with transactions of ordinary size, which no key opens. [`settle`](Self::settle) comes after the last.
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
        Ok(())
    }

    /// Leaves the tables as a calm database would have them.
    pub async fn settle(&self) -> Result<(), StoreError> {
        let mut owner = self.owner().await?;
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

    /// A line's transactions as `COPY` writes them.
    pub async fn copied(&self, line: LineId) -> Result<Vec<u8>, StoreError> {
        let mut owner = self.owner().await?;
        // A UUID prints as hexadecimal digits and hyphens: nothing to escape.
        let rows = format!(
            "copy (select * from transaction where line_id = '{}' order by seq) to stdout (format binary)",
            line.uuid()
        );
        let mut chunks = owner.copy_out_raw(&rows).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Puts transactions back that were [`copied`](Self::copied), and gives how many.
    pub async fn copy_bare(&self, bytes: &[u8]) -> Result<u64, StoreError> {
        let mut owner = self.owner().await?;
        let mut into = owner.copy_in_raw("copy transaction from stdin (format binary)").await?;
        into.send(bytes).await?;
        Ok(into.finish().await?)
    }

    /// The least that a logged read of a page can be: the tenant, one range of an index, one entry of the log, a commit.
    /// Gives how many rows it read.
    pub async fn page_bare(
        &self,
        tenant: TenantId,
        (consent, line): (ConsentId, LineId),
        entry: EntryId,
        limit: i64,
    ) -> Result<usize, StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        let rows =
            "select transaction_id, seq, booking_date, status, first_seen_at, last_seen_at, settled_at, settled_by,
                doubtful_of, rule_set, sealed
            from transaction where tenant_id = $1 and line_id = $2 and removed_at is null
            order by booking_date desc, seq desc limit $3";
        let read = sqlx::query(rows).bind(tx.id()).bind(line.uuid()).bind(limit).fetch_all(tx.db()).await?.len();
        let entries = "insert into evidence_entry (tenant_id, entry_id, subject, kind, recorded_at, commitment, sealed)
            values ($1, $2, $3, 'data.disclosed', now(), $4, $5)";
        let digest = [0_u8; 32];
        sqlx::query(entries)
            .bind(tx.id())
            .bind(entry.uuid())
            .bind(consent.uuid())
            .bind(digest.as_slice())
            .bind(digest.repeat(ENTRY_DIGESTS))
            .execute(tx.db())
            .await?;
        tx.commit().await?;
        Ok(read)
    }

    async fn owner(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, StoreError> {
        let mut owner = self.pool.acquire().await?;
        owner.execute("set statement_timeout = 0").await?;
        Ok(owner)
    }
}
