//! How secrets reach the command: its environment, sealed memory files, or private files on a tmpfs.
