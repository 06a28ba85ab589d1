//! `tributary certs new`: a throw-away PKI.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use domain::world::Clock as _;
use net::Psd2Role;
use net::pki::{Pki, PkiRequest};

use crate::clock::SystemClock;

/// Certificates
#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Make a throw-away PKI: CA, server, QWAC, QSealC, OBWAC, OBSeal. Refuses to overwrite
    New {
        /// Folder for the files
        #[arg(default_value = "certs")]
        dir: PathBuf,
        /// Names of the server certificate beside localhost and the loopback addresses
        #[arg(long = "name", value_name = "DNS")]
        names: Vec<String>,
    },
}

/// Runs the command.
pub(crate) fn run(command: &CertsCommand) -> anyhow::Result<()> {
    let CertsCommand::New { dir, names } = command;
    let pki = generate(names)?;
    let files = pki.write_to(dir).with_context(|| format!("cannot write to {}", dir.display()))?;
    let list: String = files.iter().map(|file| format!("  {}\n", file.display())).collect();
    crate::print(&format!("A throw-away PKI, good for tests and for nothing else:\n{list}"))
}

/// A PKI for a fictional TPP, valid from today.
pub(crate) fn generate(names: &[String]) -> anyhow::Result<Pki> {
    let mut server_names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    server_names.extend_from_slice(names);
    Ok(net::pki::generate(&PkiRequest {
        server_names,
        organization: "Tributary Demo TPP".to_owned(),
        organization_identifier: "PSDDE-BAFIN-000001".to_owned(),
        country: "DE".to_owned(),
        domain: "localhost".to_owned(),
        nca_name: "Bundesanstalt fuer Finanzdienstleistungsaufsicht".to_owned(),
        nca_id: "DE-BAFIN".to_owned(),
        roles: vec![Psd2Role::PspAi],
        now: SystemClock.now(),
    })?)
}
