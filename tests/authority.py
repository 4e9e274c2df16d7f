"""A certificate authority for tests, by the openssl command: what it issues is what OpenSSL's users have."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path

    @property
    def option(self) -> str:
        return f"{self.certificate}:{self.key}"

    def replace(self, other: Issued) -> None:
        """Put another one in its place, as tools do: one file after the other."""
        for mine, others in ((self.certificate, other.certificate), (self.key, other.key)):
            new = mine.with_suffix(".new")
            new.write_bytes(others.read_bytes())
            new.rename(mine)


class Authority:
    """Issues certificates. file: its own, which clients trust."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        if shutil.which("openssl") is None:
            pytest.skip("needs the openssl command")
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._key = folder / f"{name}.key"
        self.file = folder / f"{name}.pem"
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(self._key))
        usage = (
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        )  # strict clients ask for it, as Python from 3.13 on
        openssl("req", "-x509", *key, "-out", str(self.file), "-days", "30", "-subj", f"/CN={name}", *usage)

    def issue(
        self, *names: str, subject: str = "", key: str = "ec", usage: str = "serverAuth,clientAuth", days: int = 30
    ) -> Issued:
        """A certificate for these names (an address as IP:...). Issued anew each time."""
        number = len(list(self._folder.iterdir()))
        stem = self._folder / f"{number}"
        issued = Issued(stem.with_suffix(".pem"), stem.with_suffix(".key"))
        request, extensions = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        said = ",".join(name if name.startswith("IP:") else f"DNS:{name}" for name in names)
        lines = [f"extendedKeyUsage={usage}", "authorityKeyIdentifier=keyid", "subjectKeyIdentifier=hash"]
        lines += [f"subjectAltName={said}"] if said else []
        extensions.write_text("\n".join(lines) + "\n")
        kind = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256") if key == "ec" else (key,)
        openssl(
            *("req", "-new", "-newkey", *kind, "-nodes", "-keyout", str(issued.key), "-out", str(request)),
            *("-subj", f"/CN={subject or number}"),
        )
        openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.file), "-CAkey", str(self._key)),
            *("-out", str(issued.certificate), "-days", str(days), "-extfile", str(extensions)),
        )
        return issued

    def client(self, shown: Issued | None = None) -> ssl.SSLContext:
        """A client that trusts this authority, and shows a certificate."""
        context = ssl.create_default_context(cafile=str(self.file))
        if shown is not None:
            context.load_cert_chain(shown.certificate, shown.key)
        return context

    def server(self, *names: str, asks: bool = False) -> ssl.SSLContext:
        """A server for these names. asks: clients must show a certificate that this authority issued."""
        issued = self.issue(*names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file)
        return context

    @cached_property
    def pem(self) -> bytes:
        return self.file.read_bytes()


def openssl(*arguments: str, given: str = "") -> str:
    """What the openssl command says, on both outputs."""
    done = subprocess.run(["openssl", *arguments], input=given, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 or arguments[0] == "s_client", done.stderr
    return done.stdout + done.stderr
