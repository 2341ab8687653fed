//! The rig's plug-ins do what they say: their own probe, from outside.

use std::process::Command;

use rig::ministack::MiniStack;
use rig::python::Venv;

#[test]
fn each_plug_in_mends_its_gap() {
    let venv = Venv::ready().unwrap();
    let ministack = MiniStack::start(&venv, None).unwrap();
    let probe = Command::new(venv.program("python"))
        .arg(rig::repository().join("rig/ministack/probe.py"))
        .arg(ministack.endpoint())
        .env("KEYBOOT_RIG_CALLS", ministack.calls())
        .env("KEYBOOT_RIG_RETRY_SECONDS", "0.2")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&probe.stdout);
    assert!(probe.status.success(), "{said}{}", String::from_utf8_lossy(&probe.stderr));
}
