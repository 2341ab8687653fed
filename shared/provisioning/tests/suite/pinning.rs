//! Which stacks' events count: the list that the template hands over.

use provisioning::authority::PinnedStacks;

use crate::fixtures::STACK;

const OTHER: &str = "arn:aws-cn:cloudformation:cn-north-1:444455556666:stack/other/1";

fn read(list: &str) -> Option<PinnedStacks> {
    list.parse().ok()
}

#[test]
fn a_list_of_stacks_is_read_whole_and_what_is_empty_in_it_names_none() {
    for list in [format!("{STACK},{OTHER}"), format!(" {STACK} ,, {OTHER},"), format!(",{OTHER},{STACK}")] {
        let pinned = read(&list).unwrap_or_else(|| panic!("{list}"));
        assert!(pinned.contains(STACK) && pinned.contains(OTHER), "{list}");
        for stranger in
            ["", "other", &STACK[..STACK.len() - 1], &format!("{STACK}x"), &OTHER.replace("-cn", "")]
        {
            assert!(!pinned.contains(stranger), "{stranger} by {list}");
        }
    }
}

#[test]
fn a_list_that_names_no_stack_or_something_else_is_refused() {
    for list in [
        "",
        " , ,",
        "*",
        "kms",
        &format!("{STACK},kms"),
        &format!("{STACK} {OTHER},x"),
        &STACK.replace(":stack/", ":stackset/"),
        &STACK.replace("cloudformation", "iam"),
        &STACK.replace("arn:", "urn:"),
    ] {
        assert!(read(list).is_none(), "{list}");
    }
}
