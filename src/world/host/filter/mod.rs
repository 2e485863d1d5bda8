//! The packet filter's chains as they are: those of nf_tables (firewalld, ufw, iptables-nft, docker) and those of the
//! older kernel interface (iptables-legacy). Reads only; it says which rules end a packet's way, not what they match.

mod legacy;
mod nftables;

use std::io;

use crate::plan::machine::FilterChain;
use crate::world::WorldError;
use crate::world::host::Host;
use crate::world::host::error::broken;
use crate::world::netns::Namespace;

/// All chains of a namespace; none where this process may not read them.
pub async fn chains(namespace: &Namespace) -> io::Result<Option<Vec<FilterChain>>> {
    let read = namespace
        .enter(|| {
            let mut chains = nftables::chains(None)?;
            chains.extend(legacy::chains()?);
            Ok(chains)
        })
        .await;
    match read {
        Ok(chains) => Ok(Some(chains)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

impl Host {
    /// How many rules of the user's own stand before the engine's (chain `DOCKER-USER`), the closing `RETURN` left out.
    /// Only that chain is read; none where this process may not.
    pub async fn docker_user_rules(&self) -> Result<Option<usize>, WorldError> {
        let read = self
            .namespace
            .enter(|| {
                let mut chains = nftables::chains(Some(("filter", DOCKER_USER)))?;
                chains.extend(legacy::chains()?);
                Ok(chains)
            })
            .await;
        match read {
            Ok(chains) => Ok(Some(crate::plan::machine::docker_user_rules(&chains))),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            Err(error) => Err(broken("cannot read the packet filter", &error)),
        }
    }
}

/// The chain that the engine leaves to the user.
pub const DOCKER_USER: &str = "DOCKER-USER";
