# Hands out logins, each wrapped, for one use and for a role that is named here. Whoever has this token can be any of
# these roles, himself again included: it is a person's, on a host of its own, and each login that he makes and each
# that is unwrapped stands in two audit logs with the address that it came from. He can change no role, no policy and
# no secret.

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

# A secret id as the role has it, chosen by the server and wrapped: no other number of uses, no other lifetime, no
# other addresses.
path "auth/approle/role/provisioner/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}
path "auth/approle/role/rotator/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}
path "auth/approle/role/auditor/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}
path "auth/approle/role/operator/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "2592000s"
}
path "auth/approle/role/custodian/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}
path "auth/approle/role/node.keyboot.tsm.0/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}
path "auth/approle/role/node.keyboot.tsm.1/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}
path "auth/approle/role/client.keyboot.tsm.default/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}
path "auth/approle/role/manager.keyboot.tsm/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}
path "auth/approle/role/node.keyboot.l2.0/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}
path "auth/approle/role/signer.keyboot.l2.batcher.1/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}
path "auth/approle/role/signer.keyboot.l2.batcher.2/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}
path "auth/approle/role/sequencer.keyboot.l2.0/secret-id" {
  capabilities = ["update"]
  allowed_parameters = {
    "metadata" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "3600s"
}

# One that went astray is called back by its accessor, which is no secret.
path "auth/approle/role/provisioner/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/rotator/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/auditor/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/operator/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/custodian/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/node.keyboot.tsm.0/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/node.keyboot.tsm.1/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/client.keyboot.tsm.default/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/manager.keyboot.tsm/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/node.keyboot.l2.0/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/signer.keyboot.l2.batcher.1/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/signer.keyboot.l2.batcher.2/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}
path "auth/approle/role/sequencer.keyboot.l2.0/secret-id-accessor/destroy" {
  capabilities = ["update"]
  required_parameters = ["secret_id_accessor"]
  allowed_parameters = {
    "secret_id_accessor" = []
  }
}

# The other half of a login, which is no secret.
path "auth/approle/role/provisioner/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/rotator/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/auditor/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/operator/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/custodian/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/node.keyboot.tsm.0/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/node.keyboot.tsm.1/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/client.keyboot.tsm.default/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/manager.keyboot.tsm/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/node.keyboot.l2.0/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/signer.keyboot.l2.batcher.1/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/signer.keyboot.l2.batcher.2/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/sequencer.keyboot.l2.0/role-id" {
  capabilities = ["read"]
}
