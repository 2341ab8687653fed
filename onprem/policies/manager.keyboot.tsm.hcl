# Reads the management keys of one cluster. Whoever has this token can call its nodes' management interfaces.

# The token looks at itself, lives on within its limits, and ends when its work is done.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
path "keyboot-secrets/data/keyboot/tsm/node/0/management-key" {
  capabilities = ["read"]
}
path "keyboot-secrets/data/keyboot/tsm/node/1/management-key" {
  capabilities = ["read"]
}
