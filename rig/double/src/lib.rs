//! KMS, Secrets Manager and Parameter Store as their documentation says, over HTTP.
