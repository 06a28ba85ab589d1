//! The catalogue: fences, keys and the data map.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use super::fixture::Fixture;
use crate::data_map::REFERENCE_TABLES;
use crate::keys::Holder;
use crate::testing::{TestDatabase, database};
use crate::{Store, StoreConfig, StoreError};

async fn owner(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&database.options).await.unwrap()
}

/// The first column of a query on the catalogue.
async fn names(connection: &mut PgConnection, sql: &'static str) -> BTreeSet<String> {
    connection.fetch_all(sql).await.unwrap().iter().map(|row| row.get::<String, _>(0)).collect()
}

const TABLES: &str = "select relname::text from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname <> '_sqlx_migrations'";

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let database = database().await;
    database.store.migrate().await.unwrap();
    database.store.ping().await.unwrap();
}

#[tokio::test]
async fn a_schema_that_a_newer_version_has_widened_is_no_reason_to_refuse() {
    let database = database().await;
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        values (9999, 'of a newer version', true, '\\x00', 1)";
    owner(&database).await.execute(newer).await.unwrap();
    database.store.migrate().await.unwrap();
    assert_eq!(database.store.condition().await.unwrap().unknown, 1, "and it is told to whoever looks");
}

#[tokio::test]
async fn every_table_is_a_tenant_table_or_a_named_reference_table() {
    let mut connection = owner(&database().await).await;
    let all = names(&mut connection, TABLES).await;
    let fenced = names(
        &mut connection,
        "select c.relname::text from pg_class c
         join pg_index i on i.indrelid = c.oid and i.indisprimary
         join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0] and a.attname = 'tenant_id'
         join pg_policy p on p.polrelid = c.oid and p.polname = 'one_tenant'
            and p.polroles = array['tributary_app'::regrole::oid] and p.polcmd = '*'
            and pg_get_expr(p.polqual, c.oid) like '%tenant_id = (current_setting(%tributary.tenant%'
            and pg_get_expr(p.polqual, c.oid) = pg_get_expr(p.polwithcheck, c.oid)
         where c.relnamespace = 'public'::regnamespace and c.relrowsecurity and c.relforcerowsecurity",
    )
    .await;
    let reference: BTreeSet<String> = REFERENCE_TABLES.iter().map(ToString::to_string).collect();
    assert!(all.is_superset(&reference));
    assert_eq!(all.difference(&reference).cloned().collect::<BTreeSet<_>>(), fenced);
}

#[tokio::test]
async fn the_schema_could_be_distributed_by_tenant() {
    let mut connection = owner(&database().await).await;
    let unique_without_tenant = names(
        &mut connection,
        "select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
         join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
         where c.relnamespace = 'public'::regnamespace and i.indisunique and a.attname <> 'tenant_id'
            and c.relname not in ('bank_breaker', 'bank_budget', 'bank_health', 'bank_incident', 'bank_learned', 'bank_pause', 'bank_shape', 'data_map', 'registration', '_sqlx_migrations')",
    )
    .await;
    assert_eq!(unique_without_tenant, BTreeSet::new());
    let references_without_tenant = names(
        &mut connection,
        "select f.conname::text from pg_constraint f
         join pg_attribute a on a.attrelid = f.conrelid and a.attnum = f.conkey[1]
         where f.contype = 'f' and f.connamespace = 'public'::regnamespace and a.attname <> 'tenant_id'",
    )
    .await;
    assert_eq!(references_without_tenant, BTreeSet::new());
}

#[tokio::test]
async fn every_column_is_classified_and_nothing_else_is() {
    let mut connection = owner(&database().await).await;
    let columns = names(
        &mut connection,
        "select c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
            and c.relname <> '_sqlx_migrations' and a.attnum > 0 and not a.attisdropped",
    )
    .await;
    let classified = names(&mut connection, "select table_name || '.' || column_name from data_map").await;
    assert_eq!(columns, classified);
    let bank_data_outside = names(
        &mut connection,
        "select table_name from data_map where class in ('bank_data', 'visible')
            and not erased_with && array['line', 'consent', 'grant']",
    )
    .await;
    assert_eq!(bank_data_outside, BTreeSet::new(), "bank data that no erasure reaches");
    let in_reference = names(
        &mut connection,
        "select table_name from data_map where class in ('bank_data', 'visible', 'secret')
            and table_name in ('bank_breaker', 'bank_budget', 'bank_health', 'bank_incident', 'bank_learned', 'bank_pause', 'bank_shape', 'data_map', 'registration')",
    )
    .await;
    assert_eq!(in_reference, BTreeSet::new());
}

