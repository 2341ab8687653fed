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
    principal_arn,
    recorder,
    rollback,
    stack_state,
)

PLUGINS = (
    function_environment,
    end_functions,
    encryption_context,
    principal_arn,
    dependent_actions,
    async_custom_resources,
    stack_state,
    rollback,
    recorder,
)
