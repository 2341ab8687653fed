# OpenBao in the Compose file: one server with raft storage, TLS, and two audit devices.
ui           = false
api_addr     = "https://keystore:8200"
cluster_addr = "https://keystore:8201"

storage "raft" {
  path    = "/openbao/file"
  node_id = "keystore-1"
}

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_cert_file   = "/openbao/tls/keystore.pem"
  tls_key_file    = "/openbao/tls/keystore.key"
  tls_min_version = "tls13"
}

# A request that no device can write down is refused. Two, in two folders, best on two disks: one that is full or
# gone does not stop the signer's next start.
audit "file" "first" {
  options {
    file_path = "/openbao/audit-1/audit.log"
    mode      = "0600"
  }
}

audit "file" "second" {
  options {
    file_path = "/openbao/audit-2/audit.log"
    mode      = "0600"
  }
}
