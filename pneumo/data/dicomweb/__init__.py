"""The only door to DICOMweb archives: addresses, requests, what is searched, fetched and stored."""
