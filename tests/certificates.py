"""Certificates for servers of tests."""

import subprocess


def make_certificates(folder, name="IP:127.0.0.1", days=2):
    """Two that sign themselves for this machine, or for `name`, for some days, in PEM: ours and a stranger's."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(days))
    for who in ("ours", "stranger"):
        subprocess.run(
            ["openssl", "req", "-x509", *key, "-keyout", f"{who}.key", "-out", f"{who}.pem", "-subj", f"/CN={who}",
             "-addext", f"subjectAltName={name}"], cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
