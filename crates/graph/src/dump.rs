//! The stable text form of a graph, for `--dump=graph` and for tests.

use std::fmt::Write as _;

use crate::BuildGraph;

/// Returns one paragraph for each vertex: name, inputs, parts.
pub fn dump(graph: &BuildGraph) -> String {
    let mut text = String::new();
    for (id, vertex) in graph.vertices() {
        let inputs: Vec<String> = vertex
            .inputs
            .iter()
            .map(|input| format!("{}{}", input.vertex.0, if input.by_content { "*" } else { "" }))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {} <- [{}]", id.0, vertex.meta.name, inputs.join(", "));
        for part in vertex.op.parts() {
            let _ = writeln!(text, "    {}: {}", part.name, part.value);
        }
    }
    text
}
