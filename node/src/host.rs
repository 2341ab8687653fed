//! What of this host would let others see the secrets of the command.
