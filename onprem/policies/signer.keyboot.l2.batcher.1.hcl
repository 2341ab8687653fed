# Reads one key of one role of a chain, and nothing else: no document, no list, no other number of the same role.
# Whoever has this token has that key for ever: read once, no policy takes it back. Then the key is replaced.
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
path "keyboot-secrets/data/keyboot/l2/role/batcher/1" {
  capabilities = ["read"]
}
