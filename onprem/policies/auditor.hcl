# Looks at everything that is no key: public documents, what is said beside secrets, and the server's own rules.
# Whoever has this token learns what there is and who may do what; he can read no key and change nothing.

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
path "keyboot-documents/data/keyboot/tsm/node/+/record" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/tsm/node/+/record" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/tsm/roster/index" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/tsm/roster/index" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/tsm/roster/+/page/+" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/tsm/roster/+/page/+" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/tsm/node/+/env" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/tsm/node/+/env" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/tsm/node/+/lease" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/tsm/node/+/lease" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/tsm/intent/+" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/tsm/intent/+" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/tsm/adoption/+" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/tsm/adoption/+" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/tsm/operation" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/tsm/operation" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/l2/node/+/record" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/l2/node/+/record" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/l2/roster/index" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/l2/roster/index" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/l2/roster/+/page/+" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/l2/roster/+/page/+" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/l2/node/+/env" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/l2/node/+/env" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/l2/node/+/lease" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/l2/node/+/lease" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/l2/intent/+" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/l2/intent/+" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/l2/adoption/+" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/l2/adoption/+" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/l2/operation" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/l2/operation" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/l2/chain" {
  capabilities = ["read"]
}
path "keyboot-documents/metadata/keyboot/l2/chain" {
  capabilities = ["read"]
}
path "keyboot-secrets/metadata/keyboot/tsm/node/+/p2p-key" {
  capabilities = ["read", "list"]
}
path "keyboot-secrets/subkeys/keyboot/tsm/node/+/p2p-key" {
  capabilities = ["read"]
}
path "keyboot-secrets/metadata/keyboot/tsm/node/+/share-encryption-password" {
  capabilities = ["read", "list"]
}
path "keyboot-secrets/subkeys/keyboot/tsm/node/+/share-encryption-password" {
  capabilities = ["read"]
}
path "keyboot-secrets/metadata/keyboot/tsm/node/+/management-key" {
  capabilities = ["read", "list"]
}
path "keyboot-secrets/subkeys/keyboot/tsm/node/+/management-key" {
  capabilities = ["read"]
}
path "keyboot-secrets/metadata/keyboot/tsm/node/+/api-key/+" {
  capabilities = ["read", "list"]
}
path "keyboot-secrets/subkeys/keyboot/tsm/node/+/api-key/+" {
  capabilities = ["read"]
}
path "keyboot-secrets/metadata/keyboot/l2/node/+/p2p-key" {
  capabilities = ["read", "list"]
}
path "keyboot-secrets/subkeys/keyboot/l2/node/+/p2p-key" {
  capabilities = ["read"]
}
path "keyboot-secrets/metadata/keyboot/l2/node/+/share-encryption-password" {
  capabilities = ["read", "list"]
}
path "keyboot-secrets/subkeys/keyboot/l2/node/+/share-encryption-password" {
  capabilities = ["read"]
}
path "keyboot-secrets/metadata/keyboot/l2/node/+/management-key" {
  capabilities = ["read", "list"]
}
path "keyboot-secrets/subkeys/keyboot/l2/node/+/management-key" {
  capabilities = ["read"]
}
path "keyboot-secrets/metadata/keyboot/l2/node/+/api-key/+" {
  capabilities = ["read", "list"]
}
path "keyboot-secrets/subkeys/keyboot/l2/node/+/api-key/+" {
  capabilities = ["read"]
}
path "keyboot-secrets/metadata/keyboot/l2/role/+/+" {
  capabilities = ["read", "list"]
}
path "keyboot-secrets/subkeys/keyboot/l2/role/+/+" {
  capabilities = ["read"]
}
path "keyboot-secrets/metadata/keyboot/tsm/node" {
  capabilities = ["list"]
}
path "keyboot-secrets/metadata/keyboot/tsm/node/+" {
  capabilities = ["list"]
}
path "keyboot-secrets/metadata/keyboot/tsm/node/+/api-key" {
  capabilities = ["list"]
}
path "keyboot-secrets/metadata/keyboot/l2/node" {
  capabilities = ["list"]
}
path "keyboot-secrets/metadata/keyboot/l2/node/+" {
  capabilities = ["list"]
}
path "keyboot-secrets/metadata/keyboot/l2/node/+/api-key" {
  capabilities = ["list"]
}
path "keyboot-secrets/metadata/keyboot/l2/role" {
  capabilities = ["list"]
}
path "keyboot-secrets/metadata/keyboot/l2/role/+" {
  capabilities = ["list"]
}
path "keyboot-secrets/config" {
  capabilities = ["read"]
}

# How the two keys are kept, and the public half of the one that signs.
path "keyboot-transit/keys/seal" {
  capabilities = ["read"]
}
path "keyboot-transit/keys/records" {
  capabilities = ["read"]
}

# The audit devices. The server keeps the list for administrators; to add or take one away is at
# other paths.
path "sys/audit" {
  capabilities = ["read", "sudo"]
}

# Whether a root token lives: what tokens are called where they must not be told, and what each is
# like.
path "auth/token/accessors" {
  capabilities = ["list", "sudo"]
}
path "auth/token/lookup-accessor" {
  capabilities = ["update"]
  required_parameters = ["accessor"]
  allowed_parameters = {
    "accessor" = []
  }
}

# The server's rules: who may do what, and how one logs in.
path "sys/mounts" {
  capabilities = ["read"]
}
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/config/state/sanitized" {
  capabilities = ["read"]
}
path "sys/policies/acl" {
  capabilities = ["list"]
}
path "sys/policies/acl/+" {
  capabilities = ["read"]
}
path "auth/approle/role" {
  capabilities = ["list"]
}
path "auth/approle/role/+" {
  capabilities = ["read"]
}
