"""The dossier of a version: the CHAI applied model card, CLAIM 2024 and TRIPOD+AI, filled from its run."""

AT = "dossier/dossier.html"  # artifact of the version's run; the files for machines lie beside it
