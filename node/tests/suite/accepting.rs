//! `accept --share`: only what is pinned by sender and name, and open, is accepted.

use std::cell::RefCell;

use aws::sharing::{Invitation, InvitationState};
use keyboot_node::accept::{Decision, Outcome, Sharing, accept_shares, decide};
use keyboot_node::config::PinnedShare;
use reading::ReadError;

use crate::world::run;

fn invitation(sender: &str, share: &str, state: InvitationState) -> Invitation {
    Invitation { arn: format!("arn:{sender}:{share}"), sender: sender.into(), share: share.into(), state }
}

fn pinned(account: &str, name: &str) -> PinnedShare {
    PinnedShare { account: account.into(), name: name.into() }
}

const ALICE: &str = "111122223333";
const BOB: &str = "444455556666";

#[test]
fn an_invitation_is_accepted_if_sender_and_share_are_pinned_together_and_it_is_open() {
    use InvitationState::{Accepted, Expired, Other, Pending, Rejected};
    let pins = [pinned(ALICE, "kms-node-0"), pinned(BOB, "kms-node-1")];
    for (sender, share, state, why) in [
        (ALICE, "kms-node-0", Pending, None),
        (BOB, "kms-node-1", Pending, None),
        // Each is pinned, but not with the other.
        (ALICE, "kms-node-1", Pending, Some("has its name")),
        (BOB, "kms-node-0", Pending, Some("has its name")),
        (ALICE, "kms-node-00", Pending, Some("has its name")),
        (ALICE, "KMS-NODE-0", Pending, Some("has its name")),
        (ALICE, "", Pending, Some("has its name")),
        ("777788889999", "kms-node-0", Pending, Some("names its sender")),
        ("", "kms-node-0", Pending, Some("names its sender")),
        (ALICE, "kms-node-0", Accepted, Some("accepted before")),
        (ALICE, "kms-node-0", Rejected, Some("rejected")),
        (ALICE, "kms-node-0", Expired, Some("expired")),
        (ALICE, "kms-node-0", Other, Some("none that is known")),
    ] {
        let decision = decide(&invitation(sender, share, state), &pins);
        match (decision, why) {
            (Decision::Accept, None) => {}
            (Decision::Leave(said), Some(why)) => assert!(said.contains(why), "{share}: {said}"),
            (decision, _) => panic!("{sender} {share} {state:?}: {decision:?}"),
        }
    }
    let open = invitation(ALICE, "kms-node-0", Pending);
    assert!(matches!(decide(&open, &[]), Decision::Leave(_)));
}

#[derive(Default)]
struct Invited {
    invitations: Vec<Invitation>,
    accepted: RefCell<Vec<String>>,
    fails: Option<String>,
}

impl Sharing for Invited {
    async fn invitations(&self) -> Result<Vec<Invitation>, ReadError> {
        Ok(self.invitations.clone())
    }

    async fn accept(&self, invitation: &Invitation) -> Result<(), ReadError> {
        if self.fails.as_ref() == Some(&invitation.arn) {
            return Err(ReadError::Refused { name: invitation.arn.clone(), code: "Expired".into() });
        }
        self.accepted.borrow_mut().push(invitation.arn.clone());
        Ok(())
    }
}

#[test]
fn one_that_fails_stops_no_other_and_what_is_missing_is_told() {
    let state = InvitationState::Pending;
    let invitations = vec![
        invitation(ALICE, "kms-node-0", state),
        invitation(BOB, "kms-node-0", state),
        invitation(ALICE, "kms-node-1", state),
    ];
    let invited = Invited { fails: Some(invitations[0].arn.clone()), invitations, ..Invited::default() };
    let pins = [pinned(ALICE, "kms-node-0"), pinned(ALICE, "kms-node-1"), pinned(BOB, "kms-node-2")];
    let outcomes = run(accept_shares(&invited, &pins)).unwrap();
    assert_eq!(*invited.accepted.borrow(), ["arn:111122223333:kms-node-1"]);
    let said: Vec<String> = outcomes.iter().map(Outcome::to_string).collect();
    for (said, words) in said.iter().zip([
        ["not accepted: share \"kms-node-0\" of account 111122223333", "(Expired)"],
        ["left: share \"kms-node-0\" of account 444455556666", "has its name"],
        ["accepted: share \"kms-node-1\" of account 111122223333", ""],
        ["not there: share \"kms-node-2\" of account 444455556666", "no invitation"],
    ]) {
        assert!(said.starts_with(words[0]) && said.contains(words[1]), "{said}");
    }
    assert_eq!(outcomes.len(), 4);
}

#[test]
fn without_a_pinned_share_nobody_is_asked() {
    let error = run(accept_shares(&Invited::default(), &[])).unwrap_err().to_string();
    assert!(error.contains("[[share]]"), "{error}");
}
