//! Every experiment shows what it says, and its mended program shows nothing.

use std::process::Command;

use mainspring_examples::experiments::{ALL, Experiment};
use mainspring_microscope::findings::Code;

fn codes(trace: &mainspring_microscope::Trace) -> Vec<Code> {
    trace.findings().iter().map(|finding| finding.code).collect()
}

fn check(experiment: &Experiment) {
    let broken = experiment.run_broken(false);
    assert!(
        codes(&broken).contains(&experiment.programs.finding),
        "{}: {:#?}",
        experiment.words.number,
        broken.findings()
    );
    assert_eq!(broken.model().illegal, [], "{}", experiment.words.number);
    assert_eq!(experiment.words.number, experiment.programs.number);
    assert!(experiment.words.right < experiment.words.answers.len());
    let mended = experiment.run_mended(false);
    assert_eq!(mended.findings(), [], "{}", experiment.words.number);
    assert_eq!(mended.model().illegal, [], "{}", experiment.words.number);
}

#[test]
fn every_experiment_shows_its_finding_and_its_mended_program_none() {
    let mut numbers: Vec<u32> = ALL.iter().map(|experiment| experiment.words.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=15).collect::<Vec<_>>());
    ALL.iter().for_each(check);
}

#[test]
fn on_the_virtual_clock_they_are_the_same_every_time() {
    for experiment in ALL.iter() {
        let hashes = [experiment.run_broken(false).hash(), experiment.run_broken(false).hash()];
        assert_eq!(hashes[0], hashes[1], "{}", experiment.words.number);
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
    // What the terminal says the page holds, too.
    let because =
        ALL.iter().find(|one| one.words.number == 2).expect("it is there").words.because.as_str();
    for part in ["2: mended", because, "  lost-waker: ", "\\n  nothing to complain of\\n"] {
        assert!(html.contains(part), "{part}");
    }
    std::fs::remove_file(&page).expect("the page can be removed");
}

#[test]
fn every_page_has_the_programs_source_and_leads_to_the_guilty_event() {
    for experiment in ALL.iter() {
        let broken = experiment.run_broken(false);
        let lesson = experiment.lesson(&broken, Vec::new());
        let found =
            broken.findings().into_iter().find(|found| found.code == experiment.programs.finding);
        let (event, evidence) =
            (lesson.event.expect("an event"), found.expect("it is found").evidence[0]);
        // That work piles up is proved by the end of the run, and seen before it.
        assert!(
            event == evidence || experiment.words.number == 15 && event < evidence,
            "{}",
            experiment.words.number
        );
        for program in [&lesson.source, &lesson.mended] {
            assert!(program.starts_with("|runtime|"), "{program}");
            for (open, close) in [('{', '}'), ('(', ')')] {
                assert_eq!(
                    program.matches(open).count(),
                    program.matches(close).count(),
                    "{program}"
                );
            }
        }
        // Whatever the programs call is there, or another experiment's: nothing of it is a lesson itself.
        assert!(!lesson.shared.contains("Programs {"), "{}", lesson.shared);
    }
    let lock = ALL.iter().find(|one| one.words.number == 9).expect("it is there");
    let lesson = lock.lesson(&lock.run_broken(false), Vec::new());
    for part in ["struct Lock {", "impl Lock {", "impl Drop for Guard {", "async fn hold("] {
        assert!(lesson.shared.contains(part), "{part}: {}", lesson.shared);
    }
}

#[test]
fn several_are_run_in_turn_and_a_panic_that_is_the_lesson_is_shown_as_one() {
    let dir = std::env::temp_dir().join(format!("mainspring-exps-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_experiment"));
    let output = command.args(["10", "1"]).current_dir(&dir).output().expect("it runs");
    let said = String::from_utf8(output.stdout).expect("text");
    let parts = [
        "Experiment 10: ",
        "The answer: it panics.\n",
        "  a panic, which is the lesson: RefCell already borrowed, at ",
        "experiment-10.html\n",
        "\nExperiment 1: ",
        "experiment-01.html\n",
    ];
    let places: Vec<_> = parts.iter().map(|part| said.find(part).expect(part)).collect();
    assert!(places.is_sorted(), "{said}");
    let complaints = String::from_utf8(output.stderr).expect("text");
    assert!(!complaints.contains("thread '"), "{complaints}");
    for page in ["experiment-10.html", "experiment-01.html"] {
        assert!(dir.join(page).is_file(), "{page}");
    }
    std::fs::remove_dir_all(&dir).expect("the directory can be removed");
    let (code, _, complaint) = experiment(&["1", "2", "--out", "both.html"]);
    assert_eq!(code, Some(2));
    assert!(
        complaint.starts_with("experiment: --out names the page of one experiment"),
        "{complaint}"
    );
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    for arguments in [&["list"][..], &["7"]] {
        let dir = std::env::temp_dir();
        let mut command = Command::new(env!("CARGO_BIN_EXE_experiment"));
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output =
            command.args(arguments).current_dir(dir).stdout(writer).output().expect("it runs");
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{arguments:?}");
    }
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
