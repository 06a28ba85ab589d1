//! The database of the settings: theirs, or a private one that is started for it.

use std::sync::Arc;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use store::backup::Target;
use store::private::{Private, PrivateConfig};
use store::{Store, StoreConfig};
use tokio::task::JoinHandle;

use crate::config::Config;

/// An open database with a current schema.
pub struct Database {
    /// The way to its rows.
    pub store: Store,
    /// The way of PostgreSQL's own programs.
    pub target: Target,
    private: Option<Watched>,
}

/// A private server and the task that starts it again when it dies.
struct Watched {
    private: Arc<Private>,
    watch: JoinHandle<()>,
}

impl Watched {
    fn new(private: Private) -> Self {
        let private = Arc::new(private);
        let watch = tokio::spawn({
            let private = private.clone();
            async move { private.keep_up().await }
        });
        Self { private, watch }
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.watch.abort();
        // Done or aborted, the task has let go of the server.
        let _ = self.watch.await;
        let private = Arc::into_inner(self.private).context("the private PostgreSQL is still in use")?;
        private.stop().await?;
        Ok(())
    }
}

impl Database {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// It cannot be reached or started; the sentence says what to install or to set.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let sizes = StoreConfig { connections: config.database.connections_max, ..StoreConfig::default() };
        let url = config.database.url.expose_secret();
        let (store, target, private) = if url.is_empty() {
            let private = Private::start(PrivateConfig::new(&config.database.data_dir)).await?;
            let target = Target::private(&private);
            (Store::open(private.connect_options(), sizes).await?, target, Some(Watched::new(private)))
        } else {
            let parsed: url::Url = url.parse().context("database.url")?;
            let password = parsed.password().map(percent_encoding::percent_decode_str);
            let password = password.map(|text| SecretString::from(text.decode_utf8_lossy().into_owned()));
            (Store::connect(url, sizes).await?, Target::url(url, password)?, None)
        };
        store.migrate().await?;
        Ok(Self { store, target, private })
    }

    /// Closes connections and stops the private server, if nobody else uses it.
    ///
    /// # Errors
    /// The private server does not stop in time.
    pub async fn close(self) -> anyhow::Result<()> {
        self.store.close().await;
        if let Some(private) = self.private {
            private.stop().await?;
        }
        Ok(())
    }
}
