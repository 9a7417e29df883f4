//! What comes of a call: its result, as Celery's result backend keeps it, and what follows: the rest of its
//! chain, what it is linked to, and what is told of a failure. Signatures are those of Celery's canvas.

use std::time::{Duration, SystemTime};

use derive_more::From;
use serde_json::{Value, json};

use super::QUEUE;
use super::message::{Call, Fault, iso, new_id, show};
use super::scripts::Leaving;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, From)]
pub enum Outcome {
    /// With a value.
    Success(Value),
    /// With an error.
    #[from]
    Failure(Fault),
    /// It was not run, or not to its end, since that was no longer wanted.
    Revoked(&'static str),
    /// It will be tried again after this time.
    Retry(Fault, Duration),
}

impl Outcome {
    /// As Celery's result backend keeps it.
    #[must_use]
    pub fn to_text(&self, call: &Call, children: &[&str]) -> String {
        let revoked = |why| Fault::new("celery.exceptions.TaskRevokedError", why).to_value();
        let (status, result) = match self {
            Outcome::Success(value) => ("SUCCESS", value.clone()),
            Outcome::Failure(fault) => ("FAILURE", fault.to_value()),
            Outcome::Retry(fault, _) => ("RETRY", fault.to_value()),
            Outcome::Revoked(why) => ("REVOKED", revoked(*why)),
        };
        let over = !matches!(self, Outcome::Retry(..));
        let children: Vec<Value> = children.iter().map(|id| json!([[id, null], null])).collect();
        json!({
            "status": status, "result": result, "traceback": null, "children": children,
            "date_done": over.then(|| iso(SystemTime::now())), "task_id": call.id,
            "group_id": call.group, "parent_id": call.parent,
        })
        .to_string()
    }

    /// Reads what a worker stored: the id, and the outcome if that is the end of it.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<(String, Option<Result<Value, String>>)> {
        let mut meta: Value = serde_json::from_slice(text).ok()?;
        let id = meta["task_id"].as_str()?.to_owned();
        let result = meta["result"].take();
        let end = match meta["status"].as_str()? {
            "SUCCESS" => Some(Ok(result)),
            "FAILURE" | "REVOKED" => {
                let class = result["exc_type"].as_str().unwrap_or("error");
                let said = result["exc_message"].as_array().into_iter().flatten().map(show);
                Some(Err(format!("{class}: {}", said.collect::<Vec<_>>().join(", "))))
            }
            // Started, to be tried again, or a state of the task's own: it goes on.
            _ => None,
        };
        Some((id, end))
    }
}

/// The options of a signature that have another name in a call.
const OPTIONS: [(&str, &str); 5] = [
    ("task_id", "id"),
    ("group_id", "group"),
    ("link", "callbacks"),
    ("link_error", "errbacks"),
    ("countdown", "eta"),
];

/// The options of a group, and of a chain for its first task, that say how to send.
const SENDING: &str = "queue routing_key priority eta countdown expires time_limit soft_time_limit";

/// Gives a member of a group or chain the options of this name that the whole has.
fn hand_on(whole: &Value, member: &mut Value, names: &str) {
    let Some(options) = member.get_mut("options").and_then(Value::as_object_mut) else { return };
    for name in names.split(' ') {
        match (&whole["options"][name], options.get_mut(name)) {
            (Value::Null, _) => {}
            (Value::Array(more), Some(Value::Array(known))) => known.extend_from_slice(more),
            (value, _) => drop(options.insert(name.to_owned(), value.clone())),
        }
    }
}

/// Collects what follows one call.
struct Following<'a> {
    call: &'a Call,
    leaving: Leaving,
}

