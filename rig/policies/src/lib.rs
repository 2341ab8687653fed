//! IAM policies, evaluated as AWS documents it.
