//! The promiscuous flag of a parent. It is somebody's link and cannot carry our mark, so the ledger says that we want
//! the flag and whether it was set before; the flag is cleared by the last of us, and only if none set it before us.
//! A macvlan child raises the kernel's own count while it is up; that count and this flag are separate things.

use netlink_packet_route::link::LinkFlags;

use crate::model::name::ProjectName;
use crate::plan::observed::{FoundResource, LinkFact};
use crate::plan::spec::{Kind, PromiscuitySpec, ResourceId, Spec};
use crate::world::host::ledger::{Entry, Note};
use crate::world::host::{Host, message};
use crate::world::{ErrorKind, WorldError};

/// Sets the flag, and remembers whether it had to.
pub async fn make(
    host: &Host,
    project: &ProjectName,
    spec: &PromiscuitySpec,
) -> Result<(), WorldError> {
    let act = || format!("cannot make `{}` promiscuous", spec.link);
    let id = ResourceId::new(Kind::Promiscuity, spec.link.as_str());
    let links = host.links().await?;
    let Some(link) = links.iter().find(|link| link.name == spec.link.as_str()) else {
        return Err(WorldError::new(
            ErrorKind::Missing,
            act(),
            format!("there is no link `{}`", spec.link),
        ));
    };
    let entries = host.entries()?;
    let ours = entries
        .iter()
        .find(|entry| entry.project == *project && wants(entry, link).is_some());
    if ours.is_none() {
        // Where others of us are there already, the flag is theirs: what was before the first of them counts.
        let inherited = entries.iter().find_map(|entry| wants(entry, link));
        let note = Note::Promiscuity {
            link: spec.link.clone(),
            index: link.index,
            was_set: inherited.unwrap_or(link.promiscuous_flag),
        };
        host.note(project, &id, note)?;
    }
    if link.promiscuous_flag {
        return Ok(());
    }
    host.set_link(message::flag(link.index, LinkFlags::Promisc, true), act)
        .await
}

/// Puts the flag back, if we set it and nobody else of us wants it.
pub async fn remove(host: &Host, project: &ProjectName, id: &ResourceId) -> Result<(), WorldError> {
    let links = host.links().await?;
    let entries = host.entries()?;
    for entry in &entries {
        if entry.project != *project || entry.id != *id {
            continue;
        }
        let Some(Note::Promiscuity {
            link,
            index,
            was_set,
        }) = &entry.note
        else {
            continue;
        };
        // A link that came later under the same name has nothing to do with it.
        let there = links
            .iter()
            .find(|fact| fact.index == *index && fact.name == link.as_str());
        if let Some(fact) = there {
            let heirs = entries
                .iter()
                .any(|other| other != entry && wants(other, fact).is_some());
            if fact.promiscuous_flag && !was_set && !heirs {
                let clear = message::flag(fact.index, LinkFlags::Promisc, false);
                host.set_link(clear, || format!("cannot put the flag of `{link}` back"))
                    .await?;
            }
        }
        host.strike(project, id)?;
    }
    Ok(())
}

/// Whether an entry wants this link promiscuous; and if so, whether the flag was set before.
fn wants(entry: &Entry, link: &LinkFact) -> Option<bool> {
    match &entry.note {
        Some(Note::Promiscuity {
            link: name,
            index,
            was_set,
        }) if name.as_str() == link.name && *index == link.index => Some(*was_set),
        Some(_) | None => None,
    }
}

/// What the ledger says of a project's wish, and whether it is so.
pub fn found(entry: &Entry, links: &[LinkFact]) -> Option<FoundResource> {
    let Some(Note::Promiscuity { link, index, .. }) = &entry.note else {
        return None;
    };
    let there = links
        .iter()
        .find(|fact| fact.index == *index && fact.name == link.as_str());
    let spec = Spec::Promiscuity(PromiscuitySpec { link: link.clone() });
    Some(FoundResource {
        hash: crate::model::hash::of(&spec),
        damage: match there {
            None => vec![format!("`{link}` is gone, or another link has its name")],
            Some(fact) if !fact.promiscuous_flag => vec!["someone cleared the flag".to_owned()],
            Some(_) => Vec::new(),
        },
        link: Some(link.clone()),
        spec,
    })
}
