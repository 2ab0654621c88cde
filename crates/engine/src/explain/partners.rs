//! Which step of one build is which of another.

use std::collections::{HashMap, VecDeque};

use crate::record::Step;

/// Returns for each of the new steps its partner among the old ones.
pub(crate) fn partners(old: &[Step], new: &[Step]) -> Vec<Option<usize>> {
    let mut partners = vec![None; new.len()];
    let mut taken = vec![false; old.len()];
    pair(old, new, &mut partners, &mut taken, |step| (step.stage.as_str(), step.instruction()));
    pair(old, new, &mut partners, &mut taken, |step| ("", step.instruction()));
    pair(old, new, &mut partners, &mut taken, |step| (step.stage.as_str(), keyword(step)));
    partners
}

/// Pairs those that are left and have equal names, in order.
fn pair<'a>(
    old: &'a [Step],
    new: &'a [Step],
    partners: &mut [Option<usize>],
    taken: &mut [bool],
    name: impl Fn(&'a Step) -> (&'a str, &'a str),
) {
    let mut left: HashMap<_, VecDeque<usize>> = HashMap::new();
    for (index, step) in old.iter().enumerate().filter(|(index, _)| !taken[*index]) {
        left.entry(name(step)).or_default().push_back(index);
    }
    for (step, partner) in new.iter().zip(partners).filter(|(_, partner)| partner.is_none()) {
        *partner = left.get_mut(&name(step)).and_then(VecDeque::pop_front);
        if let Some(index) = partner {
            taken[*index] = true;
        }
    }
}

fn keyword(step: &Step) -> &str {
    step.instruction().split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(names: &[(&str, &str)]) -> Vec<Step> {
        let step = |(stage, text): &(&str, &str)| Step {
            name: format!("[{stage} 1/9] {text}"),
            stage: (*stage).to_owned(),
            ..Step::default()
        };
        names.iter().map(step).collect()
    }

    #[test]
    fn steps_are_paired_by_text_then_by_instruction() {
        let old = steps(&[
            ("a", "FROM alpine:3.19"),
            ("a", "RUN make"),
            ("a", "COPY . ."),
            ("b", "FROM busybox"),
            ("b", "RUN make"),
        ]);
        let new = steps(&[
            ("a", "FROM alpine:3.20"),
            ("a", "WORKDIR /src"),
            ("a", "COPY . ."),
            ("a", "RUN make all"),
            ("c", "FROM busybox"),
            ("c", "RUN make"),
        ]);
        // `RUN make` of the stage that is called `c` now is the first one left with that text.
        let expected = [Some(0), None, Some(2), None, Some(3), Some(1)];
        assert_eq!(partners(&old, &new), expected);
        assert_eq!(partners(&[], &new), [None; 6]);
    }
}
