//! The table: who reads what, what stops who would, and what shows who does.

use super::shapes::Where::{self, Central, Keys, One, PerAccount};

/// What there is of each node, in the order of the cells.
pub(crate) const COLUMNS: [&str; 12] = [
    "P2P key",
    "share-encryption password",
    "API key",
    "management key",
    "P2P key's envelope",
    "password's envelope",
    "environment",
    "record",
    "roster",
    "database login",
    "master login",
    "under the storage key",
];

/// Somebody, and what he reads.
pub(crate) struct Row {
    pub(crate) who: &'static str,
    /// Where he is; his cells of the node whose account he is in; and of any other node. `+` is read, `.` is
    /// refused: node secrets, both envelopes opened directly, public documents, what the Core Stack keeps.
    pub(crate) cells: &'static [(&'static [Where], &'static str, &'static str)],
    /// What stops him, or who he is to be let in.
    pub(crate) stopped: &'static str,
    /// What shows it: what he does, and what he would have to change first.
    pub(crate) shown: &'static [(&'static str, &'static [Rule])],
}

/// A rule of EventBridge, by its logical id in a template.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Rule {
    /// Of the KMS Stack, in the account that makes the keys.
    Kms(&'static str),
    /// Of the Core Stack, in the account that runs the node.
    Core(&'static str),
}
use Rule::{Core, Kms};

const NOTHING: &str = ".... .. ... ...";

/// What is node i's own, and what it sees of the others.
#[rustfmt::skip]
const NODE: &[(&[Where], &str, &str)] = &[
    (&[Central],    "++.. ++ ++. +..", ".... .. .+. ..."),
    (&[One, Keys],  "++.. ++ +++ +..", ".... .. .++ ..."),
    (&[PerAccount], "++.. ++ +++ +..", ".... .. .+. ..."),
];

/// Whoever is allowed everything in his account: what is public there.
#[rustfmt::skip]
const DOCUMENTS: &[(&[Where], &str, &str)] = &[
    (&[Central],    ".... .. ++. ...", ".... .. ++. ..."),
    (&[One, Keys],  ".... .. +++ ...", ".... .. +++ ..."),
    (&[PerAccount], ".... .. +++ ...", ".... .. .+. ..."),
];

const ANYWHERE: &[Where] = &[One, Central, Keys, PerAccount];

const NONE: &[(&[Where], &str, &str)] = &[(ANYWHERE, NOTHING, NOTHING)];

/// What shows that somebody tried, and what he would have to change first.
const OF_ADMINISTRATORS: &[(&str, &[Rule])] = &[
    ("attempts", &[Kms("SecretReadRule"), Kms("KeyUsedRule"), Core("LoginReadRule")]),
    (
        "another policy",
        &[
            Kms("KeyChangedRule"),
            Kms("SecretChangedRule"),
            Core("StorageKeyChangedRule"),
            Core("LoginChangedRule"),
            Core("NodeRoleChangedRule"),
        ],
    ),
    ("another document", &[Kms("DocumentChangedRule")]),
    (
        "another program",
        &[Core("LaunchTemplateChangedRule"), Core("GroupChangedRule"), Core("HostReachedRule")],
    ),
    ("another master password, a copy", &[Core("DatabaseChangedRule")]),
    ("another function", &[Kms("FunctionChangedRule"), Core("LoginFunctionChangedRule")]),
];

/// What shows that somebody tried.
const OF_ATTEMPTS: &[(&str, &[Rule])] =
    &[("attempts", &[Kms("SecretReadRule"), Kms("KeyUsedRule"), Core("LoginReadRule")])];

/// What shows that a function of the KMS Stack is another one.
const OF_FUNCTIONS: &[(&str, &[Rule])] = &[
    ("attempts", &[Kms("SecretReadRule")]),
    ("other code", &[Kms("FunctionChangedRule")]),
    ("another policy", &[Kms("RoleChangedRule")]),
];

/// What shows that a role of such a name is made.
const OF_NAMES: &[(&str, &[Rule])] = &[("its making", &[Core("NodeRoleChangedRule")])];

const POLICIES: &str = "the keys' policies and the secrets' own";

#[rustfmt::skip]
pub(crate) const WANTED: &[Row] = &[
    Row { who: "node i", cells: NODE,
        stopped: "meant to; of others by its own policy, the keys' and the secrets'", shown: &[] },
    Row { who: "a new instance under node i's profile", cells: NODE,
        stopped: "nothing: it is node i", shown: &[("its start", &[Core("NodeProfileUsedRule")])] },
    Row { who: "a new instance under node i's profile, in another network", cells: NONE,
        stopped: "node i's own policy", shown: &[("its start", &[Core("NodeProfileUsedRule")])] },
    Row { who: "node i's credentials, used elsewhere", cells: NONE,
        stopped: "node i's own policy, with `VpcEndpoints`", shown: &[] },
    Row { who: "a session of Session Manager on node i", cells: NONE,
        stopped: "node i's own policy, and no agent runs, unless `SessionManager`", shown: &[("its start", &[Core("HostReachedRule")])] },
    Row { who: "whoever takes node i's role on", cells: NONE,
        stopped: "the role's trust policy", shown: &[("attempts", &[Core("NodeRoleAssumedRule")]), ("another trust policy", &[Core("NodeRoleChangedRule")])] },
    Row { who: "a function that is given node i's role", cells: NONE,
        stopped: "the role's trust policy", shown: &[("another trust policy", &[Core("NodeRoleChangedRule")])] },
    Row { who: "node i's second role", cells: &[
        (&[Central],    "++.. ++ ++. ...", ".... .. ++. ..."),
        (&[One, Keys],  "++.. ++ +++ ...", ".... .. +++ ..."),
        (&[PerAccount], "++.. ++ +++ ...", ".... .. .+. ..."),
    ], stopped: "meant to, by `ReaderPrincipals`; of others by the keys' policies and the secrets'", shown: &[] },
    Row { who: "database-login of node i", cells: &[
        (ANYWHERE, ".... .. ... ++.", NOTHING),
    ], stopped: "meant to", shown: &[("other code", &[Core("LoginFunctionChangedRule")])] },
    Row { who: "another function that is given database-login's role", cells: &[
        (ANYWHERE, ".... .. ... ++.", NOTHING),
    ], stopped: "nothing: it is database-login", shown: &[("its making", &[Core("LoginFunctionChangedRule")])] },
    Row { who: "an application's client", cells: &[
        (&[One, Central], "..+. .. ... ...", "..+. .. ... ..."),
        (&[PerAccount], "..+. .. ... ...", NOTHING),
    ], stopped: "meant to, by `ClientPrincipals`", shown: &[] },
    Row { who: "a manager", cells: &[
        (&[One, Keys],  "...+ .. ... ...", "...+ .. ... ..."),
        (&[PerAccount], "...+ .. ... ...", NOTHING),
    ], stopped: "meant to, by `ManagementPrincipals`", shown: &[] },
    Row { who: "node-keys", cells: &[
        (&[One, Keys],  ".... .. +++ ...", ".... .. +++ ..."),
        (&[PerAccount], ".... .. +++ ...", NOTHING),
    ], stopped: "its own policy, the key's and the secrets'", shown: OF_FUNCTIONS },
    Row { who: "key-rotation", cells: &[
        (&[One, Keys],  ".... .. .++ ...", ".... .. .++ ..."),
        (&[PerAccount], ".... .. .++ ...", NOTHING),
    ], stopped: "its own policy, the key's and the secrets'", shown: OF_FUNCTIONS },
    Row { who: "an administrator", cells: DOCUMENTS, stopped: POLICIES, shown: OF_ADMINISTRATORS },
    Row { who: "the root user", cells: DOCUMENTS, stopped: POLICIES, shown: OF_ADMINISTRATORS },
    Row { who: "CloudFormation's role", cells: DOCUMENTS, stopped: POLICIES, shown: OF_ADMINISTRATORS },
    Row { who: "StackSets' execution role", cells: DOCUMENTS, stopped: POLICIES, shown: OF_ADMINISTRATORS },
    Row { who: "another node's name", cells: DOCUMENTS,
        stopped: "the policies' full ARNs", shown: OF_NAMES },
    Row { who: "node i's name under another path", cells: DOCUMENTS,
        stopped: "the policies' full ARNs", shown: OF_NAMES },
    Row { who: "a name like database-login's", cells: DOCUMENTS,
        stopped: "the storage key's policy", shown: OF_NAMES },
    Row { who: "a role with forged tags", cells: DOCUMENTS,
        stopped: "no policy asks for a principal's tags", shown: OF_ATTEMPTS },
    Row { who: "Auto Scaling, for the nodes' groups", cells: &[
        (&[One],                       ".... .. ... ..+", ".... .. ... ..+"),
        (&[Central, Keys, PerAccount], ".... .. ... ..+", NOTHING),
    ], stopped: "meant to: volumes; only Auto Scaling takes the role", shown: &[("what it starts", &[Core("GroupActivityRule")]), ("other groups in this role", &[Core("GroupChangedRule")])] },
    Row { who: "Auto Scaling, for other groups", cells: NONE, stopped: "the storage key's policy", shown: &[] },
    Row { who: "an administrator of no node's account", cells: NONE, stopped: POLICIES, shown: &[] },
];

impl Row {
    /// The cells of somebody there, of his own node and of any other.
    pub(crate) fn cells_at(&self, place: Where) -> Option<(String, String)> {
        let (_, own, others) = self.cells.iter().find(|(places, ..)| places.contains(&place))?;
        Some((joined(own), joined(others)))
    }
}

/// Cells without the spaces between their groups.
pub(crate) fn joined(cells: &str) -> String {
    cells.chars().filter(|cell| *cell != ' ').collect()
}

/// The same with them.
pub(crate) fn spaced(cells: &str) -> String {
    let cells: Vec<char> = cells.chars().collect();
    let groups = [0..4, 4..6, 6..9, 9..12];
    let groups = groups.map(|group| cells.get(group).into_iter().flatten().collect::<String>());
    groups.join(" ")
}
