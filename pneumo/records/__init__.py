"""What passes between stages: small frozen records with paths and identifiers, never arrays, models or clients."""
