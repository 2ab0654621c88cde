use super::Case;
pub(crate) const CASES: [(&str, Case); 0] = [];
