# HashiCorp Vault in the Compose file. Not tried; it has the same API in what is used here, but
# for audit devices, which it takes by that API and not from this file (docs/onprem.md, "Vault in OpenBao's place").
ui            = false
api_addr      = "https://keystore:8200"
cluster_addr  = "https://keystore:8201"
# The container has no right to lock memory; it has no swap either.
disable_mlock = true

storage "raft" {
  path    = "/vault/file"
  node_id = "keystore-1"
}

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_cert_file   = "/vault/tls/keystore.pem"
  tls_key_file    = "/vault/tls/keystore.key"
  tls_min_version = "tls13"
}