/// An erasure finds its rows by `line_id`, `consent_id` or `grant_id`: the column must be there, with an index for it.
#[tokio::test]
async fn what_an_erasure_removes_it_can_find() {
    let mut connection = owner(&database().await).await;
    let unreachable = names(
        &mut connection,
        "select distinct d.table_name || ' by ' || w.word from data_map d
         cross join lateral unnest(d.erased_with) as w(word)
         where w.word in ('line', 'consent', 'grant') and not exists (
            select from pg_index i
            join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[1] and a.attname = w.word || '_id'
            where i.indrelid = d.table_name::regclass and i.indpred is null)",
    )
    .await;
    assert_eq!(unreachable, BTreeSet::new());
}

#[tokio::test]
async fn every_table_with_a_wrapped_key_is_rewrapped() {
    let mut connection = owner(&database().await).await;
    let holders = names(
        &mut connection,
        "select k.table_name from data_map k join data_map e using (table_name)
         where k.column_name = 'wrapped_key' and e.column_name = 'key_epoch'",
    )
    .await;
    let wrapped = names(&mut connection, "select table_name from data_map where column_name = 'wrapped_key'").await;
    assert_eq!(holders, wrapped);
    assert_eq!(holders, Holder::ALL.iter().map(|holder| holder.table().to_owned()).collect());
}

#[tokio::test]
async fn no_row_gets_its_time_from_the_database() {
    let mut connection = owner(&database().await).await;
    let defaults = names(
        &mut connection,
        r"select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d join pg_class c on c.oid = d.adrelid
         where c.relnamespace = 'public'::regnamespace and c.relname <> '_sqlx_migrations'
            and pg_get_expr(d.adbin, d.adrelid) ~* '(now\(|_timestamp\(|current_|localtime)'",
    )
    .await;
    assert_eq!(defaults, BTreeSet::new());
}

#[tokio::test]
async fn the_role_across_tenants_has_no_right_on_bank_data() {
    let mut connection = owner(&database().await).await;
    let reachable = names(
        &mut connection,
        "select table_name || '.' || column_name from data_map
         where class in ('bank_data', 'visible') and has_column_privilege('tributary_system', table_name::text,
            column_name::text, 'select, insert, update, references')",
    )
    .await;
    assert_eq!(reachable, BTreeSet::new());
    let secrets = names(
        &mut connection,
        "select table_name || '.' || column_name from data_map
         where class = 'secret' and has_column_privilege('tributary_system', table_name::text, column_name::text,
            'select')",
    )
    .await;
    let tokens =
        ["api_key.hash", "link.tenant_id", "link.token_hash", "page_session.tenant_id", "page_session.token_hash"];
    assert_eq!(secrets, tokens.map(str::to_owned).into());
}

#[tokio::test]
async fn one_tenant_does_not_see_another_even_when_a_statement_forgets_to_ask() {
    let one = Fixture::new().await;
    let other = one.neighbour(2).await;
    one.active().await;
    let mut tx = other.tx().await;
    for table in ["tenant", "product", "psu", "consent", "bank_grant", "consent_history"] {
        let sql = format!("select count(*) from {table} where tenant_id <> $1");
        let seen: i64 =
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(other.tenant.uuid()).fetch_one(tx.db()).await.unwrap();
        assert_eq!(seen, 0, "{table}");
    }
    let named: i64 = sqlx::query_scalar("select count(*) from consent where tenant_id = $1")
        .bind(one.tenant.uuid())
        .fetch_one(tx.db())
        .await
        .unwrap();
    assert_eq!(named, 0);
    let moved = sqlx::query("update product set name = 'mine' where tenant_id = $1")
        .bind(one.tenant.uuid())
        .execute(tx.db())
        .await
        .unwrap();
    assert_eq!(moved.rows_affected(), 0);
    let planted = sqlx::query("insert into psu select $1, gen_random_uuid(), $2, $3, '', timestamp 'epoch'")
        .bind(one.tenant.uuid())
        .bind(one.product.uuid())
        .bind([9_u8; 32].as_slice())
        .execute(tx.db())
        .await
        .unwrap_err();
    assert!(matches!(StoreError::from(planted), StoreError::Refused { code, .. } if code == "42501"));
}

