//! Steps of `up` for images.

use std::sync::Arc;

use crate::model::service::PullPolicy;
use crate::model::stack::Stack;
use crate::plan::desired::Desired;
use crate::plan::diff::PlanError;
use crate::plan::diff::draft::Draft;
use crate::plan::diff::up::{Marks, UpOptions, Writer};
use crate::plan::spec::{ImageSource, ImageSpec, ResourceId, Spec};
use crate::plan::step::{Plan, Reason, State, Step, StepIndex, Undo};

impl Writer<'_> {
    /// Images that are not there.
    pub(super) fn images(&mut self) {
        for (id, spec) in &self.desired.specs {
            if let Spec::Image(image) = spec.as_ref()
                && !self.observed.images.contains_key(&image.reference)
            {
                let step = image_step(&mut self.draft, id, image, self.options, Reason::Missing);
                self.marks.insert(
                    id.clone(),
                    Marks {
                        first: None,
                        create: Some(step),
                        start: None,
                    },
                );
            }
        }
    }
}

/// The plan that only fetches and builds images that must come whether or not they are there (`--build`,
/// `--pull always`): run before [`up`], so that an image that turns out the same recreates nothing.
pub fn fetch(stack: &Stack, desired: &Desired, options: &UpOptions) -> Result<Plan, PlanError> {
    let mut draft = Draft::default();
    for (id, spec) in &desired.specs {
        let Spec::Image(image) = spec.as_ref() else {
            continue;
        };
        let must_come = match &image.source {
            ImageSource::Build(_) => options.build,
            ImageSource::Pull(own) => options.pull.unwrap_or(*own) == PullPolicy::Always,
        };
        if must_come {
            image_step(
                &mut draft,
                id,
                image,
                options,
                Reason::Asked("a new image".to_owned()),
            );
        }
    }
    draft.finish(&stack.project)
}

fn image_step(
    draft: &mut Draft,
    id: &ResourceId,
    image: &ImageSpec,
    options: &UpOptions,
    reason: Reason,
) -> StepIndex {
    let mut wanted = image.clone();
    if let (ImageSource::Pull(policy), Some(asked)) = (&mut wanted.source, options.pull) {
        *policy = asked;
    }
    draft.push(Step {
        id: id.clone(),
        before: State::Absent,
        after: State::Present(Arc::new(Spec::Image(wanted))),
        reason,
        undo: Undo::Keep,
        farewell: false,
    })
}
