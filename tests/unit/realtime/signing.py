"""Key pairs of tests: signers, their key sets, and tokens of any header."""

import base64
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

LATER = 4_000_000_000


@cache
def signer(name: str) -> Any:
    """Give the private key of a name: `rsa`, `rsa-other`, `rsa-small`, `P-256`, `P-384`, `P-521`, `Ed25519`, `Ed448`."""
    match name:
        case "rsa-small":
            return rsa.generate_private_key(65537, 1024)
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "Ed448":
            return ed448.Ed448PrivateKey.generate()
        case "P-256" | "P-384" | "P-521":
            return ec.generate_private_key(
                {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}[name]()
            )
    return rsa.generate_private_key(65537, 2048)


def jwk(name: str, **more: object) -> dict[str, Any]:
    """Give the public key of a name as it stands in a key set, under its name as `kid`."""
    public = signer(name).public_key()
    kind = RSAAlgorithm if name.startswith("rsa") else OKPAlgorithm if name.startswith("Ed") else ECAlgorithm
    found: dict[str, Any] = kind.to_jwk(public, as_dict=True)
    found.pop("key_ops", None)
    return found | {"kid": name} | more


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def signed(name: str, algorithm: str, *, header: dict[str, object] | None = None, **claims: object) -> str:
    """Give a token that a key has signed; `header` beside `alg`, by default its `kid`."""
    payload = {"role": "authenticated", "exp": LATER, "sub": "ann"} | claims
    return jwt.encode(payload, signer(name), algorithm, headers={"kid": name} if header is None else header)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
