//! One line of the table: what each tool took, what lathe may take at most, and the floor.

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    Megabytes,
}

/// One measurement, for all tools.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) what: String,
    pub(super) unit: Unit,
    /// In the order of the tools, lathe's first; what was not measured is `None`.
    pub(super) figures: Vec<Option<f64>>,
    /// What plain programs took for the part that has to be.
    pub(super) floor: Option<f64>,
    /// What BuildKit took on another machine of the same kind, at another time.
    pub(super) elsewhere: Option<f64>,
    /// Highest figure of lathe that is good enough.
    pub(super) limit: Option<f64>,
    /// What has to be known besides, as the rest of a sentence.
    pub(super) note: String,
}

impl Row {
    pub(super) fn new(id: &str, what: &str, unit: Unit, figures: Vec<Option<f64>>) -> Self {
        Self {
            id: id.to_owned(),
            what: what.to_owned(),
            unit,
            figures,
            floor: None,
            elsewhere: None,
            limit: None,
            note: String::new(),
        }
    }

    /// Adds a highest figure; the least of all is the limit.
    pub(super) fn at_most(mut self, limit: f64) -> Self {
        self.limit = Some(self.limit.map_or(limit, |other| other.min(limit)));
        self
    }

    /// Makes a part of what another tool took in this run a highest figure, if that tool is here.
    pub(super) fn at_most_of(self, names: &[&str], name: &str, part: f64) -> Self {
        let index = names.iter().position(|other| *other == name);
        match index.and_then(|index| self.figures.get(index).copied().flatten()) {
            Some(figure) => self.at_most(figure * part),
            None => self,
        }
    }

    /// Makes a part of what `BuildKit` takes a highest figure: in this run if it is here, else elsewhere.
    pub(super) fn at_most_of_buildkit(self, names: &[&str], part: f64) -> Self {
        let here = names.iter().position(|name| *name == "BuildKit");
        match (here.and_then(|index| self.figures.get(index).copied().flatten()), self.elsewhere) {
            (Some(figure), _) | (None, Some(figure)) => self.at_most(figure * part),
            (None, None) => self,
        }
    }

    pub(super) fn floor(self, floor: Option<f64>) -> Self {
        Self { floor, ..self }
    }

    pub(super) fn elsewhere(self, figure: f64) -> Self {
        Self { elsewhere: Some(figure), ..self }
    }

    pub(super) fn note(self, note: String) -> Self {
        Self { note, ..self }
    }

    /// Returns lathe's figure.
    pub(super) fn own(&self) -> Option<f64> {
        self.figures.first().copied().flatten()
    }

    /// Returns how many times lathe's figure the other tool's is.
    pub(super) fn ratio(&self, tool: usize) -> Option<f64> {
        Some(self.figures.get(tool).copied().flatten()? / self.own()?)
    }

    /// Returns whether lathe is good enough, if that is known.
    pub(super) fn is_reached(&self) -> Option<bool> {
        Some(self.own()? <= self.limit?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(figures: Vec<Option<f64>>) -> Row {
        Row::new("x", "a thing", Unit::Seconds, figures)
    }

    #[test]
    fn a_goal_is_reached_or_missed() {
        assert_eq!(row(vec![Some(40.0)]).at_most(40.0).is_reached(), Some(true));
        assert_eq!(row(vec![Some(40.1)]).at_most(40.0).is_reached(), Some(false));
        assert_eq!(row(vec![None]).at_most(40.0).is_reached(), None);
        assert_eq!(row(vec![Some(1.0)]).is_reached(), None);
    }

    #[test]
    fn the_least_of_the_limits_counts() {
        let names = ["lathe", "buildah", "BuildKit"];
        let here = row(vec![Some(1.0), Some(30.0), Some(8.0)]).elsewhere(1.0);
        let limit = here.at_most_of_buildkit(&names, 0.25).at_most_of(&names, "buildah", 0.1);
        assert_eq!(limit.limit.map(f64::to_bits), Some(2.0_f64.to_bits()));
        let away = row(vec![Some(1.0)]).elsewhere(8.0).at_most_of_buildkit(&names, 0.5);
        assert_eq!(away.limit.map(f64::to_bits), Some(4.0_f64.to_bits()));
    }
}
