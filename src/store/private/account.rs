//! Which operating-system users are involved: we, who connect, and the one that the server runs as.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User, geteuid};

use super::PrivateError;

/// Users to run the server as when we are root, in order of preference.
const OTHERS: [&str; 2] = ["postgres", "nobody"];

/// Who is who.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// Our name, which peer authentication maps to the database's owner.
    pub(super) ours: String,
    /// The user of the server, where it is not us.
    pub(super) server: Option<ServerUser>,
}

/// The user that the server runs as because we are root.
#[derive(Debug, Clone)]
pub(super) struct ServerUser {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
}

impl Account {
    /// We, and for root another user: the owner of a cluster that exists, else the first of [`OTHERS`].
    pub(super) fn decide(data: &Path) -> Result<Self, PrivateError> {
        let uid = geteuid();
        let ours = named(uid)?.name;
        if !uid.is_root() {
            return Ok(Self { ours, server: None });
        }
        let owner = fs::metadata(data).ok().map(|found| Uid::from_raw(found.uid())).filter(|owner| !owner.is_root());
        let user = match owner {
            Some(owner) => named(owner)?,
            None => OTHERS
                .iter()
                .find_map(|name| User::from_name(name).ok().flatten())
                .filter(|user| !user.uid.is_root())
                .ok_or(PrivateError::NoOtherUser)?,
        };
        let server = ServerUser { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name };
        Ok(Self { ours, server: Some(server) })
    }

    /// Refuses a folder that the server's user could not get to. `dir` is absolute and will be that user's own.
    pub(super) fn check_reach(&self, dir: &Path) -> Result<(), PrivateError> {
        let Some(server) = &self.server else { return Ok(()) };
        let mut way: Vec<&Path> = dir.ancestors().skip(1).collect();
        way.reverse();
        match way.into_iter().find(|folder| !server.may_pass(folder)) {
            None => Ok(()),
            Some(closed) => Err(PrivateError::Unreachable { user: server.name.clone(), closed: closed.to_owned() }),
        }
    }
}

impl ServerUser {
    /// Whether the search bit of a folder that counts for this user is set.
    fn may_pass(&self, folder: &Path) -> bool {
        fs::metadata(folder).is_ok_and(|found| {
            let bit = if found.uid() == self.uid {
                0o100
            } else if found.gid() == self.gid {
                0o010
            } else {
                0o001
            };
            found.mode() & bit != 0
        })
    }
}

fn named(uid: Uid) -> Result<User, PrivateError> {
    User::from_uid(uid).ok().flatten().ok_or(PrivateError::NoName { uid: uid.as_raw() })
}
