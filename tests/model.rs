//! The checker of the production replica: a slice of each setting, one of them to its end. More of
//! it is `traft check model`; that it finds known bugs is shown in `mutants.rs`.

use traft::check::model::{Model, SOMETIMES, Setting};
use traft::check::search::{Report, one_by_one};

fn setting(name: &str) -> Setting {
    Setting::all().into_iter().find(|setting| setting.name == name).expect("a setting")
}

fn look(setting: Setting, states: u64) -> Report {
    let (name, model) = (setting.name, Model::new(setting));
    let report = model.search(states, &one_by_one, &|_| {});
    if let Some(wrong) = &report.wrong {
        panic!("{name}\n{}", model.story(wrong));
    }
    report
}

/// How much of each setting the test looks at; a state is replaced only after nine steps.
fn slice(setting: &Setting) -> u64 {
    if setting.snapshots > 0 { 600_000 } else { 40_000 }
}

#[test]
fn a_slice_of_each_setting_holds() {
    let mut shown = 0;
    for setting in Setting::all() {
        let (name, slice) = (setting.name, slice(&setting));
        let report = look(setting, slice);
        assert_eq!((report.states, report.whole), (slice, false), "{name}");
        shown |= report.shown;
    }
    let never = (0..SOMETIMES.len()).filter(|bit| shown & 1 << bit == 0);
    let never: Vec<&str> = never.map(|bit| SOMETIMES[bit]).collect();
    assert_eq!(never, [""; 0], "the model looks at nothing");
}

#[test]
fn all_of_two_leaders_holds() {
    let report = look(setting("two-leaders"), u64::MAX);
    assert!(report.whole && report.states > 500_000, "{report:?}");
}

/// One search is like another, however the work is shared out.
#[test]
fn the_order_of_work_does_not_show() {
    let backwards = |count: usize, work: &(dyn Fn(usize) + Sync)| (0..count).rev().for_each(work);
    let model = Model::new(setting("updates"));
    let one = model.search(40_000, &backwards, &|_| {});
    assert_eq!(one, look(setting("updates"), 40_000));
}
