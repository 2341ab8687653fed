# OpenBao on the host itself: one server with raft storage, TLS, and two audit devices. It listens on loopback; a second
# host that reads from it needs an address of a private network in `address`, and in the certificate.
ui           = false
api_addr     = "https://127.0.0.1:8200"
cluster_addr = "https://127.0.0.1:8201"

storage "raft" {
  path    = "/var/lib/openbao"
  node_id = "keystore-1"
}

listener "tcp" {
  address         = "127.0.0.1:8200"
  cluster_address = "127.0.0.1:8201"
  tls_cert_file   = "/etc/keyboot/tls/keystore/keystore.pem"
  tls_key_file    = "/etc/keyboot/tls/keystore/keystore.key"
  tls_min_version = "tls13"
}

# A request that no device can write down is refused. Two, in two folders, best on two disks: one that is full or
# gone does not stop the signer's next start.
audit "file" "first" {
  options {
    file_path = "/var/log/keyboot/audit-1/audit.log"
    mode      = "0600"
  }
}

audit "file" "second" {
  options {
    file_path = "/var/log/keyboot/audit-2/audit.log"
    mode      = "0600"
  }
}
