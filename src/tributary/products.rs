//! `tributary products`: who may use this installation, and the operator's hand on their keys.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;
use domain::ids::{ApiKeyId, ProductId};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use server::App;
use server::pages::theme::{Colour, Palette};
use server::services::products::{self, NewKey, NewProduct};
use server::services::themes::{self, NewTheme};

use crate::clock::SystemClock;

/// Products: the programs that ask for consents and read data. A key is printed once and never again
#[derive(Debug, Subcommand)]
pub(crate) enum ProductsCommand {
    /// Every product, and its keys by their first characters
    List(crate::ConfigFile),
    /// Set a product up and print its first key
    Add {
        /// Its name, as users read it: "… asks to see your accounts"
        name: String,
        /// What it may ask consents for, in words that users read; may be given several times
        #[arg(long, required = true)]
        purpose: Vec<String>,
        /// Where users may be sent back to: an https address or an app's own scheme; may be given several times
        #[arg(long, value_name = "URL")]
        return_url: Vec<String>,
        #[command(flatten)]
        file: crate::ConfigFile,
    },
    /// Make another key of a product and print it
    AddKey {
        /// `prd_…`
        product: ProductId,
        /// What it may do: consents, data, events, evidence, keys. Left out: everything
        #[arg(long)]
        scope: Vec<String>,
        /// Networks that it works from, such as 192.0.2.0/24. Left out: any
        #[arg(long, value_name = "CIDR")]
        network: Vec<String>,
        /// After so many days it ends by itself
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
        days: Option<u16>,
        #[command(flatten)]
        file: crate::ConfigFile,
    },
    /// Set how the pages look that its users see
    Theme(ThemeArgs),
    /// Withdraw a key at once
    WithdrawKey {
        /// `key_…`
        key: ApiKeyId,
        #[command(flatten)]
        file: crate::ConfigFile,
    },
}

/// How pages look. Colours are written like #0b5f79; one that could not be read by everybody is refused
#[derive(Debug, clap::Args)]
pub(crate) struct ThemeArgs {
    /// `prd_…`. Left out: every product that has no theme of its own
    #[arg(long)]
    product: Option<ProductId>,
    /// Of links and of what is pressed
    #[arg(long, value_name = "COLOUR", required_unless_present = "remove")]
    accent: Option<Colour>,
    /// Behind the masthead. Left out: the accent
    #[arg(long, value_name = "COLOUR")]
    masthead: Option<Colour>,
    /// The accent where a device asks for dark pages. Left out: as much lighter as it takes
    #[arg(long, value_name = "COLOUR")]
    accent_dark: Option<Colour>,
    /// The masthead there. Left out: darker
    #[arg(long, value_name = "COLOUR")]
    masthead_dark: Option<Colour>,
    /// What stands in the masthead. Left out: the name of the provider, which is in the text in any case
    #[arg(long)]
    name: Option<String>,
    /// A picture for the masthead: PNG, 256 KiB and 2048 pixels each way at most; it is shown on white
    #[arg(long, value_name = "FILE")]
    logo: Option<PathBuf>,
    /// Take the theme away
    #[arg(long, conflicts_with_all = ["accent", "masthead", "accent_dark", "masthead_dark", "name", "logo"])]
    remove: bool,
    #[command(flatten)]
    file: crate::ConfigFile,
}

/// Runs the command.
pub(crate) async fn run(command: ProductsCommand) -> anyhow::Result<()> {
    let (ProductsCommand::List(file)
    | ProductsCommand::Add { file, .. }
    | ProductsCommand::AddKey { file, .. }
    | ProductsCommand::Theme(ThemeArgs { file, .. })
    | ProductsCommand::WithdrawKey { file, .. }) = &command;
    let (database, app) = server::open(crate::load(file)?, Arc::new(SystemClock)).await?;
    let told = perform(&app, command).await;
    drop(app);
    database.close().await?;
    crate::print(&told?)
}

async fn perform(app: &App, command: ProductsCommand) -> anyhow::Result<String> {
    Ok(match command {
        ProductsCommand::List(_) => list(app).await?,
        ProductsCommand::Add { name, purpose, return_url, .. } => {
            let new = NewProduct { name, purposes: purpose, return_urls: return_url };
            let (id, key) = products::add(app, new).await?;
            format!("{id}\n{}", shown(&key))
        }
        ProductsCommand::AddKey { product, scope, network, days, .. } => {
            let expires_at = days.map(|days| ends(app.clock.now(), days)).transpose()?;
            let new = NewKey { scopes: scope, networks: network, expires_at };
            let key = products::add_key(app, product, new).await;
            shown(&key.with_context(|| format!("no key of {product} was made"))?)
        }
        ProductsCommand::Theme(theme) => look(app, theme).await?,
        ProductsCommand::WithdrawKey { key, .. } => {
            products::withdraw_key(app, key).await.with_context(|| format!("{key} was not withdrawn"))?;
            format!("{key} is withdrawn.\n")
        }
    })
}

async fn look(app: &App, theme: ThemeArgs) -> anyhow::Result<String> {
    let ThemeArgs { product, accent, masthead, accent_dark, masthead_dark, name, logo, .. } = theme;
    let Some(accent) = accent else {
        themes::unset(app, product).await.context("no theme was taken away")?;
        return Ok("The theme is gone.\n".to_owned());
    };
    let palette = Palette::checked(accent, masthead, accent_dark, masthead_dark)?;
    let read = |path: PathBuf| std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()));
    let new = NewTheme { palette, name, logo: logo.map(read).transpose()? };
    themes::set(app, product, new).await.context("no theme was set")?;
    let Palette { masthead, accent, masthead_dark, accent_dark } = palette;
    Ok(format!(
        "By day {accent} on {masthead}, by night {accent_dark} on {masthead_dark}. Pages look so from now on.\n"
    ))
}

fn ends(now: Timestamp, days: u16) -> anyhow::Result<Timestamp> {
    Ok(now.checked_add(SignedDuration::from_hours(24 * i64::from(days)))?)
}

fn shown(key: &SecretString) -> String {
    format!("{}\n", key.expose_secret())
}

async fn list(app: &App) -> anyhow::Result<String> {
    let mut text = String::new();
    for listed in products::list(app).await? {
        let product = &listed.product;
        text += &format!("{}  {}  ({})\n", product.id, product.name, product.purposes.join(", "));
        for key in &listed.keys {
            let ends = key.expires_at.map_or_else(String::new, |end| format!("  ends {end:.0}"));
            text += &format!("    {}  {}…  {}{ends}\n", key.id, key.prefix, key.scopes.join(" "));
        }
    }
    Ok(text)
}
