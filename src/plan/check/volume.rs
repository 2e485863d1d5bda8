//! Volumes that are there and that the file describes otherwise.

use crate::model::hash;
use crate::model::stack::Stack;
use crate::plan::check::Finding;
use crate::plan::desired::Desired;
use crate::plan::observed::Observed;
use crate::plan::spec::Spec;

/// Tells volumes that were made from other settings: they stay as they are, since their data would be lost.
pub fn check(stack: &Stack, desired: &Desired, observed: &Observed, findings: &mut Vec<Finding>) {
    for spec in desired.specs.values() {
        let Spec::Volume(wanted) = spec.as_ref() else {
            continue;
        };
        let mut found = observed.volumes.iter();
        let differs = found.any(|found| {
            let is_ours = found.project.as_deref() == Some(stack.project.as_str());
            let made_from = found.hash.as_ref();
            found.name == wanted.name
                && is_ours
                && made_from.is_some_and(|made_from| *made_from != hash::of(wanted))
        });
        if differs {
            let key = wanted.key.as_str();
            let message = format!(
                "volume `{}` was made with other settings than the file has now, and stays as it is",
                wanted.name
            );
            let finding = Finding::warning("volume-differs", &["volumes", key], message);
            findings.push(finding.hint(format!(
                "to have it made anew, without its data: stack down, docker volume rm {}, stack up",
                wanted.name
            )));
        }
    }
}