/// What a call leaves that came from `queue` and ended so: its result, and the messages that follow.
///
/// # Errors
/// What follows cannot be run: a chord, or what is no signature. The call must then fail.
pub fn leaving(call: &Call, outcome: &Outcome, queue: &str) -> Result<Leaving, Fault> {
    if call.chord.is_some() && matches!(outcome, Outcome::Success(_)) {
        return Err(no_chord());
    }
    let mut following = Following { call, leaving: Leaving::default() };
    match outcome {
        Outcome::Success(value) => {
            if let Some((next, rest)) = call.chain.split_last() {
                following.apply(next, value, rest)?;
            }
            call.callbacks.iter().try_for_each(|callback| following.apply(callback, value, &[]))?;
        }
        Outcome::Failure(_) | Outcome::Revoked(_) => {
            for errback in &call.errbacks {
                // Nothing is left to fail: an errback that is none is passed over.
                drop(following.apply(errback, &json!(call.id), &[]));
            }
            // The rest of a chain never comes, and those who wait for it are told so.
            let never = call.chain.iter().chain(&call.chord);
            never.for_each(|signature| following.fail(signature, outcome));
        }
        Outcome::Retry(_, after) => {
            let (retries, eta) = (call.retries.saturating_add(1), Some(SystemTime::now() + *after));
            let again = Call { retries, eta, parent: Some(call.id.clone()), ..call.clone() };
            following.leaving.sends.push((queue.to_owned(), again));
        }
    }
    let mut leaving = following.leaving;
    let others = leaving.sends.iter().filter(|(_, sent)| sent.id != call.id);
    let children: Vec<&str> = others.map(|(_, sent)| &*sent.id).collect();
    let result = (!call.ignore_result).then(|| outcome.to_text(call, &children));
    leaving.results.extend(result.map(|text| (call.id.clone(), text)));
    Ok(leaving)
}

fn no_chord() -> Fault {
    Fault::new("NotImplementedError", "this worker runs chains, groups and links, not a chord")
}

