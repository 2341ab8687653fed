# Begins the ceremony in which the holders of the shares of the unseal key make a root token. Without as many shares
# as the server asks for he makes none; what he can do alone is to call a ceremony off.

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

# Begin, look, call off.
path "sys/generate-root-token/attempt" {
  capabilities = ["create", "read", "update", "delete"]
}

# Put a share in.
path "sys/generate-root-token/update" {
  capabilities = ["create", "update"]
  allowed_parameters = {
    "key" = []
    "nonce" = []
  }
}
