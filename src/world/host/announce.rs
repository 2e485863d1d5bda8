//! Telling the neighbours about a shim's addresses, so that nobody keeps an older entry for them.

use std::io;

use crate::plan::spec::ShimSpec;
use crate::world::host::Host;
use crate::world::host::packet::{PacketSocket, announcement};
use crate::world::{Progress, WorldError};

impl Host {
    /// Announces a shim's addresses on its link. That nobody could be told is worth a warning and no more: neighbours
    /// ask when they need to know.
    pub(super) async fn announce(
        &self,
        index: u32,
        spec: &ShimSpec,
        progress: &dyn Progress,
    ) -> Result<(), WorldError> {
        let links = self.links().await?;
        let link = links.iter().find(|link| link.index == index);
        // A link without a link-layer address, or one whose parent is down, has nobody to tell.
        let Some((mac, true)) = link.and_then(|link| Some((link.mac?, link.carrier))) else {
            return Ok(());
        };
        let frames: Vec<Vec<u8>> = spec
            .addresses
            .iter()
            .map(|address| announcement(mac, *address))
            .collect();
        let told: io::Result<()> = self
            .namespace
            .enter(move || {
                let socket = PacketSocket::open(index)?;
                frames.iter().try_for_each(|frame| socket.send(frame))
            })
            .await;
        if let Err(error) = told {
            progress.warn(&format!(
                "the addresses of `{}` could not be announced: {error}",
                spec.name
            ));
        }
        Ok(())
    }
}
