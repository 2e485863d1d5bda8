//! The journal: what it keeps, and disks that are full, missing or were cut off.

use std::sync::Arc;

use futures_util::stream::{self};
use stack::apply::event::Silence;
use stack::apply::journal::{Journal, JournalError, Paper, replay};
use stack::apply::report::Outcome;
use stack::apply::status::Act;
use stack::apply::{Options, run};
use stack::plan::spec::{Kind, Spec};
use stack::plan::step::{Milestone, State, Step, StepIndex, Undo};

use super::{container, heading, plan, step, volume, world};

/// Paper with room for so many lines.
struct SmallPaper(usize);

impl std::io::Write for SmallPaper {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        match self.0 {
            0 => Err(std::io::ErrorKind::StorageFull.into()),
            _ => {
                self.0 -= 1;
                Ok(text.len())
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper for SmallPaper {
    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_stops_the_run_and_all_is_taken_back() {
    let steps: Vec<Step> = (0..4).map(|n| volume(&format!("v{n}"))).collect();
    let edges: Vec<_> = (1..4).map(|n| (n - 1, n, Milestone::Done)).collect();
    let plan = plan(steps, &edges);
    for lines in 0..8 {
        let world = world();
        let before = world.snapshot();
        let path = std::path::Path::new("/nowhere/lab.journal");
        let journal = Journal::on(path, Box::new(SmallPaper(lines)), &plan);
        let options = Options::default();
        let report = run(
            &plan,
            &world,
            Some(journal),
            &Silence,
            &options,
            stream::pending(),
        )
        .await;
        assert_eq!(report.outcome, Outcome::Failed, "{lines}");
        assert_eq!(world.snapshot(), before, "{lines}");
        assert_eq!(
            report.failures[0].error,
            "cannot write to the journal `/nowhere/lab.journal`: no storage space"
        );
    }
}

/// Runs in a thread of its own, with a file system of 64 kB mounted where only that thread sees it.
fn with_small_disk<T: Send>(test: impl FnOnce(&std::path::Path) -> T + Send) -> Result<T, String> {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = directory.path();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let flags = CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS;
            unshare(flags).map_err(|errno| format!("no mount namespace of its own: {errno}"))?;
            let none = None::<&str>;
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(none, "/", none, private, none).map_err(|errno| errno.to_string())?;
            let size = Some("size=64k");
            mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), size)
                .map_err(|errno| errno.to_string())?;
            Ok(test(path))
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn a_journal_on_a_full_disk_is_an_error_before_anything_happens() {
    let steps = |count: usize| (0..count).map(|n| volume(&format!("v{n}"))).collect();
    let small = plan(steps(1), &[]);
    let large = plan(steps(200), &[]);
    let tested = with_small_disk(|disk| {
        let path = disk.join("lab.journal");
        let error = Journal::begin(&path, &heading(), &large).err();
        let left = path.exists();
        let fits = Journal::begin(&path, &heading(), &small).is_ok();
        (error, left, fits)
    });
    let (error, left, fits) = match tested {
        Ok(tested) => tested,
        Err(reason) => return println!("skipped: {reason}"),
    };
    assert!(
        matches!(error, Some(JournalError::Write { .. })),
        "{error:?}"
    );
    assert!(!left);
    assert!(fits);
}

#[test]
fn a_journal_that_cannot_be_made_is_an_error_before_anything_happens() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![volume("a")], &[]);
    let missing = directory.path().join("no/such/lab.journal");
    let error = Journal::begin(&missing, &heading(), &plan).err().unwrap();
    assert!(matches!(error, JournalError::Create { .. }), "{error}");
    assert!(!missing.exists());
}

#[test]
fn a_torn_last_line_is_as_if_it_were_not_there_and_a_torn_middle_is_told() {
    use stack::apply::status::{Act, Status};
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lab.journal");
    let plan = plan(vec![volume("a"), volume("b")], &[]);
    let mut journal = Journal::begin(&path, &heading(), &plan).unwrap();
    journal.note(StepIndex(0), Act::Start).unwrap();
    journal.note(StepIndex(0), Act::Finish).unwrap();
    let whole = std::fs::read(&path).unwrap();
    // Cut at every byte: replay must never fail, and never know more than what is whole.
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let lines = whole[..cut].iter().filter(|&&byte| byte == b'\n').count();
        let status = replay(&path, "one")
            .unwrap()
            .map(|found| found.statuses.of(StepIndex(0)));
        let expected = [
            None,
            Some(Status::Planned),
            Some(Status::Started),
            Some(Status::Done),
        ];
        assert_eq!(status, expected[lines], "cut at {cut}");
    }
    // A run that goes on behind a torn line writes a whole one.
    std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    let unfinished = replay(&path, "one").unwrap().unwrap();
    let mut journal = Journal::resume(&unfinished).unwrap();
    journal.note(StepIndex(0), Act::Undo).unwrap();
    let unfinished = replay(&path, "one").unwrap().unwrap();
    assert_eq!(unfinished.statuses.of(StepIndex(0)), Status::Undoing);

