//! Predicted against seen. Every disagreement is a mistake of this tool's rules, or a fault of the machine that the rules
//! do not know of; both are worth being told.

use serde::{Deserialize, Serialize};

use crate::reach::predict::Cell;
use crate::reach::verdict::{Failure, Verdict};

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub outcome: SeenOutcome,
    /// What the kernel or the resolver said, in its words.
    pub detail: String,
    pub milliseconds: u64,
}

/// The same words as a prediction's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenOutcome {
    Ok,
    Fail(Failure),
    /// UDP: dropped on the way, or not understood.
    Silent,
    /// The probe could not be made.
    Unclear,
}

impl Seen {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self.outcome {
            SeenOutcome::Ok => "ok",
            SeenOutcome::Fail(failure) => failure.word(),
            SeenOutcome::Silent => "silent",
            SeenOutcome::Unclear => "unclear",
        }
    }
}

/// How a prediction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// Nothing was probed.
    NotSeen,
    /// Both ok, or both the same kind of failure.
    Agree,
    /// Both fail, in different ways.
    OtherKind,
    /// One says yes and the other no.
    Differs,
    /// The prediction hung on a fact, and now it is known.
    Unpredicted,
    /// The probe could not tell.
    Unclear,
}

impl Agreement {
    /// The word in output.
    pub fn word(self) -> &'static str {
        match self {
            Agreement::NotSeen => "not-seen",
            Agreement::Agree => "agree",
            Agreement::OtherKind => "other-kind",
            Agreement::Differs => "differ",
            Agreement::Unpredicted => "unpredicted",
            Agreement::Unclear => "unclear",
        }
    }
}

/// A cell with what was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    pub cell: Cell,
    pub seen: Option<Seen>,
    pub agreement: Agreement,
}

/// Holds one prediction against what was seen.
pub fn compare(cell: Cell, seen: Option<Seen>) -> Compared {
    let also = cell
        .prediction
        .obstacle
        .as_ref()
        .and_then(|obstacle| obstacle.also);
    let agreement = match (
        &cell.prediction.verdict,
        seen.as_ref().map(|seen| seen.outcome),
    ) {
        (_, None) => Agreement::NotSeen,
        (Verdict::Fail(predicted), Some(SeenOutcome::Silent))
            if *predicted == Failure::Timeout || also == Some(Failure::Timeout) =>
        {
            Agreement::Agree
        }
        (_, Some(SeenOutcome::Silent | SeenOutcome::Unclear)) => Agreement::Unclear,
        (Verdict::Depends(_), Some(_)) => Agreement::Unpredicted,
        (Verdict::Ok, Some(SeenOutcome::Ok)) => Agreement::Agree,
        (Verdict::Fail(predicted), Some(SeenOutcome::Fail(failure))) => {
            if *predicted == failure || also == Some(failure) {
                Agreement::Agree
            } else {
                Agreement::OtherKind
            }
        }
        (Verdict::Ok, Some(SeenOutcome::Fail(_))) | (Verdict::Fail(_), Some(SeenOutcome::Ok)) => {
            Agreement::Differs
        }
    };
    Compared {
        cell,
        seen,
        agreement,
    }
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub cells: usize,
    pub predicted_only: usize,
    pub agree: usize,
    pub other_kind: usize,
    pub differ: usize,
    /// Neither agreement nor disagreement: the probe or the prediction could not say.
    pub unclear: usize,
}

impl Counts {
    /// Counts the cells.
    pub fn of(cells: &[Compared]) -> Counts {
        let mut counts = Counts {
            cells: cells.len(),
            ..Counts::default()
        };
        for cell in cells {
            match cell.agreement {
                Agreement::NotSeen => counts.predicted_only += 1,
                Agreement::Agree => counts.agree += 1,
                Agreement::OtherKind => counts.other_kind += 1,
                Agreement::Differs => counts.differ += 1,
                Agreement::Unpredicted | Agreement::Unclear => counts.unclear += 1,
            }
        }
        counts
    }

    /// What the shell is told after a probe: 0 all agree, 1 some differ, 2 nothing could be seen, 3 some could not be
    /// told.
    pub fn code(&self) -> u8 {
        if self.agree + self.other_kind + self.differ + self.unclear == 0 {
            2
        } else if self.other_kind + self.differ > 0 {
            1
        } else if self.unclear > 0 {
            3
        } else {
            0
        }
    }
}
