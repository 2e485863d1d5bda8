//! `stack why --probe`: what each hop really said, and nothing of what others say meanwhile.

use super::stands;
use crate::bed::Bed;
use crate::runner::{Failure, Outcome, holds};

/// On one bridge, in both address families, and by a published port.
pub fn hops(bed: &Bed) -> Result<Outcome, Failure> {
    stands(bed, include_str!("why.yaml"), |folder, named| {
        let why = |words: &str| {
            let ran = bed.stack(folder, &format!("{named} why {words} --probe"))?;
            ran.ok()
        };
        let bridge = |network: &str| -> Result<String, Failure> {
            let id = bed.docker(&format!(
                "network inspect --format {{{{.Id}}}} rwhy_{network}"
            ))?;
            Ok(format!("br-{}", id.trim().get(..12).unwrap_or_default()))
        };
        let (own, others) = (bridge("front")?, bridge("side")?);
        let ports = bed.shell(&format!("ls /sys/class/net/{others}/brif"))?;
        let noise: Vec<&str> = ports.split_whitespace().chain([others.as_str()]).collect();
        let quiet = |text: &str| !noise.iter().any(|link| text.contains(&format!("`{link}`")));

        let four = why("app web:80")?;
        for part in [
            "seen: ok (connected)",
            "as predicted",
            "`rwhy-app-1` sends to 10.111.0.9 through `eth0`",
            "`rwhy-app-1` has 10.111.0.9 in its neighbour table: ",
            "`eth0` of `rwhy-app-1`: ",
            "path MTU: 1500, as the link's",
        ] {
            holds(&format!("it says {part}:\n{four}"), four.contains(part))?;
        }
        holds(
            &format!("only links on the way are told:\n{four}"),
            quiet(&four),
        )?;

        let six = why("app [fd00:111::9]:80")?;
        for part in [
            "seen: ok (connected)",
            "`rwhy-app-1` has fd00:111::9 in its neighbour table: ",
        ] {
            holds(&format!("it says {part}:\n{six}"), six.contains(part))?;
        }

        let host = why("host web:80")?;
        for part in [
            &format!("`{own}` of `host`: "),
            "`host` has 10.111.0.9 in its neighbour table: ",
        ] {
            holds(&format!("it says {part}:\n{host}"), host.contains(part))?;
        }
        holds(
            &format!("only links on the way are told:\n{host}"),
            quiet(&host),
        )?;
        Ok(0)
    })?;
    Ok(Outcome::Passed)
}
