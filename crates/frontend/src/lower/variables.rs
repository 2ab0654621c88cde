//! Variables in the order in which they were first set, found by name in constant time: a stage may
//! have thousands, and each instruction looks some up.

use std::collections::HashMap;

/// Names with values.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    entries: Vec<(String, String)>,
    /// Where a name is in `entries`.
    places: HashMap<String, usize>,
}

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|place| self.entries[*place].1.as_str())
    }

    /// Sets a variable; one that exists keeps its place.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        if let Some(place) = self.places.get(name) {
            value.clone_into(&mut self.entries[*place].1);
        } else {
            self.places.insert(name.to_owned(), self.entries.len());
            self.entries.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Returns the names in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Returns `NAME=value` texts in order.
    pub(super) fn to_env(&self) -> Vec<String> {
        self.entries.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_exists_keeps_its_place() {
        let mut variables = Variables::default();
        for (name, value) in [("A", "1"), ("B", ""), ("A", "2=3"), ("C", ""), ("B", "b")] {
            variables.set(name, value);
        }
        assert_eq!(variables.to_env(), ["A=2=3", "B=b", "C="]);
        assert_eq!(variables.names().collect::<Vec<_>>(), ["A", "B", "C"]);
        assert_eq!((variables.get("A"), variables.get("D")), (Some("2=3"), None));
    }
}
