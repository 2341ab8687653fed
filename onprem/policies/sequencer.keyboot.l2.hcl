# Reads the keys that sign a chain's blocks: the one that counts, by the chain's signed document, and after a
# rotation the next. Whoever has this token can sign blocks in the sequencer's name until the key is replaced.

# `+` is the key's number, which grows with each rotation.
path "keyboot-secrets/data/keyboot/l2/role/sequencer/+" {
  capabilities = ["read"]
}

# The signed document that says which of them counts.
path "keyboot-documents/data/keyboot/l2/chain" {
  capabilities = ["read"]
}
