//! Progress as data: one JSON document per line, in the form of BuildKit's `SolveStatus`
//! (`vertexes`, `statuses`, `logs`, `warnings`), so that its readers work on ours.
//!
//! BuildKit names a vertex by a digest; ours are numbered in one build, which is written as
//! a digest-like text `step:3`. Bytes of logs are raw, in base64.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lathe_event::{Disposition, Event, StepId, Stream, Transfer, TransferId};
use serde_json::{Value, json};

use super::{Renderer, Size};
use crate::render::rfc3339;

/// The renderer.
#[derive(Debug)]
pub(super) struct RawJson {
    /// When the command began, since 1970.
    epoch: Duration,
    steps: BTreeMap<StepId, (Arc<str>, Duration)>,
    transfers: BTreeMap<TransferId, (Transfer, Duration, u64)>,
}

impl RawJson {
    pub(super) fn new(epoch: Duration) -> Self {
        Self { epoch, steps: BTreeMap::new(), transfers: BTreeMap::new() }
    }

    fn time(&self, now: Duration) -> String {
        rfc3339(self.epoch + now)
    }

    fn vertex(&self, id: StepId, fields: &Value) -> Value {
        let name = self.steps.get(&id).map(|(name, _)| &**name);
        let mut vertex = json!({ "digest": digest(id), "name": name });
        merge(&mut vertex, fields);
        json!({ "vertexes": [vertex] })
    }

    fn ended(&self, now: Duration, id: StepId, fields: &Value) -> Value {
        let started = self.steps.get(&id).map_or(now, |(_, started)| *started);
        let mut all = json!({ "started": self.time(started), "completed": self.time(now) });
        merge(&mut all, fields);
        self.vertex(id, &all)
    }

    fn status(&self, now: Duration, id: TransferId, fields: &Value) -> Option<Value> {
        let (transfer, started, done) = self.transfers.get(&id)?;
        let mut status = json!({
            "id": &*transfer.label,
            "name": format!("{:?}", transfer.kind).to_lowercase(),
            "current": done,
            "timestamp": self.time(now),
            "started": self.time(*started),
        });
        if let Some(step) = transfer.step {
            status["vertex"] = digest(step).into();
        }
        if let Some(total) = transfer.total {
            status["total"] = total.into();
        }
        merge(&mut status, fields);
        Some(json!({ "statuses": [status] }))
    }

    fn document(&mut self, now: Duration, event: &Event) -> Option<Value> {
        match event {
            Event::BuildStarted(_) => None,
            Event::Planned { steps } => {
                self.steps.extend(steps.iter().map(|(id, name)| (*id, (Arc::clone(name), now))));
                let all: Vec<Value> = steps
                    .iter()
                    .map(|(id, name)| json!({ "digest": digest(*id), "name": &**name }))
                    .collect();
                Some(json!({ "vertexes": all }))
            }
            Event::StepStarted(id) => {
                if let Some((_, started)) = self.steps.get_mut(id) {
                    *started = now;
                }
                Some(self.vertex(*id, &json!({ "started": self.time(now) })))
            }
            Event::StepLog { step, stream, bytes } => {
                let stream = match stream {
                    Stream::Stdout => 1,
                    Stream::Stderr => 2,
                };
                Some(json!({ "logs": [{
                    "vertex": digest(*step),
                    "stream": stream,
                    "data": STANDARD.encode(bytes),
                    "timestamp": self.time(now),
                }] }))
            }
            Event::StepFinished { step, disposition, .. } => match disposition {
                Disposition::Hit => Some(self.ended(now, *step, &json!({ "cached": true }))),
                Disposition::Ran => Some(self.ended(now, *step, &json!({}))),
                Disposition::Skipped | Disposition::WouldRun | Disposition::Unknown => None,
            },
            Event::StepFailed { step, message, .. } => {
                Some(self.ended(now, *step, &json!({ "error": &**message })))
            }
            Event::TransferStarted(transfer) => {
                self.transfers.insert(transfer.id, (transfer.clone(), now, 0));
                self.status(now, transfer.id, &json!({}))
            }
            Event::TransferTotal { id, total } => {
                if let Some((transfer, _, _)) = self.transfers.get_mut(id) {
                    transfer.total = Some(*total);
                }
                None
            }
            Event::TransferProgress { id, done } => {
                if let Some((_, _, current)) = self.transfers.get_mut(id) {
                    *current = *done;
                }
                self.status(now, *id, &json!({}))
            }
            Event::TransferFinished(id) => {
                let last = self.status(now, *id, &json!({ "completed": self.time(now) }));
                self.transfers.remove(id);
                last
            }
            Event::Warning(text) => Some(warning(1, text)),
            Event::Note(text) => Some(warning(0, text)),
        }
    }
}

impl Renderer for RawJson {
    fn event(&mut self, now: Duration, event: &Event, out: &mut Vec<u8>) {
        if let Some(document) = self.document(now, event) {
            out.extend_from_slice(document.to_string().as_bytes());
            out.push(b'\n');
        }
    }

    fn finish(&mut self, _now: Duration, _size: Size, _out: &mut Vec<u8>) {}
}

fn warning(level: u8, text: &str) -> Value {
    json!({ "warnings": [{ "level": level, "short": STANDARD.encode(text) }] })
}

fn digest(id: StepId) -> String {
    format!("step:{}", id.0)
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}
