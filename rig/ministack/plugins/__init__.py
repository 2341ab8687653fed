"""What MiniStack lacks of AWS, one gap a module.

Each module has `TARGETS` (what it patches, with a fingerprint, see `pinning`) and `apply()`.
"""

from __future__ import annotations

# The order counts where two wrap the same function: the later one is the outer one.
NAMES = (
    "function_environment",
    "function_limits",
    "databases",
    "end_functions",
    "encryption_context",
    "principal_arn",
    "resources_of_a_call",
    "dependent_actions",
    "policy_principals",
    "limits",
    "parameter_policies",
    "secret_versions",
    "rotation",
    "stores_ask_kms",
    "conditions",
    "more_resource_types",
    "template_secrets",
    "rotation_schedules",
    "references",
    "service_linked_roles",
    "network_types",
    "network_load_balancers",
    "instance_groups",
    "functions_in_a_vpc",
    "public_parameters",
    "async_custom_resources",
    "schedules",
    "stack_state",
    "rollback",
    "recorder",
)
