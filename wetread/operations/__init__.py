"""How the service is doing: status, doctor, and the index compared with the bucket."""
