//! The wire between a node and its database, which a test wears out, cuts and mends.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::world::World;

/// How the wire between a node and the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Everything passes.
    Whole,
    /// It breaks at the next bytes that carry the mark.
    Worn,
    /// Nothing passes, and nobody is told: what is sent waits.
    Cut,
}

/// A wire to the database that a test cuts.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    wire: Arc<watch::Sender<Wire>>,
    _folder: tempfile::TempDir,
}

impl Proxy {
    /// A whole wire to a world's database; `mark` is what a worn one breaks at.
    ///
    /// # Panics
    /// When there can be no socket.
    pub fn start(world: &World, mark: &'static [u8]) -> Self {
        let folder = tempfile::Builder::new().prefix("wire").tempdir().expect("a folder");
        let name = ".s.PGSQL.5432";
        let listener = UnixListener::bind(folder.path().join(name)).expect("a socket");
        let wire = Arc::new(watch::channel(Wire::Whole).0);
        let (database, shared) = (world.private.socket_dir().join(name), wire.clone());
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                tokio::spawn(carry(node, database.clone(), shared.clone(), mark));
            }
        });
        let host: String = url::form_urlencoded::byte_serialize(folder.path().as_os_str().as_encoded_bytes()).collect();
        Self { url: format!("postgres://tributary@localhost/tributary?host={host}"), wire, _folder: folder }
    }

    /// Address of the database behind the wire.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes the wire, for those who use it as well.
    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }

    /// Waits until it is cut.
    ///
    /// # Panics
    /// Never: the wire lives as long as this.
    pub async fn is_cut(&self) {
        self.wire.subscribe().wait_for(|wire| *wire == Wire::Cut).await.expect("the wire is ours");
    }
}

async fn carry(node: UnixStream, database: PathBuf, wire: Arc<watch::Sender<Wire>>, mark: &'static [u8]) {
    let Ok(database) = UnixStream::connect(database).await else { return };
    let (from_node, to_node) = node.into_split();
    let (from_database, to_database) = database.into_split();
    let there = tokio::spawn(one_way(from_node, to_database, wire.clone(), mark));
    one_way(from_database, to_node, wire, mark).await;
    there.abort();
}

/// Carries bytes one way. Those that come while the wire is cut are carried once it is whole again.
async fn one_way(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    wire: Arc<watch::Sender<Wire>>,
    mark: &'static [u8],
) {
    let mut look = wire.subscribe();
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(many @ 1..) = from.read(&mut bytes).await {
        let bytes = &bytes[..many];
        if bytes.windows(mark.len()).any(|window| window == mark) {
            wire.send_if_modified(|wire| {
                let breaks = *wire == Wire::Worn;
                *wire = if breaks { Wire::Cut } else { *wire };
                breaks
            });
        }
        if look.wait_for(|wire| *wire != Wire::Cut).await.is_err() || to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
