//! Every experiment shows what it says, and its mended program shows nothing.

use std::process::Command;

use mainspring_microscope::experiments::{ALL, Experiment};
use mainspring_microscope::findings::Code;

fn codes(trace: &mainspring_microscope::Trace) -> Vec<Code> {
    trace.findings().iter().map(|finding| finding.code).collect()
}

fn check(experiment: &Experiment) {
    let broken = experiment.run_broken(false);
    assert!(
        codes(&broken).contains(&experiment.finding),
        "{}: {:#?}",
        experiment.number,
        broken.findings()
    );
    assert_eq!(broken.model().illegal, [], "{}", experiment.number);
    assert!(experiment.right < experiment.answers.len());
    let mended = experiment.run_mended(false);
    assert_eq!(mended.findings(), [], "{}", experiment.number);
    assert_eq!(mended.model().illegal, [], "{}", experiment.number);
}

#[test]
fn every_experiment_shows_its_finding_and_its_mended_program_none() {
    let mut numbers: Vec<u32> = ALL.iter().map(|experiment| experiment.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=15).collect::<Vec<_>>());
    ALL.iter().for_each(check);
}

#[test]
fn on_the_virtual_clock_they_are_the_same_every_time() {
    for experiment in ALL {
        let hashes = [experiment.run_broken(false).hash(), experiment.run_broken(false).hash()];
        assert_eq!(hashes[0], hashes[1], "{}", experiment.number);
    }
}

/// Runs the program, and gives its exit code, what it said, and what it complained of.
fn experiment(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_experiment")).args(arguments).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_program_lists_runs_explains_and_writes_a_page() {
    let (code, list, _) = experiment(&["list"]);
    assert_eq!((code, list.lines().count()), (Some(0), ALL.len()));
    let page = std::env::temp_dir().join(format!("mainspring-exp-{}.html", std::process::id()));
    let (code, said, complaints) =
        experiment(&["2", "--out", page.to_str().expect("a path of text")]);
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    let parts = [
        "Experiment 2: the idea that returning Pending is enough\n",
        "The answer: never.\n",
        "what happened: 10 ms, ",
        "\n  lost-waker: ",
        "mended: 10 ms, ",
        "\n  nothing to complain of\n",
    ];
    let places: Vec<_> = parts.iter().map(|part| said.find(part).expect(part)).collect();
    assert!(places.is_sorted(), "{said}");
    let html = std::fs::read_to_string(&page).expect("the page");
    assert!(html.contains("2: mended"));
    std::fs::remove_file(&page).expect("the page can be removed");
}

#[test]
fn what_the_program_cannot_do_it_says_in_one_line() {
    let neither = |what: &str| {
        format!(
            "experiment: {what:?} is neither an option nor an experiment: those are 1 to 15, see \
             `experiment list`\n"
        )
    };
    for wrong in ["16", "-1", "--fast"] {
        assert_eq!(experiment(&[wrong]), (Some(2), String::new(), neither(wrong)));
    }
    let complaint = "experiment: --out needs a file\n".into();
    assert_eq!(experiment(&["3", "--out"]), (Some(2), String::new(), complaint));
    let (code, _, complaint) = experiment(&["3", "--out", "/nowhere/page.html"]);
    assert_eq!(code, Some(1));
    assert!(complaint.starts_with("experiment: cannot write /nowhere/page.html: "), "{complaint}");
}
