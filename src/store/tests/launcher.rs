//! The private server under `kill -9`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};
use tempfile::TempDir;

use crate::private::{Private, PrivateConfig, PrivateError, Stopped};

/// A folder that the server's user may pass through when the tests run as root.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    dir
}

fn config(dir: &TempDir) -> PrivateConfig {
    let settings = vec![("autovacuum".to_owned(), "off".to_owned())];
    PrivateConfig { settings, patience: Duration::from_secs(30), ..PrivateConfig::new(dir.path().join("pg")) }
}

async fn query(private: &Private, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect_with(&private.connect_options()).await.unwrap();
    let row = connection.fetch_one(sql).await.unwrap();
    connection.close().await.unwrap();
    row.get(0)
}

async fn execute(private: &Private, sql: &'static str) {
    let mut connection = PgConnection::connect_with(&private.connect_options()).await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

fn kill_9(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// The processes of the server, its own id first.
async fn processes(private: &Private) -> Vec<i32> {
    let mut connection = PgConnection::connect_with(&private.connect_options()).await.unwrap();
    let rows = connection.fetch_all("select pid from pg_stat_activity where pid <> pg_backend_pid()").await.unwrap();
    let mut all = vec![private.pid().unwrap()];
    all.extend(rows.iter().map(|row| row.get::<i32, _>(0)));
    all
}

#[tokio::test]
async fn it_starts_is_adopted_stops_and_starts_again() {
    let dir = folder();
    let first = Private::start(config(&dir)).await.unwrap();
    execute(&first, "create table kept as select 7::bigint as n").await;
    let second = Private::start(config(&dir)).await.unwrap();
    assert_eq!(first.pid(), second.pid(), "the second start adopts the server of the first");
    assert_eq!(first.stop().await.unwrap(), Stopped::LeftToOthers);
    assert_eq!(query(&second, "select n from kept").await, 7);
    assert_eq!(second.stop().await.unwrap(), Stopped::Down);
    let third = Private::start(config(&dir)).await.unwrap();
    assert_eq!(query(&third, "select n from kept").await, 7);
    assert_eq!(third.stop().await.unwrap(), Stopped::Down);
}

#[tokio::test]
async fn first_starts_at_the_same_time_are_one() {
    let dir = folder();
    let (a, b, c) =
        tokio::join!(Private::start(config(&dir)), Private::start(config(&dir)), Private::start(config(&dir)));
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert!(a.pid().is_some() && a.pid() == b.pid() && b.pid() == c.pid());
    drop((a, b));
    assert_eq!(c.stop().await.unwrap(), Stopped::Down);
}

#[tokio::test]
async fn it_recovers_when_the_postmaster_is_killed() {
    let dir = folder();
    let private = Private::start(config(&dir)).await.unwrap();
    execute(&private, "create table kept as select 7::bigint as n").await;
    kill_9(private.pid().unwrap());
    let again = Private::start(config(&dir)).await.unwrap();
    assert_eq!(query(&again, "select n from kept").await, 7);
    drop(private);
    assert_eq!(again.stop().await.unwrap(), Stopped::Down);
}

#[tokio::test]
async fn it_recovers_when_every_process_is_killed() {
    let dir = folder();
    let private = Private::start(config(&dir)).await.unwrap();
    execute(&private, "create table kept as select 7::bigint as n").await;
    for pid in processes(&private).await {
        // Children may be gone already: they end when they miss the first.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let again = Private::start(config(&dir)).await.unwrap();
    assert_eq!(query(&again, "select n from kept").await, 7);
    drop(private);
    assert_eq!(again.stop().await.unwrap(), Stopped::Down);
}

#[tokio::test]
async fn it_is_kept_up() {
    let dir = folder();
    let private = Private::start(config(&dir)).await.unwrap();
    let killed = private.pid().unwrap();
    kill_9(killed);
    let replaced = async {
        while private.pid().is_none_or(|pid| pid == killed) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = private.keep_up() => unreachable!("the watch has no end"),
        () = replaced => {}
    }
    // The watch was dropped while it may still have been waiting for readiness; a start waits for the same.
    let again = Private::start(config(&dir)).await.unwrap();
    assert_eq!(query(&again, "select 1::bigint").await, 1);
    drop(private);
    assert_eq!(again.stop().await.unwrap(), Stopped::Down);
}

/// Stands for our own death: another process starts the server and is killed; the server lives and is adopted.
#[tokio::test]
async fn it_is_adopted_when_whoever_started_it_is_killed() {
    let dir = folder();
    let test = std::env::current_exe().unwrap();
    let mut starter = Command::new(test)
        .args(["--exact", "--ignored", "tests::launcher::starter"])
        .env("STORE_TEST_FOLDER", dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let ready = dir.path().join("ready");
    while !ready.exists() {
        assert!(starter.try_wait().unwrap().is_none(), "the starter ended early");
        tokio::task::yield_now().await;
    }
    kill_9(i32::try_from(starter.id()).unwrap());
    starter.wait().unwrap();
    let started: i32 = fs::read_to_string(&ready).unwrap().parse().unwrap();
    let adopted = Private::start(config(&dir)).await.unwrap();
    assert_eq!(adopted.pid(), Some(started));
    assert_eq!(adopted.stop().await.unwrap(), Stopped::Down, "the dead hold no claim");
}

/// Not a test: the other process of the one above.
#[tokio::test]
#[ignore = "run by another test"]
async fn starter() {
    let Some(folder) = std::env::var_os("STORE_TEST_FOLDER").map(std::path::PathBuf::from) else { return };
    let settings = vec![("autovacuum".to_owned(), "off".to_owned())];
    let _private = Private::start(PrivateConfig { settings, ..PrivateConfig::new(folder.join("pg")) }).await.unwrap();
    fs::write(folder.join("new"), _private.pid().unwrap().to_string()).unwrap();
    fs::rename(folder.join("new"), folder.join("ready")).unwrap();
    std::future::pending::<()>().await;
}

/// As after a reboot, or in a container where nobody waits for orphans: the files of a server that is gone name a process
/// id that belongs to somebody else now, or to a zombie. PostgreSQL takes both for a living server of its own user.
#[tokio::test]
async fn stale_files_with_a_process_id_that_is_taken_do_not_stand_in_the_way() {
    let (dir, elsewhere) = (folder(), folder());
    let other = Private::start(config(&elsewhere)).await.unwrap();
    let owner = fs::metadata(elsewhere.path().join("pg/cluster")).unwrap();
    let mut zombie = Command::new("true").uid(owner.uid()).gid(owner.gid()).spawn().unwrap();
    for taken in [other.pid().unwrap(), i32::try_from(zombie.id()).unwrap()] {
        let private = Private::start(config(&dir)).await.unwrap();
        let files = [dir.path().join("pg/cluster/postmaster.pid"), private.socket_dir().join(".s.PGSQL.5432.lock")];
        let texts = files.clone().map(|file| fs::read_to_string(file).unwrap());
        let old = private.pid().unwrap().to_string();
        assert_eq!(private.stop().await.unwrap(), Stopped::Down);
        for (file, text) in files.iter().zip(texts) {
            fs::write(file, text.replacen(&old, &taken.to_string(), 1)).unwrap();
            std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let again = Private::start(PrivateConfig { patience: Duration::from_secs(5), ..config(&dir) }).await.unwrap();
        assert_eq!(again.stop().await.unwrap(), Stopped::Down);
    }
    zombie.wait().unwrap();
    assert_eq!(other.stop().await.unwrap(), Stopped::Down, "the other server was left alone");
}

#[tokio::test]
async fn an_initdb_that_was_killed_leaves_nothing_behind() {
    let dir = folder();
    let half = dir.path().join("pg/cluster.new-1");
    fs::create_dir_all(half.join("base")).unwrap();
    fs::write(half.join("PG_VERSION"), "15\n").unwrap();
    let private = Private::start(config(&dir)).await.unwrap();
    assert!(!half.exists());
    assert_eq!(private.stop().await.unwrap(), Stopped::Down);
}

#[tokio::test]
async fn nobody_else_gets_in_and_no_port_is_open() {
    let dir = folder();
    let private = Private::start(config(&dir)).await.unwrap();
    for closed in [dir.path().join("pg"), private.socket_dir().to_owned()] {
        assert_eq!(fs::metadata(&closed).unwrap().permissions().mode() & 0o777, 0o700, "{}", closed.display());
    }
    let hba = fs::read_to_string(dir.path().join("pg/cluster/pg_hba.conf")).unwrap();
    let rules: Vec<&str> = hba.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(rules, ["local all all peer map=tributary"]);
    let listening =
        query(&private, "select count(*) from pg_settings where name = 'listen_addresses' and setting <> ''");
    assert_eq!(listening.await, 0);
    let checksums = "select count(*) from pg_settings where name = 'data_checksums' and setting = 'on'";
    assert_eq!(query(&private, checksums).await, 1);
    assert_eq!(private.stop().await.unwrap(), Stopped::Down);
}

#[tokio::test]
async fn a_long_path_gets_its_socket_elsewhere() {
    let dir = folder();
    let deep = dir.path().join("d".repeat(90));
    let private = Private::start(PrivateConfig::new(&deep)).await.unwrap();
    assert!(!private.socket_dir().starts_with(dir.path()));
    assert_eq!(query(&private, "select 1::bigint").await, 1);
    let socket = private.socket_dir().to_owned();
    assert_eq!(private.stop().await.unwrap(), Stopped::Down);
    fs::remove_dir_all(socket).unwrap();
}

#[tokio::test]
async fn root_is_told_which_folder_is_closed() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error = Private::start(config(&dir)).await.unwrap_err();
    let closed = dir.path().canonicalize().unwrap();
    assert!(matches!(&error, PrivateError::Unreachable { closed: found, .. } if *found == closed), "{error}");
    assert!(error.to_string().contains("chmod o+x"), "{error}");
}

#[tokio::test]
async fn data_of_another_major_version_are_refused_and_kept() {
    let dir = folder();
    let data = dir.path().join("pg/cluster");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "9\n").unwrap();
    let error = Private::start(config(&dir)).await.unwrap_err();
    assert!(matches!(error, PrivateError::OtherMajor { wanted: 9, .. }), "{error}");
    assert!(data.join("PG_VERSION").exists());
}
