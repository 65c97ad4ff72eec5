"""Certificates for servers of tests."""

import subprocess


def make_certificates(folder):
    """Two that sign themselves for this machine, in PEM: ours and a stranger's."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    for name in ("ours", "stranger"):
        subprocess.run(
            ["openssl", "req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
             "-addext", "subjectAltName=IP:127.0.0.1"], cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
