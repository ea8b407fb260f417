"""What passes between stages: small frozen records of identifiers, never arrays, models or clients."""
