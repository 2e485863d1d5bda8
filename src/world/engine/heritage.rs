//! What a container leaves to the one that replaces it: its anonymous volumes, which have no name in any file and whose
//! content would otherwise be lost with every change. Compose does the same.

use std::sync::Arc;

use bollard::models::MountPoint;

use crate::model::container::{Mount, MountSource};
use crate::plan::observed::is_anonymous;
use crate::plan::spec::ContainerSpec;

/// The spec with the old container's anonymous volumes at their places; none where it leaves nothing. A place that the
/// spec gives to something with a name of its own stays the spec's.
pub fn of(spec: &ContainerSpec, left: &[MountPoint]) -> Option<ContainerSpec> {
    let mut config = (*spec.config).clone();
    let mut taken_over = false;
    for mount in left {
        let (Some(name), Some(target)) = (&mount.name, &mount.destination) else {
            continue;
        };
        if mount.typ.as_deref() != Some("volume") || !is_anonymous(name) {
            continue;
        }
        let volume = MountSource::Volume {
            name: Some(name.clone()),
            no_copy: false,
            subpath: None,
        };
        match config.mounts.iter_mut().find(|own| own.target == *target) {
            Some(own) => {
                if let MountSource::Volume { name: None, .. } = own.source {
                    own.source = volume;
                    taken_over = true;
                }
            }
            None => {
                config.mounts.push(Mount {
                    target: target.clone(),
                    read_only: mount.rw == Some(false),
                    source: volume,
                });
                taken_over = true;
            }
        }
    }
    taken_over.then(|| ContainerSpec {
        config: Arc::new(config),
        ..spec.clone()
    })
}
