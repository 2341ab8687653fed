# Reads the API keys of one application. Whoever has this token can call the nodes as that application does.

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
path "keyboot-secrets/data/keyboot/tsm/node/0/api-key/default" {
  capabilities = ["read"]
}
path "keyboot-secrets/data/keyboot/tsm/node/1/api-key/default" {
  capabilities = ["read"]
}