    std::fs::write(&path, &whole).unwrap();
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    file.write_all(b"\0\0\0\n{\"step\":1,\"act\":\"start\"}\n")
        .unwrap();
    let error = replay(&path, "one").unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "line 4 of the journal `{}` is not what this program writes",
            path.display()
        )
    );
    // After a power cut the hole is where the journal ends.
    let unfinished = replay(&path, "two").unwrap().unwrap();
    assert!(unfinished.rebooted);
    assert_eq!(unfinished.statuses.of(StepIndex(1)), Status::Planned);

    std::fs::write(&path, &whole).unwrap();
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    file.write_all(b"{\"step\":1,\"act\":\"undone\"}\n")
        .unwrap();
    let error = replay(&path, "one").unwrap_err().to_string();
    assert!(
        error.ends_with("step 1 is Planned and cannot Undone"),
        "{error}"
    );
}

#[test]
fn steps_that_must_not_be_forgotten_are_known() {
    use stack::apply::journal::careful;
    use stack::plan::spec::{ExistingContainer, PromiscuitySpec};
    let old = Arc::new(Spec::Existing(ExistingContainer {
        engine_id: "0123456789abcdef".into(),
        name: "b".into(),
        service: None,
        number: 1,
        stop_timeout: None,
        remove_volumes: false,
        anonymous_volumes: Vec::new(),
        pre_stop: Vec::new(),
    }));
    let park = Step {
        before: State::Running(Arc::clone(&old)),
        after: State::Parked(old),
        ..container("b")
    };
    let flag = Spec::Promiscuity(PromiscuitySpec {
        link: "eth0".parse().unwrap(),
    });
    assert_eq!(flag.id().kind, Kind::Promiscuity);
    let steps = vec![
        park,
        container("b"),
        container("c"),
        step(flag, State::Present),
    ];
    assert_eq!(careful(&plan(steps, &[])), [true, true, false, true]);
}

#[test]
fn what_a_killed_run_had_asked_for_is_asked_for_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.journal");
    let removal = |name: &str| Step {
        undo: Undo::Never,
        ..container(name).inverse()
    };
    let made = container("made");
    let plan = plan(
        vec![removal("asked"), removal("done"), removal("later"), made],
        &[],
    );
    let mut journal = Journal::begin(&path, &heading(), &plan).unwrap();
    for (step, act) in [
        (0, Act::Start),
        (1, Act::Start),
        (1, Act::Finish),
        (3, Act::Start),
    ] {
        journal.note(StepIndex(step), act).unwrap();
    }
    drop(journal);
    let unfinished = replay(&path, &heading().boot).unwrap().unwrap();
    let requests = unfinished.requests();
    let names: Vec<&str> = requests.steps.iter().map(|step| &*step.id.name).collect();
    // What can be taken back is taken back instead.
    assert_eq!(names, ["asked"]);
    let undone = unfinished.unwind();
    let names: Vec<&str> = undone.steps.iter().map(|step| &*step.id.name).collect();
    assert_eq!(names, ["made"]);
}
