//! What goes to the log.

use rotation::{CURRENT, PENDING, SecretVersions, Tested};

use crate::support::{Fault, OLD, OTHER, Recorder, SECRET_ID, VERSION, described, event};

fn said(recorder: &Recorder, step: &str) -> String {
    match recorder.rotate(&event(step, VERSION)).0 {
        Ok(rotated) => rotated.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_end_in_its_own_words() {
    let pending = || described(true, &[(OLD, &[CURRENT]), (VERSION, &[PENDING])]);
    let recorder = Recorder::of(pending());
    assert_eq!(
        said(&recorder, "createSecret"),
        format!("createSecret is done for version {VERSION} of {SECRET_ID}")
    );

    let both = [(OLD, &[PENDING][..]), (VERSION, &[PENDING]), (OTHER, &[PENDING])];
    assert_eq!(
        said(&Recorder::of(described(true, &both)), "createSecret"),
        format!(
            "createSecret is done for version {VERSION} of {SECRET_ID}; left pending by other rotations and \
             discarded first: {OLD}, {OTHER}"
        )
    );

    let current = Recorder::of(described(true, &[(VERSION, &[CURRENT])]));
    assert_eq!(
        said(&current, "setSecret"),
        format!("setSecret had nothing to do: version {VERSION} of {SECRET_ID} is current already")
    );
    assert_eq!(
        said(&current, "finishSecret"),
        format!("finishSecret was done again: version {VERSION} of {SECRET_ID} was current already")
    );

    let mut lone = Recorder::of(pending());
    lone.tested = Tested::NotOurs;
    assert_eq!(
        said(&lone, "testSecret"),
        format!(
            "testSecret had nothing to do: version {VERSION} of {SECRET_ID} was not made here, which is so when \
             rotation is switched on without rotating at once"
        )
    );
}

#[test]
fn each_fault_in_its_own_words() {
    let mut recorder = Recorder::of(SecretVersions::default());
    let of_version = |step: &str| format!("{step} of version {VERSION} of secret {SECRET_ID}");
    assert_eq!(
        said(&recorder, "finishSecret"),
        format!("{} was refused: rotation of the secret is not enabled", of_version("finishSecret"))
    );
    recorder.described = Ok(Some(described(true, &[])));
    assert_eq!(
        said(&recorder, "createSecret"),
        format!("{} was refused: the secret has no such version", of_version("createSecret"))
    );
    recorder.described = Ok(Some(described(true, &[(VERSION, &[])])));
    assert_eq!(
        said(&recorder, "setSecret"),
        format!("{} was refused: the version is not AWSPENDING", of_version("setSecret"))
    );
    recorder.described = Ok(Some(described(true, &[(VERSION, &[PENDING]), (OTHER, &[PENDING])])));
    recorder.fails = Some("discard");
    assert_eq!(
        said(&recorder, "createSecret"),
        format!(
            "version {OTHER} of secret {SECRET_ID}, left pending by another rotation, could not be discarded: it \
             was throttled"
        )
    );
    recorder.fails = Some("finish");
    assert_eq!(
        said(&recorder, "finishSecret"),
        format!("{} failed: it was throttled", of_version("finishSecret"))
    );
    recorder.described = Ok(None);
    assert_eq!(
        said(&recorder, "createSecret"),
        format!("secret {SECRET_ID} does not exist, so there is nothing to rotate")
    );
    recorder.described = Err(Fault("the connection broke"));
    assert_eq!(
        said(&recorder, "createSecret"),
        format!("secret {SECRET_ID} could not be described, so nothing was changed: the connection broke")
    );
}
