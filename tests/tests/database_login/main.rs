//! The login of a node's database, made and rotated by the real function: against PostgreSQL itself behind
//! TLS, and the contract double for Secrets Manager.

mod by_hand;
mod ensuring;
mod privileges;
mod refusing;
mod rotating;
mod secrecy;
mod stage;
