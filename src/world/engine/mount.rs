//! Mounts in the engine's two forms: binds, the older and lenient one (a missing path is created, labels for SELinux),
//! and mounts, which have options of their own.

use bollard::models::{
    Mount as EngineMount, MountBindOptions, MountBindOptionsPropagationEnum as Propagation,
    MountImageOptions, MountTmpfsOptions, MountType, MountVolumeOptions,
};

use crate::model::container::{Mount, MountSource};
use crate::world::WorldError;
use crate::world::engine::old::TooOld;

/// A container's mounts, each in the form that says all of it.
#[derive(Debug, Default, PartialEq)]
pub struct Mounted {
    /// `source:target[:options]`.
    pub binds: Vec<String>,
    pub mounts: Vec<EngineMount>,
}

/// The mounts as the engine takes them.
pub fn mounts(mounts: &[Mount], old: &TooOld) -> Result<Mounted, WorldError> {
    let mut mounted = Mounted::default();
    for mount in mounts {
        match as_bind(mount) {
            Some(bind) => mounted.binds.push(bind),
            None => mounted.mounts.push(as_mount(mount, old)?),
        }
    }
    Ok(mounted)
}

/// The mount as a bind, where that form says all of it: a host path that is created if it is missing.
fn as_bind(mount: &Mount) -> Option<String> {
    let Mount {
        target,
        read_only,
        source,
    } = mount;
    let MountSource::Bind {
        path,
        create_host_path,
        propagation,
        selinux,
        recursive,
    } = source
    else {
        return None;
    };
    let bind_form = *create_host_path || selinux.is_some();
    // A colon would be read as the end of the path.
    if !bind_form || recursive.is_some() || path.contains(':') || target.contains(':') {
        return None;
    }
    let options: Vec<&str> = read_only
        .then_some("ro")
        .into_iter()
        .chain(selinux.as_deref())
        .chain(propagation.as_deref())
        .collect();
    let options = if options.is_empty() {
        String::new()
    } else {
        format!(":{}", options.join(","))
    };
    Some(format!("{path}:{target}{options}"))
}

fn as_mount(mount: &Mount, old: &TooOld) -> Result<EngineMount, WorldError> {
    let Mount {
        target,
        read_only,
        source,
    } = mount;
    let base = EngineMount {
        target: Some(target.clone()),
        read_only: read_only.then_some(true),
        ..EngineMount::default()
    };
    Ok(match source {
        MountSource::Bind {
            path,
            create_host_path,
            propagation,
            selinux,
            recursive,
        } => {
            if *create_host_path {
                old.needs(
                    (1, 42),
                    "23.0",
                    "`bind: create_host_path` together with `recursive` or a path with a colon",
                )?;
            }
            if selinux.is_some() {
                return Err(old.refuse(format!(
                    "`bind: selinux` cannot be combined with `recursive` or a path with a colon ({path})"
                )));
            }
            EngineMount {
                typ: Some(MountType::BIND),
                source: Some(path.clone()),
                bind_options: Some(MountBindOptions {
                    propagation: propagation.as_deref().map(propagation_of),
                    create_mountpoint: create_host_path.then_some(true),
                    ..recursion(recursive.as_deref(), old)?
                }),
                ..base
            }
        }
        MountSource::Volume {
            name,
            no_copy,
            subpath,
        } => {
            if subpath.is_some() {
                old.needs((1, 45), "26.0", "`volume: subpath`")?;
            }
            EngineMount {
                typ: Some(MountType::VOLUME),
                source: name.clone(),
                volume_options: (*no_copy || subpath.is_some()).then(|| MountVolumeOptions {
                    no_copy: no_copy.then_some(true),
                    subpath: subpath.clone(),
                    ..MountVolumeOptions::default()
                }),
                ..base
            }
        }
        MountSource::Tmpfs { size, mode } => EngineMount {
            typ: Some(MountType::TMPFS),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: *size,
                mode: mode.map(i64::from),
                options: None,
            }),
            ..base
        },
        MountSource::Image { reference, subpath } => {
            old.needs((1, 48), "28.0", "a mount of type `image`")?;
            EngineMount {
                typ: Some(MountType::IMAGE),
                source: Some(reference.clone()),
                image_options: subpath.as_ref().map(|path| MountImageOptions {
                    subpath: Some(path.clone()),
                }),
                ..base
            }
        }
        MountSource::NamedPipe { path } => EngineMount {
            typ: Some(MountType::NPIPE),
            source: Some(path.clone()),
            ..base
        },
        MountSource::Cluster { name } => EngineMount {
            typ: Some(MountType::CLUSTER),
            source: Some(name.clone()),
            ..base
        },
    })
}

fn propagation_of(word: &str) -> Propagation {
    match word {
        "private" => Propagation::PRIVATE,
        "rprivate" => Propagation::RPRIVATE,
        "shared" => Propagation::SHARED,
        "rshared" => Propagation::RSHARED,
        "slave" => Propagation::SLAVE,
        "rslave" => Propagation::RSLAVE,
        _ => Propagation::EMPTY,
    }
}

fn recursion(word: Option<&str>, old: &TooOld) -> Result<MountBindOptions, WorldError> {
    let options = MountBindOptions::default();
    Ok(match word {
        None | Some("enabled") => options,
        Some("disabled") => MountBindOptions {
            non_recursive: Some(true),
            ..options
        },
        Some("writable") => {
            old.needs((1, 44), "25.0", "`bind: recursive: writable`")?;
            MountBindOptions {
                read_only_non_recursive: Some(true),
                ..options
            }
        }
        Some("readonly") => {
            old.needs((1, 44), "25.0", "`bind: recursive: readonly`")?;
            MountBindOptions {
                read_only_force_recursive: Some(true),
                ..options
            }
        }
        Some(other) => return Err(old.refuse(format!("`bind: recursive` knows no `{other}`"))),
    })
}
