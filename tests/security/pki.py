"""Keys and certificates, made for one test run by openssl."""

import ssl
import subprocess
from pathlib import Path

from msgspec import Struct

from tests.programs import needs


class Pki(Struct):
    """A folder with an authority, servers' and clients' pairs; `ca` is the file that clients trust."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The certificate of the authority."""
        return self.folder / "ca.pem"

    def pair(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key for 127.0.0.1 and localhost, signed by the authority; made anew at every call."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        extensions = self.folder / "extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        request = self.folder / f"{name}.csr"
        _openssl(
            "req",
            "-newkey",
            "ec:" + str(self._curve()),
            "-nodes",
            "-keyout",
            key,
            "-subj",
            f"/CN={name}",
            "-out",
            request,
        )
        authority = ("-CA", self.ca, "-CAkey", self.folder / "ca.key", "-CAcreateserial", "-days", "2")
        _openssl("x509", "-req", "-in", request, *authority, "-extfile", extensions, "-out", certificate)
        return certificate, key

    def client(self, *, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """Return what a client trusts, and shows."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if pair:
            context.load_cert_chain(*pair)
        return context

    def _curve(self) -> Path:
        return self.folder / "curve.pem"


def make_pki(folder: Path) -> Pki:
    """Make an authority."""
    curve = folder / "curve.pem"
    _openssl("ecparam", "-name", "prime256v1", "-out", curve)
    subject = ("-subj", "/CN=Test authority", "-days", "2", "-addext", "keyUsage=critical,keyCertSign")
    _openssl(
        "req",
        "-x509",
        "-newkey",
        f"ec:{curve}",
        "-nodes",
        "-keyout",
        folder / "ca.key",
        *subject,
        "-out",
        folder / "ca.pem",
    )
    return Pki(folder)


def _openssl(*arguments: object) -> None:
    command = [needs("openssl"), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
