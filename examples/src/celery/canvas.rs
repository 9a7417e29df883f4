//! What follows a call: the rest of its chain, what it is linked to, and what is told of a failure.
//! Signatures are those of Celery's canvas.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::message::{Call, Fault, new_id};
use super::outcome::Outcome;
use super::scripts::Leaving;
use super::time::iso;

/// Groups and chains inside of each other: more is no work that a person has laid out.
const MAX_DEPTH: usize = 16;

/// The longest wait: it ends before the year 9999, up to which moments are written.
fn is_sane(wait: &Duration) -> bool {
    wait.as_secs() < 1 << 37
}

/// Collects what follows one call.
struct Following<'a> {
    call: &'a Call,
    queue: &'a str,
    leaving: Leaving,
    ids: Vec<String>,
}

/// What a call leaves that came from `queue` and ended so: its result, and the messages that follow.
///
/// # Errors
/// What follows cannot be run: a chord, or what is no signature. The call must then fail.
pub fn leaving(call: &Call, outcome: &Outcome, queue: &str) -> Result<Leaving, Fault> {
    if call.chord.is_some() && matches!(outcome, Outcome::Success(_)) {
        return Err(unsupported("chord"));
    }
    let mut following = Following { call, queue, leaving: Leaving::default(), ids: Vec::new() };
    match outcome {
        Outcome::Success(value) => {
            let mut chain = call.chain.clone();
            if let Some(next) = chain.pop() {
                following.apply(&next, Some(value), &chain, 0)?;
            }
            for callback in &call.callbacks {
                following.apply(callback, Some(value), &[], 0)?;
            }
        }
        Outcome::Failure(_) | Outcome::Revoked(_) => {
            for errback in &call.errbacks {
                // Nothing is left to fail: an errback that is none is passed over.
                drop(following.apply(errback, Some(&json!(call.id)), &[], 0));
            }
            // The rest of a chain never comes, and those who wait for it are told so.
            for never in call.chain.iter().chain(&call.chord) {
                following.fail(never, outcome);
            }
        }
        Outcome::Retry(_, after) => {
            let (retries, eta) = (call.retries + 1, Some(SystemTime::now() + *after));
            let again = Call { retries, eta, parent: Some(call.id.clone()), ..call.clone() };
            following.leaving.sends.push((queue.to_owned(), again));
        }
    }
    let Following { mut leaving, ids, .. } = following;
    leaving.success = matches!(outcome, Outcome::Success(_));
    leaving.result = (!call.ignore_result).then(|| outcome.to_text(call, &ids));
    Ok(leaving)
}

fn unsupported(what: &str) -> Fault {
    let text = format!("this worker runs chains, groups and links, not a {what}");
    Fault::new("NotImplementedError", text)
}