#[tokio::test]
async fn transactions_act_as_roles_that_own_nothing() {
    let fixture = Fixture::new().await;
    let mut tx = fixture.tx().await;
    let who = "select current_user::text || ' ' || (select rolsuper or rolbypassrls or rolcanlogin from pg_roles
        where rolname = current_user)::text";
    let app: String = sqlx::query_scalar(who).fetch_one(tx.db()).await.unwrap();
    assert_eq!(app, "tributary_app false");
    let mut system = fixture.store().system_tx().await.unwrap();
    let who: String = sqlx::query_scalar(who).fetch_one(system.db()).await.unwrap();
    assert_eq!(who, "tributary_system false");
    let refused = sqlx::query("select sealed from transaction").execute(system.db()).await.unwrap_err();
    assert!(matches!(StoreError::from(refused), StoreError::Refused { code, .. } if code == "42501"));
}

#[tokio::test]
async fn without_a_tenant_a_statement_fails() {
    let fixture = Fixture::new().await;
    let mut connection = owner(&fixture.database).await;
    for begin in
        ["begin; set local role tributary_app", "begin; set local role tributary_app; set local tributary.tenant = ''"]
    {
        connection.execute(begin).await.unwrap();
        assert!(connection.execute("select * from consent").await.is_err(), "{begin}");
        connection.execute("rollback").await.unwrap();
    }
}

/// Production: the owner of the schema is no superuser. Forced row-level security binds even the owner.
#[tokio::test]
async fn an_owner_without_special_rights_can_migrate_and_is_fenced_too() {
    let source = database().await;
    let mut connection = owner(&source).await;
    connection.execute("create role plain_owner createrole").await.unwrap();
    connection.execute("grant tributary_app, tributary_system to plain_owner with admin option").await.unwrap();
    connection.execute("create database plain owner plain_owner").await.unwrap();
    let options = source.options.clone().database("plain").options([("role", "plain_owner")]);
    let store = Store::open(options.clone(), StoreConfig::default()).await.unwrap();
    store.migrate().await.unwrap();
    let fixture = Fixture::in_database(TestDatabase { store, options: options.clone() }).await;
    fixture.active().await;
    let mut plain = PgConnection::connect_with(&options).await.unwrap();
    assert!(plain.execute("select from consent").await.is_err(), "no tenant, no rows");
    let stranger = "select set_config('tributary.tenant', gen_random_uuid()::text, false)";
    plain.execute(stranger).await.unwrap();
    let seen = plain.fetch_one("select current_user::text, (select count(*) from consent)").await.unwrap();
    assert_eq!((seen.get::<String, _>(0).as_str(), seen.get::<i64, _>(1)), ("plain_owner", 0));
}

#[tokio::test]
async fn errors_carry_no_content() {
    let fixture = Fixture::new().await;
    let mut tx = fixture.tx().await;
    let product = crate::products::get(&mut tx, fixture.product).await.unwrap();
    let error = crate::products::create(&mut tx, &product).await.unwrap_err();
    assert_eq!(error, StoreError::Exists { constraint: "product_pkey".to_owned() });
    let mut tx = fixture.tx().await;
    let error = sqlx::query("select 'Erika Mustermann'::integer").execute(tx.db()).await.unwrap_err();
    let error = StoreError::from(error);
    assert!(!format!("{error} {error:?}").contains("Erika"), "{error:?}");
}
