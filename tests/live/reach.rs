//! Who reaches whom, asked for real: each stack below `reach/` is brought up, every cell of its matrix is predicted,
//! probed and compared, and not one may differ. What is told about the rules is thereby held against engine and kernel.

use std::path::Path;

use serde_json::Value;

use crate::bed::Bed;
use crate::runner::{Failure, Outcome, Run, Test, holds};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "reach::bridges_are_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/bridges.yaml"), 800)),
        },
        Test {
            name: "reach::both_address_families_are_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/families.yaml"), 200)),
        },
        Test {
            name: "reach::gateway_modes_are_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/gateway-modes.yaml"), 500)),
        },
        Test {
            name: "reach::ways_out_of_several_networks_are_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/multi-homed.yaml"), 800)),
        },
        Test {
            name: "reach::macvlan_bridge_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-bridge.yaml"), 100)),
        },
        Test {
            name: "reach::macvlan_private_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-private.yaml"), 100)),
        },
        Test {
            name: "reach::macvlan_vepa_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-vepa.yaml"), 100)),
        },
        Test {
            name: "reach::macvlan_vepa_with_a_reflecting_switch_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-reflect.yaml"), 100)),
        },
        Test {
            name: "reach::a_shim_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-shim.yaml"), 100)),
        },
        Test {
            name: "reach::a_strict_switch_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-strict.yaml"), 100)),
        },
    ]
}

/// Brings the stack up, compares at least so many cells, and takes it down whatever came of it.
fn agrees(bed: &Bed, file: &str, least: u64) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("stack.yaml");
    std::fs::write(&path, file)?;
    // Entering the host's mounts loses the working directory, so the file is named.
    let named = format!("-f {}", path.display());
    let compared = bed
        .stack(folder.path(), &format!("{named} up -d"))
        .and_then(|ran| ran.ok())
        .and_then(|_| compared(bed, folder.path(), &named, least));
    bed.stack(folder.path(), &format!("{named} down"))?.ok()?;
    compared?;
    Ok(Outcome::Passed)
}

fn compared(bed: &Bed, folder: &Path, named: &str, least: u64) -> Result<(), Failure> {
    let ran = bed.stack(
        folder,
        &format!("{named} reach --probe --with-responders --format json"),
    )?;
    let answer: Value = serde_json::from_str(&ran.stdout)
        .map_err(|error| format!("{error}: {}{}", ran.stdout, ran.stderr))?;
    let count = |name: &str| answer["counts"][name].as_u64().unwrap_or(0);
    let differ: Vec<String> = answer["cells"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|cell| {
            matches!(
                cell["agreement"].as_str(),
                Some("differ" | "other-kind" | "unclear" | "unpredicted")
            )
        })
        .map(|cell| {
            let text = |key: &str| cell[key].as_str().unwrap_or("-").to_owned();
            format!(
                "{} to {} {}: predicted {} {} {}, seen {} ({})",
                text("from"),
                text("to"),
                text("ask"),
                text("predicted"),
                text("reason"),
                text("rule"),
                text("seen"),
                text("seen_detail")
            )
        })
        .collect();
    println!(
        "  {} cells, {} agree, {} not asked, on engine {}",
        count("cells"),
        count("agree"),
        count("predicted_only"),
        bed.version()
    );
    if !differ.is_empty() {
        return Err(format!("{} cells differ:\n{}", differ.len(), differ.join("\n")).into());
    }
    holds(
        &format!("at least {least} cells were compared"),
        count("agree") >= least,
    )
}
