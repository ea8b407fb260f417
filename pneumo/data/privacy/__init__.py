"""Who a patient is never leaves: keyed pseudonyms, identity in DICOM headers, and names in paths."""
