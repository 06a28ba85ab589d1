//! The command of the README's first section, as a newcomer types it.

#![cfg(feature = "demo")]

use std::process::Command;

#[test]
fn the_whole_journey_comes_to_its_end() {
    let demo =
        Command::new(env!("CARGO_BIN_EXE_tributary")).args(["demo", "--once"]).output().expect("the command runs");
    let told = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{told}\n{}", String::from_utf8_lossy(&demo.stderr));
    let (done, failed) = (told.matches('✓').count(), told.matches('✗').count());
    assert!(done >= 20 && failed == 0, "{done} steps went well, {failed} did not:\n{told}");
}
