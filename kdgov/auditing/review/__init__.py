"""The review of one recorded version: every digest, signature, decision and permission checked again."""
