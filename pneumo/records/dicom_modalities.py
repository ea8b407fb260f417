"""Which DICOM modalities are taken by default; the setting `data.dicom_modalities` takes others."""

MODALITIES = ("CR", "DX")  # computed and digital radiography, what chest X-rays are
UNSTATED = "UNSTATED"  # stands among modalities for DICOM files that state none
