# Replaces, removes and restores keys, and reads none. Whoever has this token can do what the provisioner can and
# beside it put versions over those that count, and remove secrets for good: for a rotation or a removal alone.

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

# A value goes in by compare-and-set, and never comes out.
path "keyboot-secrets/data/keyboot/tsm/node/+/p2p-key" {
  capabilities = ["create", "update"]
  required_parameters = ["data", "options"]
  allowed_parameters = {
    "data" = []
    "options" = []
  }
}
path "keyboot-secrets/data/keyboot/tsm/node/+/share-encryption-password" {
  capabilities = ["create", "update"]
  required_parameters = ["data", "options"]
  allowed_parameters = {
    "data" = []
    "options" = []
  }
}
path "keyboot-secrets/data/keyboot/tsm/node/+/management-key" {
  capabilities = ["create", "update"]
  required_parameters = ["data", "options"]
  allowed_parameters = {
    "data" = []
    "options" = []
  }
}
path "keyboot-secrets/data/keyboot/tsm/node/+/api-key/+" {
  capabilities = ["create", "update"]
  required_parameters = ["data", "options"]
  allowed_parameters = {
    "data" = []
    "options" = []
  }
}
path "keyboot-secrets/data/keyboot/l2/node/+/p2p-key" {
  capabilities = ["create", "update"]
  required_parameters = ["data", "options"]
  allowed_parameters = {
    "data" = []
    "options" = []
  }
}
path "keyboot-secrets/data/keyboot/l2/node/+/share-encryption-password" {
  capabilities = ["create", "update"]
  required_parameters = ["data", "options"]
  allowed_parameters = {
    "data" = []
    "options" = []
  }
}
path "keyboot-secrets/data/keyboot/l2/node/+/management-key" {
  capabilities = ["create", "update"]
  required_parameters = ["data", "options"]
  allowed_parameters = {
    "data" = []
    "options" = []
  }
}
path "keyboot-secrets/data/keyboot/l2/node/+/api-key/+" {
  capabilities = ["create", "update"]
  required_parameters = ["data", "options"]
  allowed_parameters = {
    "data" = []
    "options" = []
  }
}
path "keyboot-secrets/data/keyboot/l2/role/+/+" {
  capabilities = ["create", "update"]
  required_parameters = ["data", "options"]
  allowed_parameters = {
    "data" = []
    "options" = []
  }
}

# The names of the parts of a value, which say what it is; what stands under them is left out.
path "keyboot-secrets/subkeys/keyboot/tsm/node/+/p2p-key" {
  capabilities = ["read"]
}
path "keyboot-secrets/subkeys/keyboot/tsm/node/+/share-encryption-password" {
  capabilities = ["read"]
}
path "keyboot-secrets/subkeys/keyboot/tsm/node/+/management-key" {
  capabilities = ["read"]
}
path "keyboot-secrets/subkeys/keyboot/tsm/node/+/api-key/+" {
  capabilities = ["read"]
}
path "keyboot-secrets/subkeys/keyboot/l2/node/+/p2p-key" {
  capabilities = ["read"]
}
path "keyboot-secrets/subkeys/keyboot/l2/node/+/share-encryption-password" {
  capabilities = ["read"]
}
path "keyboot-secrets/subkeys/keyboot/l2/node/+/management-key" {
  capabilities = ["read"]
}
path "keyboot-secrets/subkeys/keyboot/l2/node/+/api-key/+" {
  capabilities = ["read"]
}
path "keyboot-secrets/subkeys/keyboot/l2/role/+/+" {
  capabilities = ["read"]
}

