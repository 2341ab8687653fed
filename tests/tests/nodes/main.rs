//! Nodes that run with what the stack made: under `keyboot-node`, each with its own role, as stand-ins that
//! reach each other by their P2P keys and accept API keys by their hashes. They are no TSM.

mod attacking;
mod calling;
mod executing;
mod gate;
mod living;
mod stage;
mod swapping;
mod together;
