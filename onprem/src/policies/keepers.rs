//! What those may do who keep the server: hand out logins, and begin the ceremony of the shares.

use vault::Mounts;

use super::own;
use super::policy::Capability::{Create, Delete, Read, Update};
use super::policy::{Policy, Rule, Values};
use super::role::Role;

const OPERATOR: &str = "\
Hands out logins, each wrapped, for one use and for a role that is named here. Whoever has this token can be any of
these roles, himself again included: it is a person's, on a host of its own, and each login that he makes and each
that is unwrapped stands in two audit logs with the address that it came from. He can change no role, no policy and
no secret.";
const CUSTODIAN: &str = "\
Begins the ceremony in which the holders of the shares of the unseal key make a root token. Without as many shares
as the server asks for he makes none; what he can do alone is to call a ceremony off.";

/// Why there are rules about each role.
const SECRET_ID: &str = "\
A secret id as the role has it, chosen by the server and wrapped: no other number of uses, no other lifetime, no
other addresses.";
const CALLED_BACK: &str = "One that went astray is called back by its accessor, which is no secret.";
const ROLE_ID: &str = "The other half of a login, which is no secret.";

/// The policy of who hands out logins for these roles.
pub(super) fn operator(granted: &[Role], Mounts { app_role, .. }: &Mounts) -> Policy {
    let at = |role: &Role| format!("auth/{app_role}/role/{role}");
    let mut rules = own::token();
    for (position, role) in granted.iter().enumerate() {
        let rule = Rule::at(format!("{}/secret-id", at(role)), &[Update])
            .at_most_with([("metadata", Values::Any)])
            .wrapped(role.longest_wrapping());
        rules.push(if position == 0 { rule.because(SECRET_ID) } else { rule });
    }
    for (position, role) in granted.iter().enumerate() {
        let rule = Rule::at(format!("{}/secret-id-accessor/destroy", at(role)), &[Update])
            .only_with([("secret_id_accessor", Values::Any)]);
        rules.push(if position == 0 { rule.because(CALLED_BACK) } else { rule });
    }
    for (position, role) in granted.iter().enumerate() {
        let rule = Rule::at(format!("{}/role-id", at(role)), &[Read]);
        rules.push(if position == 0 { rule.because(ROLE_ID) } else { rule });
    }
    Policy::new("operator", OPERATOR, rules)
}

/// The policy of who begins the ceremony.
pub(super) fn custodian() -> Policy {
    let mut rules = own::token();
    rules.push(
        Rule::at("sys/generate-root-token/attempt", &[Create, Read, Update, Delete])
            .because("Begin, look, call off."),
    );
    rules.push(
        Rule::at("sys/generate-root-token/update", &[Create, Update])
            .at_most_with([("key", Values::Any), ("nonce", Values::Any)])
            .because("Put a share in."),
    );
    Policy::new("custodian", CUSTODIAN, rules)
}