impl Following<'_> {
    /// Has a signature sent, with a value before its arguments, and a chain after it.
    fn apply(
        &mut self,
        signature: &Value,
        value: Option<&Value>,
        chain: &[Value],
        depth: usize,
    ) -> Result<(), Fault> {
        let no_signature = || Fault::new("ValueError", "what follows the task is no signature");
        let task = signature["task"].as_str().ok_or_else(no_signature)?;
        let members = signature["kwargs"]["tasks"].as_array();
        match (task, members) {
            ("celery.chain" | "celery.group", _) if depth == MAX_DEPTH => {
                return Err(unsupported("canvas nested so deep"));
            }
            ("celery.chain", Some(members)) => {
                let Some((first, rest)) = members.split_first() else { return Ok(()) };
                let rest: Vec<Value> = chain.iter().chain(rest.iter().rev()).cloned().collect();
                return self.apply(first, value, &rest, depth + 1);
            }
            ("celery.group", Some(members)) if chain.is_empty() => {
                return members.iter().try_for_each(|one| self.apply(one, value, &[], depth + 1));
            }
            // A group that something follows waits for all of its members.
            ("celery.chord" | "celery.group", _) => return Err(unsupported("chord")),
            _ => {}
        }
        let mut fields = signature["options"].as_object().cloned().unwrap_or_default();
        let queue = ["queue", "routing_key"].iter().find_map(|name| fields.get(*name)?.as_str());
        let queue = queue.unwrap_or(self.queue).to_owned();
        for (option, field) in [
            ("task_id", "id"),
            ("group_id", "group"),
            ("link", "callbacks"),
            ("link_error", "errbacks"),
        ] {
            let value = fields.remove(option);
            fields.extend(value.map(|value| (field.to_owned(), value)));
        }
        for (option, field) in [("countdown", "eta"), ("expires", "expires")] {
            if let Some(seconds) = fields.get(option).and_then(Value::as_f64) {
                let wrong = || Fault::new("ValueError", format!("{option} is no time to wait"));
                let wait = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
                let moment = SystemTime::now() + Some(wait).filter(is_sane).ok_or_else(wrong)?;
                fields.insert(field.to_owned(), json!(iso(moment)));
            }
        }
        let limits = ["time_limit", "soft_time_limit"].map(|name| fields.get(name).cloned());
        let is_immutable = signature["immutable"].as_bool().unwrap_or(false);
        let given = signature["args"].as_array().into_iter().flatten();
        let args: Vec<&Value> = value.filter(|_| !is_immutable).into_iter().chain(given).collect();
        let root = self.call.root.as_ref().unwrap_or(&self.call.id);
        for (name, value) in [
            ("task", json!(task)),
            ("args", json!(args)),
            ("kwargs", signature["kwargs"].clone()),
            ("timelimit", json!(limits)),
            ("chain", json!(chain)),
            ("root_id", json!(root)),
            ("parent_id", json!(self.call.id)),
        ] {
            fields.insert(name.to_owned(), value);
        }
        fields.entry("id").or_insert_with(|| json!(new_id()));
        let priority = fields.get("priority").and_then(Value::as_u64);
        let priority = priority.map_or(self.call.priority, |priority| priority.min(9) as u8);
        let call = Call { priority, ..Call::of(fields)? };
        self.ids.push(call.id.clone());
        self.leaving.sends.push((queue, call));
        Ok(())
    }

    /// Has those told who wait for a signature that will never run.
    fn fail(&mut self, signature: &Value, outcome: &Outcome) {
        let id = signature["options"]["task_id"].as_str();
        if let Some(id) = id.filter(|id| *id != self.call.id) {
            let never = Call { id: id.to_owned(), ..Call::default() };
            self.leaving.others.push((id.to_owned(), outcome.to_text(&never, &[])));
        }
        if signature["subtask_type"] == "chord" {
            self.fail(&signature["kwargs"]["body"], outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn ends(call: &Call, outcome: &Outcome) -> Vec<(String, Call)> {
        let leaving = leaving(call, outcome, "q").expect("it can be run");
        leaving.sends
    }

    fn signature(task: &str, more: Value) -> Value {
        let mut whole = json!({"task": task, "args": [], "kwargs": {}, "options": {}});
        for (name, value) in more.as_object().expect("an object") {
            whole[name] = value.clone();
        }
        whole
    }

    #[test]
    fn the_rest_of_a_chain_is_sent_with_the_result_before_its_arguments() {
        let last = signature("c", json!({"immutable": true, "args": [9]}));
        let next = signature("b", json!({"args": [2], "options": {"task_id": "B", "queue": "r"}}));
        let call = Call { chain: vec![last.clone(), next], ..Call::new("a", vec![], Map::new()) };
        let [(queue, sent)] = &ends(&call, &Outcome::Success(json!(1)))[..] else { panic!("one") };
        assert_eq!((&**queue, &*sent.task, &*sent.id), ("r", "b", "B"));
        assert_eq!((&sent.args, &sent.chain), (&vec![json!(1), json!(2)], &vec![last]));
        assert_eq!((&sent.parent, &sent.root), (&Some(call.id.clone()), &Some(call.id.clone())));
        let [(_, sent)] = &ends(sent, &Outcome::Success(json!(3)))[..] else { panic!("one") };
        assert_eq!((&*sent.task, &sent.args), ("c", &vec![json!(9)]));
        assert_eq!(sent.root, Some(call.id));
    }

    #[test]
    fn groups_and_chains_are_taken_apart_and_chords_refused() {
        let group = signature(
            "celery.group",
            json!({"kwargs": {"tasks": [
                signature("x", json!({})),
                signature("celery.chain", json!({"kwargs": {"tasks": [
                    signature("y", json!({})), signature("z", json!({}))]}})),
            ]}}),
        );
        let call =
            |link: Value| Call { callbacks: vec![link], ..Call::new("a", vec![], Map::new()) };
        let sent = ends(&call(group.clone()), &Outcome::Success(json!(1)));
        assert_eq!(sent.iter().map(|(_, sent)| &*sent.task).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(sent[1].1.chain[0]["task"], "z");
        let mut deep = group.clone();
        for _ in 0..100 {
            deep = signature("celery.group", json!({"kwargs": {"tasks": [deep]}}));
        }
        for refused in [
            signature("celery.chord", json!({})),
            signature(
                "celery.chain",
                json!({"kwargs": {"tasks": [group, signature("b", json!({}))]}}),
            ),
            json!("no signature"),
            signature("x", json!({"options": {"eta": "soon"}})),
            signature("x", json!({"options": {"countdown": -1}})),
            signature("x", json!({"options": {"countdown": 1e300}})),
            deep,
        ] {
            assert!(leaving(&call(refused), &Outcome::Success(json!(1)), "q").is_err());
        }
        let part = Call { chord: Some(json!({})), ..Call::new("a", vec![], Map::new()) };
        assert!(leaving(&part, &Outcome::Success(json!(1)), "q").is_err());
    }

    #[test]
    fn a_failure_is_told_to_errbacks_and_to_all_that_never_runs() {
        let with_id = |id: &str| signature("b", json!({"options": {"task_id": id}}));
        let call = Call {
            chain: vec![with_id("C"), with_id("B")],
            errbacks: vec![signature("told", json!({}))],
            chord: Some(with_id("body")),
            ..Call::new("a", vec![], Map::new())
        };
        let outcome = Outcome::Failure(Fault::new("ValueError", "no"));
        let sent = ends(&call, &outcome);
        assert_eq!((&*sent[0].1.task, &sent[0].1.args), ("told", &vec![json!(call.id)]));
        let others = leaving(&call, &outcome, "q").expect("it can be run").others;
        let ids: Vec<&str> = others.iter().map(|(id, _)| &**id).collect();
        assert_eq!(ids, ["C", "B", "body"]);
        assert!(others.iter().all(|(_, text)| text.contains("\"status\":\"FAILURE\"")));
    }
    #[test]
    fn what_is_tried_again_is_the_same_call_at_a_later_moment() {
        let call =
            Call { retries: 1, group: Some("g".to_owned()), ..Call::new("a", vec![], Map::new()) };
        let outcome = Outcome::Retry(Fault::new("ConnectionError", "no"), Duration::from_secs(9));
        let now = SystemTime::now();
        let [(queue, again)] = &ends(&call, &outcome)[..] else { panic!("one") };
        assert!(again.eta > Some(now), "{again:?}");
        let parent = Some(call.id.clone());
        assert_eq!((&**queue, again), ("q", &Call { retries: 2, parent, eta: again.eta, ..call }));
        let mut texts = [0; 2].map(|_| again.to_message("q"));
        texts.sort();
        assert_ne!(texts[0], texts[1], "each with a tag of its own");
    }
}