# What is said beside it; not how many versions are kept, nor when they end.
path "keyboot-secrets/metadata/keyboot/tsm/node/+/p2p-key" {
  capabilities = ["create", "update", "patch", "read", "list", "delete"]
  allowed_parameters = {
    "custom_metadata" = []
  }
}
path "keyboot-secrets/metadata/keyboot/tsm/node/+/share-encryption-password" {
  capabilities = ["create", "update", "patch", "read", "list", "delete"]
  allowed_parameters = {
    "custom_metadata" = []
  }
}
path "keyboot-secrets/metadata/keyboot/tsm/node/+/management-key" {
  capabilities = ["create", "update", "patch", "read", "list", "delete"]
  allowed_parameters = {
    "custom_metadata" = []
  }
}
path "keyboot-secrets/metadata/keyboot/tsm/node/+/api-key/+" {
  capabilities = ["create", "update", "patch", "read", "list", "delete"]
  allowed_parameters = {
    "custom_metadata" = []
  }
}
path "keyboot-secrets/metadata/keyboot/l2/node/+/p2p-key" {
  capabilities = ["create", "update", "patch", "read", "list", "delete"]
  allowed_parameters = {
    "custom_metadata" = []
  }
}
path "keyboot-secrets/metadata/keyboot/l2/node/+/share-encryption-password" {
  capabilities = ["create", "update", "patch", "read", "list", "delete"]
  allowed_parameters = {
    "custom_metadata" = []
  }
}
path "keyboot-secrets/metadata/keyboot/l2/node/+/management-key" {
  capabilities = ["create", "update", "patch", "read", "list", "delete"]
  allowed_parameters = {
    "custom_metadata" = []
  }
}
path "keyboot-secrets/metadata/keyboot/l2/node/+/api-key/+" {
  capabilities = ["create", "update", "patch", "read", "list", "delete"]
  allowed_parameters = {
    "custom_metadata" = []
  }
}
path "keyboot-secrets/metadata/keyboot/l2/role/+/+" {
  capabilities = ["create", "update", "patch", "read", "list", "delete"]
  allowed_parameters = {
    "custom_metadata" = []
  }
}

# Its readers stop at once, and it can be brought back.
path "keyboot-secrets/delete/keyboot/tsm/node/+/p2p-key" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/delete/keyboot/tsm/node/+/share-encryption-password" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/delete/keyboot/tsm/node/+/management-key" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/delete/keyboot/tsm/node/+/api-key/+" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/delete/keyboot/l2/node/+/p2p-key" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/delete/keyboot/l2/node/+/share-encryption-password" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/delete/keyboot/l2/node/+/management-key" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/delete/keyboot/l2/node/+/api-key/+" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/delete/keyboot/l2/role/+/+" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}

# It is brought back.
path "keyboot-secrets/undelete/keyboot/tsm/node/+/p2p-key" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/undelete/keyboot/tsm/node/+/share-encryption-password" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/undelete/keyboot/tsm/node/+/management-key" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/undelete/keyboot/tsm/node/+/api-key/+" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/undelete/keyboot/l2/node/+/p2p-key" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/undelete/keyboot/l2/node/+/share-encryption-password" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/undelete/keyboot/l2/node/+/management-key" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/undelete/keyboot/l2/node/+/api-key/+" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}
path "keyboot-secrets/undelete/keyboot/l2/role/+/+" {
  capabilities = ["update"]
  allowed_parameters = {
    "versions" = []
  }
}

# The names of what is there.
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

# Public documents: records, rosters, what is at work.
path "keyboot-documents/data/keyboot/tsm/node/+/record" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/tsm/roster/index" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/tsm/roster/+/page/+" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/tsm/node/+/env" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/tsm/node/+/lease" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/tsm/intent/+" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/tsm/adoption/+" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/tsm/operation" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/l2/node/+/record" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/l2/roster/index" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/l2/roster/+/page/+" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/l2/node/+/env" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/l2/node/+/lease" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/l2/intent/+" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/l2/adoption/+" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/l2/operation" {
  capabilities = ["create", "update", "read"]
}
path "keyboot-documents/data/keyboot/l2/chain" {
  capabilities = ["create", "update", "read"]
}

# How often each was written, and that it goes; a chain's never does.
path "keyboot-documents/metadata/keyboot/tsm/node/+/record" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/tsm/roster/index" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/tsm/roster/+/page/+" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/tsm/node/+/env" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/tsm/node/+/lease" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/tsm/intent/+" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/tsm/adoption/+" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/tsm/operation" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/l2/node/+/record" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/l2/roster/index" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/l2/roster/+/page/+" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/l2/node/+/env" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/l2/node/+/lease" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/l2/intent/+" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/l2/adoption/+" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/l2/operation" {
  capabilities = ["read", "delete"]
}
path "keyboot-documents/metadata/keyboot/l2/chain" {
  capabilities = ["read"]
}

# Seals for a node, and opens nothing; without `create` no key comes to be by it.
path "keyboot-transit/encrypt/seal" {
  capabilities = ["update"]
  required_parameters = ["plaintext", "context"]
  allowed_parameters = {
    "plaintext" = []
    "context" = []
  }
}

# Signs digests of records: any digest, see above.
path "keyboot-transit/sign/records" {
  capabilities = ["update"]
  required_parameters = ["input", "prehashed", "hash_algorithm", "marshaling_algorithm"]
  allowed_parameters = {
    "input" = []
    "prehashed" = [true]
    "hash_algorithm" = ["sha2-256"]
    "marshaling_algorithm" = ["asn1"]
  }
}

# Its public half.
path "keyboot-transit/keys/records" {
  capabilities = ["read"]
}
