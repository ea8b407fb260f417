"""Results of scoring as DICOM objects in the images' own studies."""
