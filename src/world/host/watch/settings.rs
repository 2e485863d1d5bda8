//! Who changes the settings of our links. The kernel tells of few by netlink (`RTM_NEWNETCONF`: rp_filter, forwarding,
//! proxying and what a dead link does to routes) and of none of the others that shims need: accept_ra, autoconf,
//! addr_gen_mode, arp_announce. But they are files, and whoever writes into a file of `/proc/sys` is told of to those
//! who watch its folder, as with any file. Both are listened to: a write by another mount of `/proc` (out of a
//! container, say) is seen by netlink alone.
//!
//! Not told by anybody: such a write of a setting that netlink leaves out. It is mended with the next look.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_sys::TokioSocket;
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::model::mark::LINK_GROUP;
use crate::world::folder::{Folders, Watched};
use crate::world::host::watch::{EVERY_LINK, heard, joined};
use crate::world::host::{Host, table};
use crate::world::netns::Namespace;

/// `RTNLGRP_IPV4_NETCONF` and `RTNLGRP_IPV6_NETCONF` of include/uapi/linux/rtnetlink.h.
const GROUPS: &[u32] = &[24, 25];
/// `RTM_NEWNETCONF`.
const CHANGED: u16 = 80;
/// `NETCONFA_IFINDEX` of include/uapi/linux/netconf.h, and its value for all links.
const INDEX: u16 = 1;
const INDEX_OF_ALL: i32 = -1;

const FOLDERS: &[&str] = &["/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf"];

/// The settings of our links, and those for all.
pub struct Settings {
    namespace: Namespace,
    folders: Folders,
    netlink: Option<TokioSocket>,
    links: BTreeMap<u32, Eyes>,
}

/// What is watched of one link.
struct Eyes {
    name: String,
    watched: Vec<Watched>,
    // The kernel may forget an entry of `/proc` that nobody has open, and then makes it anew, unwatched.
    _open: Vec<File>,
}

impl Settings {
    /// Begins with those for all links.
    pub async fn watch(host: &Host) -> io::Result<Settings> {
        let runtime = tokio::runtime::Handle::current();
        let netlink = host
            .namespace
            .enter(move || {
                let _guard = runtime.enter();
                joined(NETLINK_ROUTE, GROUPS)
            })
            .await?;
        let mut settings = Settings {
            namespace: host.namespace.clone(),
            folders: Folders::new()?,
            netlink,
            links: BTreeMap::new(),
        };
        settings.open(0, EVERY_LINK.to_owned()).await;
        Ok(settings)
    }

    /// A link came, went, or changed: those of ours are watched, by the name that they have.
    pub async fn meet(&mut self, message: &RouteNetlinkMessage) {
        match message {
            RouteNetlinkMessage::NewLink(link) if is_ours(link) => {
                let (index, name) = (link.header.index, table::name(link));
                if self.links.get(&index).is_none_or(|eyes| eyes.name != name) {
                    self.close(index);
                    self.open(index, name).await;
                }
            }
            RouteNetlinkMessage::DelLink(link) => self.close(link.header.index),
            _ => {}
        }
    }

    /// The links of which something was written; none when events were lost.
    pub async fn next(&mut self) -> Option<Vec<String>> {
        tokio::select! {
            told = self.folders.next() => {
                let folders = told.ok()?.into_iter().map(|happening| happening.folder);
                Some(folders.map(|folder| link_of(&folder)).collect())
            }
            bytes = heard(self.netlink.as_ref()) => {
                let indices = changed(&bytes?);
                let names = indices.into_iter().filter_map(|index| match index {
                    INDEX_OF_ALL => Some(EVERY_LINK.to_owned()),
                    index => {
                        let index = u32::try_from(index).ok()?;
                        Some(self.links.get(&index)?.name.clone())
                    }
                });
                Some(names.collect())
            }
        }
    }

    /// What is not there (a link that is gone again, a kernel without IPv6) is not watched.
    async fn open(&mut self, index: u32, name: String) {
        let paths: Vec<PathBuf> = FOLDERS
            .iter()
            .map(|folder| Path::new(folder).join(&name))
            .collect();
        // They are seen only from inside of the namespace; the thread there looks them up, and what it opened is told
        // by its number, which leads to the same folders from everywhere.
        let opened = self.namespace.enter(move || {
            let files = paths.iter().map(|path| (path.clone(), File::open(path)));
            Ok(files
                .filter_map(|(path, file)| Some((path, file.ok()?)))
                .collect::<Vec<_>>())
        });
        let mut eyes = Eyes {
            name,
            watched: Vec::new(),
            _open: Vec::new(),
        };
        for (path, file) in opened.await.unwrap_or_default() {
            if let Ok(watched) = self.folders.add_open(&file, &path) {
                eyes.watched.push(watched);
                eyes._open.push(file);
            }
        }
        self.links.insert(index, eyes);
    }

    fn close(&mut self, index: u32) {
        for watched in self
            .links
            .remove(&index)
            .into_iter()
            .flat_map(|eyes| eyes.watched)
        {
            self.folders.forget(watched);
        }
    }
}

fn is_ours(link: &LinkMessage) -> bool {
    let ours = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::Group(LINK_GROUP));
    link.attributes.iter().any(ours)
}

fn link_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The indices of the links whose settings these messages tell of.
fn changed(mut rest: &[u8]) -> Vec<i32> {
    let mut found = Vec::new();
    while let Some((length, kind)) = head(rest, 16) {
        if kind == CHANGED {
            let body = rest.get(16..length).unwrap_or_default();
            found.extend(index(body.get(4..).unwrap_or_default()));
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The length and the type of a message.
fn head(bytes: &[u8], least: usize) -> Option<(usize, u16)> {
    let [a, b, c, d, e, f, ..] = *bytes else {
        return None;
    };
    let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
    (length >= least).then(|| (length, u16::from_ne_bytes([e, f])))
}

/// The index among the attributes behind `struct netconfmsg`.
fn index(mut rest: &[u8]) -> Option<i32> {
    while let [a, b, c, d, ..] = *rest {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes([c, d]) == INDEX {
            return Some(i32::from_ne_bytes(value.try_into().ok()?));
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::changed;

    /// As the kernel sent it when rp_filter of link 7 was set to 2, and of all links.
    fn message(index: i32) -> Vec<u8> {
        let mut message = vec![36, 0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
        message.extend([8, 0, 1, 0]);
        message.extend(index.to_ne_bytes());
        message.extend([8, 0, 3, 0, 2, 0, 0, 0]);
        message
    }

    #[test]
    fn a_message_tells_the_link_and_a_torn_one_tells_nothing() {
        let mut both = message(7);
        both.extend(message(-1));
        assert_eq!(changed(&both), [7, -1]);
        for cut in 0..both.len() {
            changed(&both[..cut]);
        }
        assert!(changed(&message(7)[..30]).is_empty());
    }
}