impl Following<'_> {
    /// Has a signature sent, with a value before its arguments, and a chain after it.
    fn apply(&mut self, signature: &Value, value: &Value, chain: &[Value]) -> Result<(), Fault> {
        let no_signature = || Fault::value("what follows the task is no signature");
        let task = signature["task"].as_str().ok_or_else(no_signature)?;
        let members = signature["kwargs"]["tasks"].as_array();
        match (task, members) {
            ("celery.chain", Some(members)) => {
                let mut members = members.clone();
                if let Some(last) = members.last_mut() {
                    hand_on(signature, last, "link");
                }
                let Some((first, rest)) = members.split_first_mut() else { return Ok(()) };
                hand_on(signature, first, SENDING);
                let rest: Vec<Value> = chain.iter().chain(rest.iter().rev()).cloned().collect();
                return self.apply(first, value, &rest);
            }
            ("celery.group", Some(members)) if chain.is_empty() => {
                return members.clone().iter_mut().try_for_each(|one| {
                    hand_on(signature, one, SENDING);
                    self.apply(one, value, &[])
                });
            }
            // A group that something follows waits for all of its members.
            ("celery.chord" | "celery.group", _) => return Err(no_chord()),
            _ => {}
        }
        let mut fields = signature["options"].as_object().cloned().unwrap_or_default();
        let queue = ["queue", "routing_key"].iter().find_map(|name| fields.get(*name)?.as_str());
        // Where it names none it goes to Celery's own, not to that of its parent.
        let queue = queue.unwrap_or(QUEUE).to_owned();
        for (option, field) in OPTIONS {
            let value = fields.remove(option).filter(|value| !value.is_null());
            fields.extend(value.map(|value| (field.to_owned(), value)));
        }
        fields.entry("id").or_insert_with(|| json!(new_id()));
        let option = |name: &str| &signature["options"][name];
        let priority = option("priority").as_u64();
        let given = signature["args"].as_array().into_iter().flatten();
        let value = Some(value).filter(|_| signature["immutable"] != true);
        let call = Call {
            task: task.to_owned(),
            args: value.into_iter().chain(given).cloned().collect(),
            kwargs: signature["kwargs"].as_object().cloned().unwrap_or_default(),
            timelimit: ["time_limit", "soft_time_limit"].map(|name| option(name).as_f64()),
            priority: priority.map_or(self.call.priority, |priority| priority.min(9) as u8),
            root: Some(self.call.root.clone().unwrap_or_else(|| self.call.id.clone())),
            parent: Some(self.call.id.clone()),
            chain: chain.to_vec(),
            ..Call::of(fields)?
        };
        self.leaving.sends.push((queue, call));
        Ok(())
    }

    /// Has those told who wait for a signature that will never run.
    fn fail(&mut self, signature: &Value, outcome: &Outcome) {
        let id = signature["options"]["task_id"].as_str();
        if let Some(id) = id.filter(|id| *id != self.call.id) {
            let never = Call { id: id.to_owned(), ..Call::default() };
            self.leaving.results.push((id.to_owned(), outcome.to_text(&never, &[])));
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
        assert!(sent.iter().all(|(queue, _)| queue == "celery"), "not the queue of the parent");
        assert_eq!(sent[1].1.chain[0]["task"], "z");
        for refused in [
            signature("celery.chord", json!({})),
            signature(
                "celery.chain",
                json!({"kwargs": {"tasks": [group, signature("b", json!({}))]}}),
            ),
            json!("no signature"),
            signature("x", json!({"options": {"eta": "soon"}})),
            signature("x", json!({"options": {"countdown": 1e300}})),
        ] {
            assert!(leaving(&call(refused), &Outcome::Success(json!(1)), "q").is_err());
        }
        let part = Call { chord: Some(json!({})), ..Call::new("a", vec![], Map::new()) };
        assert!(leaving(&part, &Outcome::Success(json!(1)), "q").is_err());
    }

    #[test]
    fn what_is_said_of_a_group_or_chain_holds_for_its_members() {
        let x = |options: Value| signature("x", json!({"options": options}));
        let of = |kind: &str, options: Value, members: Vec<Value>| {
            signature(kind, json!({"options": options, "kwargs": {"tasks": members}}))
        };
        let moment = json!({"__type__": "datetime", "__value__": "2001-01-01T00:00:00+00:00"});
        let options = json!({"queue": "r", "priority": 3, "task_id": "G", "eta": moment});
        let call = |link| Call { callbacks: vec![link], ..Call::new("a", vec![], Map::new()) };
        let success = Outcome::Success(json!(1));
        let group =
            of("celery.group", options.clone(), vec![x(json!({})), x(json!({"queue": "s"}))]);
        let sent = ends(&call(group), &success);
        assert!(
            sent.iter().all(|(queue, sent)| queue == "r" && sent.priority == 3 && sent.id != "G")
        );
        assert_eq!(sent[0].1.eta.map(super::super::message::seconds), Some(978_307_200.0));
        let ends_with = json!({"queue": "r", "link": [x(json!({"queue": "l"}))]});
        for members in [vec![x(json!({}))], vec![x(json!({})), x(json!({"link": [x(json!({}))]}))]]
        {
            let sent =
                ends(&call(of("celery.chain", ends_with.clone(), members.clone())), &success);
            let [(queue, first)] = &sent[..] else { panic!("one") };
            assert_eq!(queue, "r");
            let last = if members.len() == 1 {
                first.clone()
            } else {
                assert!(first.callbacks.is_empty());
                ends(first, &success).remove(0).1
            };
            let links: Vec<_> = ends(&last, &success).into_iter().map(|(queue, _)| queue).collect();
            assert_eq!(links.last().map(String::as_str), Some("l"));
            assert_eq!(links.len(), members.len());
        }
        let odd =
            of("celery.group", json!({"queue": "r"}), vec![json!({"task": "x", "options": 7})]);
        assert_eq!(ends(&call(odd), &success)[0].0, "celery");
        let past = signature("x", json!({"options": {"countdown": -1}}));
        assert!(ends(&call(past), &success)[0].1.eta <= Some(SystemTime::now()));
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
        let results = leaving(&call, &outcome, "q").expect("it can be run").results;
        let ids: Vec<&str> = results.iter().map(|(id, _)| &**id).collect();
        assert_eq!(ids, ["C", "B", "body", &*call.id]);
        assert!(results.iter().all(|(_, text)| text.contains("\"status\":\"FAILURE\"")));
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
