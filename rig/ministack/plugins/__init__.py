"""What MiniStack lacks of AWS, one gap a module.

Each module has `TARGETS` (what it patches, with a fingerprint, see `pinning`) and `apply()`.
The order counts where two wrap the same function: the later one is the outer one.
"""

from __future__ import annotations

from . import (
    async_custom_resources,
    dependent_actions,
    encryption_context,
    end_functions,
    function_environment,
    limits,
    policy_principals,
    principal_arn,
    recorder,
    resources_of_a_call,
    rollback,
    secret_versions,
    stack_state,
    stores_ask_kms,
)

PLUGINS = (
    function_environment,
    end_functions,
    encryption_context,
    principal_arn,
    resources_of_a_call,
    dependent_actions,
    policy_principals,
    limits,
    secret_versions,
    stores_ask_kms,
    async_custom_resources,
    stack_state,
    rollback,
    recorder,
)
