# Reads the keys of one node, and opens what is sealed for it. Whoever has this token is that node: he can read what
# it reads, and nothing of any other node. He can write nothing.

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
path "keyboot-secrets/data/keyboot/tsm/node/1/p2p-key" {
  capabilities = ["read"]
}
path "keyboot-secrets/data/keyboot/tsm/node/1/share-encryption-password" {
  capabilities = ["read"]
}

# The key is derived by what a value is for. The contexts are those of this node alone, and without
# `batch_input` among the parameters there is no way around them.
path "keyboot-transit/decrypt/seal" {
  capabilities = ["update"]
  required_parameters = ["ciphertext", "context"]
  allowed_parameters = {
    "ciphertext" = []
    "context" = ["eyJrZXlib290OmNsdXN0ZXIiOiJrZXlib290L3RzbSIsImtleWJvb3Q6bm9kZSI6IjEiLCJrZXlib290OnB1cnBvc2UiOiJwMnAta2V5In0=", "eyJrZXlib290OmNsdXN0ZXIiOiJrZXlib290L3RzbSIsImtleWJvb3Q6bm9kZSI6IjEiLCJrZXlib290OnB1cnBvc2UiOiJzaGFyZS1lbmNyeXB0aW9uLXBhc3N3b3JkIn0="]
  }
}

# The cluster's signed documents, which say which versions count, and the node's own.
path "keyboot-documents/data/keyboot/tsm/node/+/record" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/tsm/roster/index" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/tsm/roster/+/page/+" {
  capabilities = ["read"]
}
path "keyboot-documents/data/keyboot/tsm/node/1/env" {
  capabilities = ["read"]
}
