//! Every experiment shows what it says, and its mended program shows nothing.

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
